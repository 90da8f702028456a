"""Trains one run from its folder; knows nothing of Hydra, of other runs or of reports."""
