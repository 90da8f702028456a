"""Reads run folders into tables: one row per run, one row per epoch, one row per layer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.errors import RunError
from cifar_resnet.printable import printable
from cifar_resnet.report.runs import copies, csv_files, factors, locations
from cifar_resnet.report.runs.collection import NAMES, Runs, Source
from cifar_resnet.report.runs.filters import Where
from cifar_resnet.report.runs.groups import compared, has_default
from cifar_resnet.report.runs.record import Record, read_record
from cifar_resnet.run import columns, defaults
from cifar_resnet.run.find import find_runs
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State

# The columns of metrics.csv that every run has.
_NUMBERS = ("train_loss", "train_error", "test_loss", "test_error", "images_per_second")
_MODELS = list(ARCHITECTURES)


def load(paths: Sequence[Path], where: Sequence[str] = (), step: Callable[[int, int], None] | None = None) -> Runs:
    """Reads every run folder under the paths.

    Args:
        paths: folders, each a run folder or one with run folders under it.
        where: `key=value` filters; a run is included if it matches all of them.
        step: called with the number of folders read so far and the number of all folders.

    Raises:
        RunError: a path isn't a folder, no run could be read, or none matches `where`.
        ConfigError: a filter's key doesn't exist.
    """
    wanted, found, unreadable = Where(where), find_runs(list(paths)), dict[str, str]()
    records = []
    for index, run in enumerate(found):
        if step is not None:
            step(index, len(found))
        try:
            records.append(read_record(run))
        except RunError as error:
            unreadable[str(run.path)] = str(error)
        except Exception as error:  # whatever is wrong with one folder, the others are reported
            unreadable[str(run.path)] = printable(f"it can't be read: {type(error).__name__}: {error}"[:300])
    if not records:
        raise RunError("no run could be read: " + "; ".join(unreadable.values()))
    fitting = wanted.filter(records, lambda one: one.config)
    source = Source(tuple(paths), tuple(where), len(records), len(records) - len(fitting))
    return replace(_assemble(fitting, unreadable), source=source)


def _assemble(records: list[Record], unreadable: dict[str, str]) -> Runs:
    """Joins the records into tables."""
    # Finished runs come first, so that of a run and its unfinished copy the finished one is kept.
    records.sort(key=lambda record: record.row["state"] != State.FINISHED.value)
    faults = _incomplete(records)
    epochs, more = csv_files.parse(
        {index: one.metrics for index, one in enumerate(records) if index not in faults}, ("epoch",)
    )
    faults |= more | _impossible(epochs)
    diagnostics, strange = csv_files.parse(
        {index: one.diagnostics for index, one in enumerate(records)}, ("epoch", "layer"), ("name",)
    )
    for index, fault in faults.items():
        run = RunDir(Path(records[index].folder))
        unreadable[records[index].folder] = f"{run.metrics} is not a table of epochs: {fault}"
    for index, fault in strange.items():
        unreadable[records[index].folder] = f"{records[index].folder}/diagnostics.csv is not a table of layers: {fault}"
    for index, measured in _unmeasured_ends(records, epochs, diagnostics).items():
        unreadable[records[index].folder] = (
            f"{records[index].folder}/diagnostics.csv ends with epoch {measured}, before the run does; "
            "diagnostics.enabled=true adds the last one"
        )
        diagnostics = diagnostics[diagnostics["source"] != index]
    kept, others = copies.find(records, epochs, set(faults))
    if not kept:
        raise RunError("no run could be read: " + "; ".join(unreadable.values()))
    _label([records[index] for index in kept])
    kept.sort(key=lambda index: _order(records[index]))
    runs = pd.DataFrame([records[index].row for index in kept]).join(
        _results(epochs).reindex(kept).reset_index(drop=True)
    )
    # Without metrics.csv, run.json still knows how far the run was.
    recorded = pd.Series([records[index].epochs for index in kept])
    runs["epochs"] = runs["epochs"].fillna(recorded).astype(int)
    data_factors = {str(data): list(part["factors"].iloc[0]) for data, part in runs.groupby("data", sort=False)}
    runs = runs.drop(columns="factors")
    return Runs(
        runs,
        _named(epochs, runs, kept, ("epoch", *_NUMBERS)),
        _named(diagnostics, runs, kept, columns.DIAGNOSTICS),
        locations.with_present_out(
            {records[index].folder: records[index].config for index in kept},
            dict(zip(runs["folder"], runs["data"], strict=True)),
        ),
        {records[index].folder: records[index].status for index in kept},
        data_factors,
        _main_settings(runs),
        unreadable,
        others,
    )


def _incomplete(records: list[Record]) -> dict[int, str]:
    """Index → what is missing, for metrics that lack a column that every run has."""
    faults = {}
    for index, record in enumerate(records):
        head = record.metrics.partition("\n")[0].split(",")
        missing = [name for name in ("epoch", *_NUMBERS) if name not in head]
        if record.metrics and missing:
            faults[index] = f"no column {missing[0]}"
    return faults


def _impossible(epochs: pd.DataFrame) -> dict[int, str]:
    """Source → what is wrong, for metrics with a number that no training writes."""
    errors = epochs[[name for name in epochs if str(name).endswith("_error")]]
    strange = ((errors < 0) | (errors > 100)).any(axis=1) | ~epochs["epoch"].between(1, 2**31)
    return {
        int(source): "an error is not a percentage, or an epoch not a number" for source in epochs["source"][strange]
    }


def _unmeasured_ends(records: list[Record], epochs: pd.DataFrame, diagnostics: pd.DataFrame) -> dict[int, int]:
    """Index → last epoch with diagnostics, for finished runs that were continued without them."""
    highest = (table.groupby("source")["epoch"].max() for table in (epochs, diagnostics))
    ends, measured = (dict(zip(map(int, each.index), map(int, each), strict=True)) for each in highest)
    return {
        index: measured[index]
        for index in measured
        if records[index].row["state"] == State.FINISHED.value and measured[index] < ends.get(index, 0)
    }


def _label(records: list[Record]) -> None:
    """Adds data set, setting and factors to the rows.

    Unfinished runs are included, so that a run keeps its label when the last run of the sweep finishes.
    """
    kinds = {(record.row["data"], record.row["kind"]) for record in records}
    names = [name for name, _ in kinds]
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        # The name is the user's label: a folder of other images may be called cifar10 as well.
        if names.count(record.row["data"]) > 1:
            record.row["data"] += f"-{record.row['kind']}"
        groups[record.row["data"]].append(record)
    for group in groups.values():
        flats = factors.with_one_recipe([record.flat for record in group])
        keys = factors.find(flats)
        inputs = {name: [record.inputs[name] for record in group] for name in group[0].inputs}
        settings = factors.settings(flats, keys, inputs)
        distances: dict[tuple[str, str], int] = {}
        for record, setting in zip(group, settings, strict=True):
            kind = record.row["model"], setting
            if kind not in distances:
                distances[kind] = len(defaults.overridden(record.config, keys))
            record.row |= {"setting": setting, "factors": keys, "off_default": distances[kind]}


def _order(record: Record) -> tuple[Any, ...]:
    """The order of all tables: by data set, by model as in `ARCHITECTURES`, from shallow to deep, then by setting."""
    row = record.row
    model = row["model"]
    place = _MODELS.index(model)
    values = tuple(factors.sort_key(record.flat.get(key)) for key in row["factors"])
    return row["data"], place, model, row["depth"], values, row["setting"], row["seed"]


def _results(epochs: pd.DataFrame) -> pd.DataFrame:
    """The metrics of each run's last epoch, and of its best epoch on the split that is evaluated every epoch."""
    columns = ["test_error", "test_loss", "train_error", "train_loss"]
    if epochs.empty:
        return pd.DataFrame(columns=["epochs", *columns, "best_test_error", "best_epoch", "images_per_second"])
    by_run = epochs.groupby("source", sort=False)
    results = by_run[["epoch", *columns]].last(skipna=False).rename(columns={"epoch": "epochs"})
    held_out = epochs["val_error"] if "val_error" in epochs else pd.Series(np.nan, epochs.index)
    watched = held_out.fillna(epochs["test_error"]).dropna()
    best = epochs.loc[watched.groupby(epochs["source"], sort=False).idxmin()].set_index("source")
    has_holdout = held_out.notna().groupby(epochs["source"]).any()
    results["best_test_error"] = best["test_error"].where(~has_holdout.reindex(best.index))
    if has_holdout.any():
        results["val_error"] = by_run["val_error"].last(skipna=False)
        results["best_val_error"] = best["val_error"]
    results["best_epoch"] = best["epoch"]
    results["images_per_second"] = by_run["images_per_second"].median()
    return results


def _named(frame: pd.DataFrame, runs: pd.DataFrame, kept: list[int], columns: Sequence[str]) -> pd.DataFrame:
    """A long table in the order of the runs, preceded by the columns NAMES, which are categories to save memory."""
    place = pd.Series(range(len(kept)), index=kept)
    frame = frame[frame["source"].isin(kept)]
    places = place.loc[frame["source"]].to_numpy()
    order = np.argsort(places, kind="stable")
    frame, places = frame.iloc[order], places[order]
    names: dict[str, Any] = {}
    for name in NAMES:
        values = runs[name].to_numpy()
        if name in ("depth", "seed"):
            names[name] = values[places]
        else:
            codes, categories = pd.factorize(values)
            names[name] = pd.Categorical.from_codes(codes[places], pd.Index(categories))
    rest = frame.drop(columns="source").reset_index(drop=True)
    rest = rest.reindex(columns=[*rest.columns, *(name for name in columns if name not in rest)])
    return pd.concat([pd.DataFrame(names), rest], axis=1)


def _main_settings(runs: pd.DataFrame) -> dict[str, str]:
    """The main setting of each data set.

    It is the one with the most finished networks; among those the nearest to the defaults of conf/ (in a search the one
    with the lowest error, see `groups.compared`), then the one with the most runs, then the longest.
    """
    chosen = {}
    for data, part in runs.groupby("data", sort=False):
        measure = None if has_default(part) else compared(part[part["state"] == State.FINISHED.value])
        ranks = {}
        for place, (setting, group) in enumerate(part.groupby("setting", sort=False)):
            finished = group[group["state"] == State.FINISHED.value]
            networks = len(finished[["model", "depth"]].drop_duplicates())
            longest = int(finished["epochs"].max()) if networks else 0
            rank = group["off_default"].min() if measure is None else finished[measure].mean() if networks else 100.0
            ranks[str(setting)] = (-networks, float(rank), -len(finished), -longest, place)
        chosen[str(data)] = min(ranks, key=lambda setting: ranks[setting])
    return chosen
