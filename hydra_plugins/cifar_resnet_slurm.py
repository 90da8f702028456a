"""The launcher of `hydra/launcher=slurm`: here because Hydra takes launchers from this package alone.

Hydra imports it at every start, so it is empty where the extra `slurm` isn't installed, and what it does lies in
`cifar_resnet.sweep.slurm`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from hydra.core.utils import JobReturn

with contextlib.suppress(ImportError):
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher

    class RunsLauncher(SlurmLauncher):  # type: ignore[misc]
        """Submitit's launcher, but for its waiting: it knows runs that are queued, and notices jobs that are gone."""

        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
            """Submits the runs that nobody has yet, and waits for all of them."""
            from cifar_resnet.sweep import slurm

            return slurm.launch(self, job_overrides, initial_job_idx)
