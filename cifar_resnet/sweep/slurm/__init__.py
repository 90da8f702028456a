"""Sweeps on a Slurm cluster: submitting jobs, waiting for them, what a job does, and what Slurm reports about it."""
