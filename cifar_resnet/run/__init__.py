"""The run folder: what a run is, where it lies, what its files hold and who is at it. No torch, no Hydra."""
