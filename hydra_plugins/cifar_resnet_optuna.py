"""The sweeper of `sweeps=search`: here because Hydra takes sweepers from this package alone.

Hydra imports it at every start, so it is empty where the extra `optuna` isn't installed, and what it does lies in
`cifar_resnet.sweep.search`.
"""

from __future__ import annotations

import contextlib
from typing import Any

with contextlib.suppress(ImportError):
    from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper

    class TrialsSweeper(OptunaSweeper):
        """hydra-optuna-sweeper's sweeper, but for its end and its beginning: `n_trials` in all, however often begun."""

        def __init__(self, storage: str, n_trials: int, n_jobs: int, params: Any, **sampler: int) -> None:
            super().__init__(
                sampler=None,  # type: ignore[arg-type]  # made of its settings at each start
                direction="minimize",
                storage=storage,
                study_name=None,
                n_trials=n_trials,
                n_jobs=n_jobs,
                max_failure_rate=1.0,  # a failed trial is one of many
                search_space=None,
                custom_search_space=None,
                params=params,
            )

        def sweep(self, arguments: list[str]) -> None:
            """Goes on with the search until it has its trials, or is stopped."""
            from cifar_resnet.sweep import search

            search.sweep(self.sweeper)
