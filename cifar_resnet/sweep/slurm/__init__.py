"""Sweeps on a Slurm cluster: submitting and awaiting jobs, what a job does, and what Slurm reports about its jobs."""
