"""Runs that are found in several folders: copied, or trained again with the same config, seed and inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from cifar_resnet.report.runs.record import Record

_ERRORS = {"test_error": "test error", "val_error": "validation error", "train_error": "training error"}


@dataclass(frozen=True)
class Counted:
    """The instance of a run that is counted in place of another one.

    Attributes:
        folder: its folder.
        difference: how the results of the other instance differ from its; empty for a copy.
    """

    folder: str
    difference: str


def find(records: list[Record], epochs: pd.DataFrame, faulty: set[int]) -> tuple[list[int], dict[str, Counted]]:
    """The indices of the runs to count, and folder → what is counted in its place, for all others.

    Of several instances of a run, the first is counted, so that no result plays a part in the choice.

    Args:
        records: the runs of all folders, those to prefer first.
        epochs: their metrics; `source` is the index of the record.
        faulty: the indices of runs to ignore.
    """
    known: dict[tuple[str | None, ...], int] = {}
    named: dict[str, int] = {}
    kept, others = [], {}
    for index, record in enumerate(records):
        if index in faulty:
            continue
        identity, inputs = record.row["hash"], tuple(record.inputs.values())
        # Without a readable run.json, a folder doesn't say which images it is on: it is taken for the run that does.
        first = known.setdefault((identity, *inputs), index if any(inputs) else named.get(identity, index))
        named.setdefault(identity, first)
        if first == index:
            kept.append(index)
        else:
            ours, theirs = (epochs[epochs["source"] == source] for source in (index, first))
            others[record.folder] = Counted(records[first].folder, _difference(ours, theirs))
    return kept, others


def _difference(ours: pd.DataFrame, theirs: pd.DataFrame) -> str:
    """How the epochs of one instance differ from those of another; empty if one has the other's, as far as it goes."""
    names = [str(name) for name in ours if str(name).endswith(("_error", "_loss"))]
    here, there = (each.drop_duplicates("epoch", keep="last").set_index("epoch")[names] for each in (ours, theirs))
    common = here.index.intersection(there.index)
    here, there = here.loc[common], there.loc[common]
    differs = ~(here.eq(there) | (here.isna() & there.isna())).all(axis=1)
    if not differs.any():
        return ""
    last = common.max()
    last_here, last_there = (each.loc[last].astype(float).to_dict() for each in (here, there))
    errors = [
        f"{words} {last_here[name]:.2f} % here and {last_there[name]:.2f} % there"
        for name, words in _ERRORS.items()
        if name in last_here and not math.isnan(last_here[name] + last_there[name])
    ]
    return f"the results here differ from epoch {common[differs].min()} on; after epoch {last}: {', '.join(errors)}"
