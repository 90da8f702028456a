"""The table of our errors beside published ones."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from cifar_resnet.datasets import cifar10
from cifar_resnet.report import published
from cifar_resnet.report.intervals import decimals, mean_and_std
from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.report.runs.groups import Group, fewest
from cifar_resnet.report.tables.table import MISSING, Table, identify, named, plus, with_std
from cifar_resnet.report.wording import join
from cifar_resnet.run.defaults import overridden
from cifar_resnet.run.identity import as_override

_WHO = {"paper": "paper (%)", "lab": "lab (%)", "others": "others (%)"}


def beside_published(runs: Runs, data: str) -> Table | None:
    """Our errors beside published ones, for the networks that have some; None if no run can be compared with them."""
    groups = [group for group in runs.groups[data].values() if is_comparable(group) and _found(group)]
    if not groups:
        return None
    rows = [{**named(group), **_cells(group)} for group in groups]
    frame = pd.DataFrame(rows).fillna(MISSING)
    empty = [head for head in frame if frame[head].isin(["", MISSING]).all()]
    numbers = pd.DataFrame([{**identify(group), **_numbers(group)} for group in groups])
    title = f"Final test errors on {runs.title(data)} beside published ones"
    return Table("published", title, frame.drop(columns=empty), " ".join(_notes(runs, data, groups)), numbers)


def is_comparable(group: Group) -> bool:
    """Whether the runs can be compared with published ones."""
    return all(published.is_comparable(row) for row in group.rows)


def why_not(runs: Runs, data: str) -> str:
    """Why published values aren't shown, as a sentence; empty if they are, or if there are no results."""
    groups = list(runs.groups[data].values())
    if not groups or any(is_comparable(group) for group in groups):
        return ""
    networks = {row["is_published_network"] for group in groups for row in group.rows if row["is_cifar10"]}
    if not networks:
        return "Published values are for the lossless CIFAR-10 test set, so they are not shown here."
    network = f"networks with {published.NETWORK_WORDS}, trained from new weights"
    images = "all 50,000 training and 10,000 test images of CIFAR-10"
    if networks == {True}:
        return f"Published values are for {images}; these runs used fewer."
    if networks == {False}:
        return f"Published values are for {network}; these networks differ from them."
    return f"Published values are for {network} on {images}; none of these runs is both."


def _found(group: Group) -> list[published.Published]:
    return [one for who in _WHO for one in published.published(group.model, group.depth, who)]


def _error(group: Group) -> tuple[float, float]:
    return mean_and_std(list(group.values("test_error").values()))


def _cells(group: Group) -> dict[str, str]:
    """Our error, the published ones, our difference from them (ours minus theirs), and the lab's mark."""
    error, std = _error(group)
    cells = {"ours (%)": with_std(error, std, decimals(group.smallest("test_images")))}
    if group.lost:
        cells["ours (%)"] += f" ({group.share})"
    for who, head in _WHO.items():
        found = published.published(group.model, group.depth, who)
        cells[head] = "; ".join(one.text for one in found) or MISSING
        if who != "others":
            cells[f"ours − {who} (points)"] = plus(error - found[0].error, 2) if found else MISSING
    if (group.model, group.depth) == published.MARKED and not math.isnan(error):
        cells["lab's mark"] = str(published.lab_mark(100 - error))
    return cells


def _numbers(group: Group) -> dict[str, Any]:
    error, std = _error(group)
    numbers: dict[str, Any] = {"test_error_mean": error, "test_error_std": std}
    numbers |= {"finished": group.finished, "started": group.started}
    for who in ("paper", "lab"):
        for one in published.published(group.model, group.depth, who):
            numbers |= {f"{who}_error": one.error, f"{who}_difference": error - one.error}
    if (group.model, group.depth) == published.MARKED:
        numbers["lab_mark"] = published.lab_mark(100 - error)
    return numbers


def _notes(runs: Runs, data: str, groups: list[Group]) -> list[str]:
    sources: dict[str, list[str]] = {}
    for group in groups:
        for one in _found(group):
            shown = f"{one.text} %{f' ({one.note})' if one.note else ''}"
            sources.setdefault(one.source, [])
            sources[one.source] += [shown] if shown not in sources[one.source] else []
    notes = [f"{source[:1].upper()}{source[1:]}: {', '.join(shown)}." for source, shown in sources.items()]
    if any((group.model, group.depth) == published.MARKED for group in groups):
        notes.append(f"The lab's mark for {'-'.join(map(str, published.MARKED))}: {published.MARKS}.")
    images = fewest(*groups, column="train_images")
    if images is not None and images != cifar10.TRAIN_IMAGES:
        notes.append(
            f"Published networks were trained on all {cifar10.TRAIN_IMAGES:,} images, some or all of these on only "
            f"{images:,.0f}."
        )
    if changed := _unlike_the_lab(runs, data, groups):
        notes.append(f"Unlike the lab's recipe, ours use {join(changed)}.")
    return notes


def _unlike_the_lab(runs: Runs, data: str, groups: list[Group]) -> list[str]:
    """What all or some runs have in place of the lab's recipe, as overrides, apart from what their settings name."""
    configs = [runs.configs[row["folder"]] for group in groups for row in group.rows]
    pairs = [pair for config in configs for pair in overridden(config).items() if pair[0] not in runs.factors[data]]
    return list(dict.fromkeys(f"{key}={as_override(value)}" for key, value in pairs))
