"""predictions.csv: what a trained network says of each test image."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from cifar_resnet.run.files import write_text

COLUMNS = ("index", "label", "prediction", "probability")


@dataclass(frozen=True)
class Predictions:
    """Of the images of a split, in their order; on the CPU.

    label, prediction: (N,) int64, classes by number. probability: (N,) float32, of the prediction, after softmax.
    """

    label: Tensor
    prediction: Tensor
    probability: Tensor

    @property
    def error(self) -> float:
        """In percent, with the digits that metrics.csv has."""
        return round(100.0 * int((self.prediction != self.label).sum()) / len(self.label), 6)


def write(path: Path, predictions: Predictions) -> None:
    """Replaces `path`: a row an image; index counts the run's test images from 0, in the data set's order."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    columns = predictions.label.tolist(), predictions.prediction.tolist(), predictions.probability.tolist()
    for index, (label, prediction, probability) in enumerate(zip(*columns, strict=True)):
        writer.writerow((index, label, prediction, f"{probability:.6f}"))
    write_text(path, text.getvalue())
