"""Reads run folders and makes tables and figures; uses neither torch nor Hydra."""
