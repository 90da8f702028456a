"""Reads run folders into tables, a row a run and a row an epoch; judges nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cifar_resnet.errors import RunError
from cifar_resnet.report import factors, folder, predictions, texts
from cifar_resnet.report.folder import Record
from cifar_resnet.report.groups import Group, Key, collect
from cifar_resnet.report.predictions import Confusion
from cifar_resnet.report.where import Where
from cifar_resnet.run import columns, defaults
from cifar_resnet.run.folder import RunDir, State, find_runs

# The columns of metrics.csv that every run has.
_NUMBERS = ("train_loss", "train_error", "test_loss", "test_error", "images_per_second")
NAMES = ("data", "model", "depth", "setting", "seed", "state", "folder")
_MODELS = {"plain": 0, "resnet": 1, "preact": 2}


@dataclass(frozen=True)
class Runs:
    """All runs that were found.

    runs: a row a run, whatever its state; errors in percent, of the last epoch; seconds of training and evaluation;
        images_per_second is the median over epochs; `off_default` counts the factors that aren't as in conf/.
    epochs: a row a run and epoch, with the run's data, model, depth, setting, seed, state and folder.
    diagnostics: a row a run, epoch and 3×3 layer, named like `epochs`; no rows where no run recorded any.
    configs, statuses: folder → resolved config.yaml, run.json.
    factors: data set → the keys that differ between its runs beside model, depth and seed; `setting` names them.
    main_settings: data set → the setting that claims are judged on.
    unreadable: folder → reason, for what couldn't be read.
    copies: folder → folder of the same run, config, seed and images, which is the one that counts.
    """

    runs: pd.DataFrame
    epochs: pd.DataFrame
    diagnostics: pd.DataFrame
    configs: dict[str, dict[str, Any]]
    statuses: dict[str, dict[str, Any]]
    factors: dict[str, list[str]]
    main_settings: dict[str, str]
    unreadable: dict[str, str]
    copies: dict[str, str]

    @property
    def finished(self) -> pd.DataFrame:
        """The runs that numbers are made of."""
        return self.runs[self.runs["state"] == State.FINISHED.value]

    @property
    def unfinished(self) -> pd.DataFrame:
        """The runs that are named and left out."""
        return self.runs[self.runs["state"] != State.FINISHED.value]

    @property
    def shown(self) -> pd.DataFrame:
        """The runs that set-ups are described by: the finished ones, or all where none has finished."""
        finished = self.finished
        return self.runs if finished.empty else finished

    @cached_property
    def groups(self) -> dict[str, dict[Key, Group]]:
        """Data set → (model, setting, depth) → the finished runs that are repetitions of one another."""
        return collect(self.finished)

    @cached_property
    def confusions(self) -> dict[str, list[Confusion]]:
        """Data set → which class the final networks of its main setting take for which; read when first asked for."""
        finished = self.finished
        return {
            data: predictions.collect(
                finished[(finished["data"] == data) & (finished["setting"] == setting)], self.statuses
            )
            for data, setting in self.main_settings.items()
        }

    @property
    def datasets(self) -> list[str]:
        """The data sets' names, in order."""
        return list(self.runs["data"].unique())

    def of(self, data: str) -> Runs:
        """The runs of one data set. What couldn't be read belongs to none, and stays with each."""
        if self.datasets == [data]:
            return self
        runs = self.runs[self.runs["data"] == data].reset_index(drop=True)
        folders = set(runs["folder"])
        return replace(
            self,
            runs=runs,
            epochs=self.epochs[self.epochs["data"] == data].reset_index(drop=True),
            diagnostics=self.diagnostics[self.diagnostics["data"] == data].reset_index(drop=True),
            configs={folder: config for folder, config in self.configs.items() if folder in folders},
            statuses={folder: status for folder, status in self.statuses.items() if folder in folders},
            factors={data: self.factors[data]},
            main_settings={data: self.main_settings[data]},
            copies={copy: folder for copy, folder in self.copies.items() if folder in folders},
        )


def load(paths: Sequence[Path], where: Sequence[str] = (), step: Callable[[int, int], None] | None = None) -> Runs:
    """Reads every run folder under the paths.

    Args:
        paths: folders, each a run folder or one with run folders under it.
        where: `key=value` filters; a run is taken where all of them fit.
        step: called with how many folders have been read, and of how many.

    Raises:
        RunError: a path isn't a folder, no run could be read, or none fits `where`.
        ConfigError: a filter is of no key.
    """
    wanted, found, unreadable = Where(where), find_runs(list(paths)), dict[str, str]()
    records = []
    for index, run in enumerate(found):
        if step is not None:
            step(index, len(found))
        try:
            records.append(folder.read(run))
        except RunError as error:
            unreadable[str(run.path)] = str(error)
        except (KeyError, TypeError, AttributeError, ValueError):
            unreadable[str(run.path)] = f"{run.config} is not the config of a run"
    if not records:
        raise RunError("no run could be read: " + "; ".join(unreadable.values()))
    return _assemble(wanted.filter(records, lambda one: one.config), unreadable)


def _assemble(records: list[Record], unreadable: dict[str, str]) -> Runs:
    """One table of runs and one of epochs, out of what the folders say."""
    # Finished ones first: of a run and its unfinished copy, the finished one counts.
    records.sort(key=lambda record: record.row["state"] != State.FINISHED.value)
    faults = _incomplete(records)
    epochs, more = texts.parse(
        {index: one.metrics for index, one in enumerate(records) if index not in faults}, ("epoch",)
    )
    faults |= more
    diagnostics, strange = texts.parse(
        {index: one.diagnostics for index, one in enumerate(records)}, ("epoch", "layer"), ("name",)
    )
    for index, fault in faults.items():
        run = RunDir(Path(records[index].folder))
        unreadable[records[index].folder] = f"{run.metrics} is not a table of epochs: {fault}"
    for index, fault in strange.items():
        unreadable[records[index].folder] = f"{records[index].folder}/diagnostics.csv is not a table of layers: {fault}"
    kept, copies = _distinct(records, set(faults))
    if not kept:
        raise RunError("no run could be read: " + "; ".join(unreadable.values()))
    _tell_apart([records[index] for index in kept])
    kept.sort(key=lambda index: _order(records[index]))
    runs = pd.DataFrame([records[index].row for index in kept]).join(
        _results(epochs).reindex(kept).reset_index(drop=True)
    )
    runs["epochs"] = runs["epochs"].fillna(0).astype(int)
    data_factors = {str(data): list(part["factors"].iloc[0]) for data, part in runs.groupby("data", sort=False)}
    runs = runs.drop(columns="factors")
    return Runs(
        runs,
        _named(epochs, runs, kept, ("epoch", *_NUMBERS)),
        _named(diagnostics, runs, kept, columns.DIAGNOSTICS),
        {records[index].folder: records[index].config for index in kept},
        {records[index].folder: records[index].status for index in kept},
        data_factors,
        _main_settings(runs),
        unreadable,
        copies,
    )


def _incomplete(records: list[Record]) -> dict[int, str]:
    """Place → what is missing, for metrics without one of the columns that every run has."""
    faults = {}
    for index, record in enumerate(records):
        head = record.metrics.partition("\n")[0].split(",")
        missing = [name for name in ("epoch", *_NUMBERS) if name not in head]
        if record.metrics and missing:
            faults[index] = f"no column {missing[0]}"
    return faults


def _distinct(records: list[Record], faulty: set[int]) -> tuple[list[int], dict[str, str]]:
    """The places of the runs that count, and folder → folder of the run that stands for its copies."""
    known: dict[tuple[str, str | None], str] = {}
    kept, copies = [], {}
    for index, record in enumerate(records):
        if index in faulty:
            continue
        original = known.setdefault((record.row["hash"], record.row["fingerprint"]), record.folder)
        if original == record.folder:
            kept.append(index)
        else:
            copies[record.folder] = original
    return kept, copies


def _tell_apart(records: list[Record]) -> None:
    """Puts data set, setting and factors into the rows.

    Runs that have not finished count as well, so that a run keeps its label when the last one of a sweep comes in.
    """
    kinds = {(record.row["data"], record.row["kind"]) for record in records}
    names = [name for name, _ in kinds]
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        # A name is the user's label: a folder of images may be called cifar10, too.
        if names.count(record.row["data"]) > 1:
            record.row["data"] += f"-{record.row['kind']}"
        groups[record.row["data"]].append(record)
    for group in groups.values():
        flats = [record.flat for record in group]
        keys = factors.find(flats)
        settings = factors.settings(flats, keys, [record.row["fingerprint"] for record in group])
        distances: dict[tuple[str, str], int] = {}
        for record, setting in zip(group, settings, strict=True):
            kind = record.row["model"], setting
            if kind not in distances:
                distances[kind] = len(defaults.overridden(record.config, keys))
            record.row |= {"setting": setting, "factors": keys, "off_default": distances[kind]}


def _order(record: Record) -> tuple[Any, ...]:
    """Runs as readers look for them: by data set, then plain, resnet, preact, then shallow to deep."""
    row = record.row
    values = tuple(factors.sort_key(record.flat.get(key)) for key in row["factors"])
    return row["data"], _MODELS.get(row["model"], 3), row["model"], row["depth"], values, row["setting"], row["seed"]


def _results(epochs: pd.DataFrame) -> pd.DataFrame:
    """Each run's numbers so far: the last epoch's, and those of the best, chosen on the split watched each epoch."""
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
    """The long table with its runs' names in front, as categories for their size, in the order of the runs."""
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
    """Of each data set, the setting with the most finished networks; then the nearest to conf/; most runs; longest."""
    chosen = {}
    for data, part in runs.groupby("data", sort=False):
        ranks = {}
        for place, (setting, group) in enumerate(part.groupby("setting", sort=False)):
            finished = group[group["state"] == State.FINISHED.value]
            networks = len(finished[["model", "depth"]].drop_duplicates())
            longest = int(finished["epochs"].max()) if networks else 0
            ranks[str(setting)] = (-networks, int(group["off_default"].min()), -len(finished), -longest, place)
        chosen[str(data)] = min(ranks, key=lambda setting: ranks[setting])
    return chosen
