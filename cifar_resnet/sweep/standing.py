"""The list that a sweep prints before it starts: the state of each run, and what will happen to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig

from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State
from cifar_resnet.status.table import count_runs, labels
from cifar_resnet.sweep.assignment import lacking, reason_to_skip, why_interrupted
from cifar_resnet.sweep.resolvers import plain_config


def print_standing(
    composed: Mapping[RunDir, DictConfig], at_a_time: int, retry_failed: bool, attached: Mapping[Path, str]
) -> None:
    """Prints what this command will do with each run, and a summary; nothing if there are no runs.

    Args:
        composed: the runs in order, with their composed configs.
        at_a_time: runs in parallel.
        retry_failed: whether failed runs are trained again.
        attached: by folder, the runs that are in a job of a cluster, in words.
    """
    if not composed:
        return
    runs = list(composed)
    configs = {run: plain_config(config) for run, config in composed.items()}
    verified = {run.path: run.verify(config) for run, config in configs.items()}
    states = {path: state for path, (state, _) in verified.items()}
    missing = {run.path: lacking(run, states[run.path], config) for run, config in configs.items()}
    missing = {path: what for path, what in missing.items() if what is not None}
    waiting = 0
    for run, name in zip(runs, labels(runs), strict=True):
        state = states[run.path]
        skipped = reason_to_skip(run, state, retry_failed) or attached.get(run.path)
        action = (
            f"finished; adding its {missing[run.path]}"
            if run.path in missing
            else f"{state}{why_interrupted(*verified[run.path])}; will continue"
        )
        if state is not State.PENDING:
            print(f"  {name}: {skipped or action}")
        waiting += skipped is None
    counts = Counter(state for path, state in states.items() if path not in {*attached, *missing})
    waiting -= counts[State.RUNNING] + len(missing)
    numbers = {
        "finished before": counts[State.FINISHED],
        **{f"finished without {what}": number for what, number in Counter(missing.values()).items()},
        "interrupted": counts[State.INTERRUPTED],
        "failed": counts[State.FAILED] + counts[State.DIVERGED],
        "being trained by another process": counts[State.RUNNING],
        "in Slurm jobs": len(attached),
    }
    parts = [f"{number} {name}" for name, number in numbers.items() if number]
    print(f"{count_runs(len(runs))}: {', '.join([*parts, f'{waiting} to train'])}, {at_a_time} at a time", flush=True)
