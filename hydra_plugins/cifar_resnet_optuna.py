"""The sweeper of `sweeps=search`, in the only package where Hydra looks for sweepers.

Hydra imports it at every start. Without the extra `optuna` it is empty, and the work is done in
`cifar_resnet.sweep.search`.
"""

from __future__ import annotations

import contextlib
import inspect
from typing import Any

with contextlib.suppress(ImportError):
    from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper

    class TrialsSweeper(OptunaSweeper):
        """hydra-optuna-sweeper's sweeper, except that `n_trials` counts the trials of all starts together."""

        def __init__(self, storage: str, n_trials: int, n_jobs: int, params: Any, **sampler: int) -> None:
            # The other settings are unused; which ones there are differs between versions.
            unused = dict.fromkeys(inspect.signature(OptunaSweeper).parameters)
            used = {
                "direction": "minimize",
                "storage": storage,
                "n_trials": n_trials,
                "n_jobs": n_jobs,
                "max_failure_rate": 1.0,  # a failed trial doesn't end the search
                "params": params,
            }
            super().__init__(**{**unused, **used})

        def sweep(self, arguments: list[str]) -> None:
            """Continues the search until it has all its trials or is stopped."""
            from cifar_resnet.sweep.search import run_search

            run_search(self.sweeper)
