"""The final network's predictions for the test images, from predictions.csv."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cifar_resnet.report.runs.groups import Group
from cifar_resnet.run import files
from cifar_resnet.run.folder import RunDir

Array = np.ndarray[Any, Any]


@lru_cache(maxsize=2000)
def read(folder: str, known: str | None) -> tuple[Array, Array] | None:
    """The test images' labels and predictions (N,), in the order of the images; None if there are none or damaged ones.

    Args:
        folder: the run folder.
        known: the digest of predictions.csv in run.json, if it has one.
    """
    try:
        content = files.read(RunDir(Path(folder)).predictions)
        if known is not None and known != files.digest_of(content):
            return None
        # A last line without a line break was cut off: its process was killed while writing it.
        complete = io.BytesIO(content[: content.rfind(b"\n") + 1])
        frame = pd.read_csv(complete, usecols=["index", "label", "prediction"], dtype=np.int32)
    except (OSError, ValueError):
        return None
    if frame.empty:
        return None
    ordered = frame if frame["index"].is_monotonic_increasing else frame.sort_values("index", kind="stable")
    return _narrow(ordered["label"].to_numpy()), _narrow(ordered["prediction"].to_numpy())


def _narrow(numbers: Array) -> Array:
    """The same numbers in a byte each where they fit, so that those of 1,000 runs of CIFAR-10 take 20 MB."""
    return numbers.astype(np.uint8) if numbers.min() >= 0 and numbers.max() < 256 else numbers


def wrong(first: Group, second: Group, statuses: dict[str, dict[str, Any]]) -> tuple[Array, Array] | None:
    """For each test image (N,), which share of the runs of each group got it wrong.

    None unless all runs recorded predictions for the same images that agree with their final test error to two images.
    """
    images: tuple[str, Array] | None = None
    shares = []
    for group in (first, second):
        found = []
        for row in group.rows:
            pair = read(row["folder"], statuses[row["folder"]].get("predictions_digest"))
            if pair is None:
                return None
            labels, predicted = pair
            images = images or (row["fingerprint"], labels)
            mistakes = labels != predicted
            if row["fingerprint"] != images[0] or not np.array_equal(labels, images[1]):
                return None
            if abs(100 * mistakes.mean() - row["test_error"]) > 200 / len(labels):
                return None
            found.append(mistakes)
        shares.append(np.mean(found, axis=0))
    return shares[0], shares[1]
