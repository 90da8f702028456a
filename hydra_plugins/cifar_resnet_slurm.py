"""The launcher of `hydra/launcher=slurm`, in the only package where Hydra looks for launchers.

Hydra imports it at every start. Without the extra `slurm` it is empty, and the work is done in
`cifar_resnet.sweep.slurm.submit`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from hydra.core.utils import JobReturn

with contextlib.suppress(ImportError):
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher

    class RunsLauncher(SlurmLauncher):  # type: ignore[misc]
        """Submitit's launcher, except that it recognizes queued runs and notices jobs that are gone."""

        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
            """Submits the runs that are in no job yet, and waits for all runs."""
            from cifar_resnet.sweep.slurm.submit import submit_and_wait

            return submit_and_wait(self, job_overrides, initial_job_idx)
