"""The table of runs, printed once or live; reads run folders and needs neither Hydra nor torch."""
