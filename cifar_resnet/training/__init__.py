"""Trains one run from its folder; independent of Hydra, other runs and reports."""
