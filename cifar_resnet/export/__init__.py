"""Copies run folders to an experiment tracker. Only the folders are read, so training knows nothing of it."""
