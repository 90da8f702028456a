"""The table of errors by class."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cifar_resnet.report.intervals import decimals, mean_and_std
from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.report.runs.confusion import Confusion, omitted_depths
from cifar_resnet.report.tables.table import Table, with_std
from cifar_resnet.report.wording import count, count_range, join

# The most classes in the table: the hardest ones. Its CSV file has all classes.
MOST_CLASSES = 20


def class_errors(runs: Runs, data: str) -> Table | None:
    """One row per class, the hardest first, and one column per network; None if no finished run has predictions."""
    found = runs.confusions.get(data, [])
    if not found:
        return None
    errors = np.stack([one.errors.mean(0) for one in found])
    hardest = np.argsort(-np.nan_to_num(errors, nan=-1).mean(0), kind="stable")
    images = found[0].matrices[0].sum(1)
    equal = len(set(images)) == 1
    rows = [
        {"class": found[0].classes[number], **({} if equal else {"images": f"{images[number]:,}"})}
        | {_head(one): _cell(one, int(number), int(images[number])) for one in found}
        for number in hardest[:MOST_CLASSES]
    ]
    numbers = pd.DataFrame({"class": found[0].classes, "images": images})
    for one in found:
        numbers[f"{one.model}-{one.depth}"] = one.errors.mean(0)
    note = [f"Mean over seeds, ± sample standard deviation; {_seeds(found)}. Classes are sorted by their mean error."]
    if equal:
        note.insert(0, f"{count(int(images[0]), 'image').capitalize()} of each class.")
    if len(hardest) > MOST_CLASSES:
        note.append(f"Only the hardest {MOST_CLASSES} of {len(hardest)} classes are shown.")
    finished = runs.finished[runs.finished["data"] == data]
    if omitted := omitted_depths(finished["depth"][finished["setting"] == runs.main_settings[data]]):
        note.append(omitted)
    if runs.main_settings[data] and runs.finished["setting"].nunique() > 1:
        note.append(f"Setting: {runs.main_settings[data]}.")
    lost = [
        f"{group.name} ({group.finished} of {group.started})"
        for (_, setting, _), group in runs.networks[data].items()
        if setting == runs.main_settings[data] and group.lost
    ]
    if lost:
        note.append(f"Of these networks, only some of the runs that started have finished: {', '.join(lost)}.")
    dead = [
        group.unlearned_name
        for (_, setting, _), group in runs.groups[data].items()
        if setting == runs.main_settings[data] and group.unlearned
    ]
    if dead:
        note.append(f"{join(dead)} learned nothing, but {'is' if len(dead) == 1 else 'are'} included.")
    title = "Test error of each class (%), final networks"
    return Table("class-errors", title, pd.DataFrame(rows), " ".join(note), numbers.iloc[hardest])


def _head(one: Confusion) -> str:
    return f"{one.model}-{one.depth}"


def _cell(one: Confusion, number: int, images: int) -> str:
    return with_std(*mean_and_std([float(value) for value in one.errors[:, number]]), decimals(images))


def _seeds(found: list[Confusion]) -> str:
    counts = [len(one.matrices) for one in found]
    return f"{count_range(min(counts), max(counts), 'seed')} each"
