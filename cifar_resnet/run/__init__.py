"""The run folder: a run's identity, location, files and lock. Imports neither torch nor Hydra."""
