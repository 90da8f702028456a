"""Reads run folders and makes tables and figures; knows neither torch nor Hydra, nor how a run was started."""
