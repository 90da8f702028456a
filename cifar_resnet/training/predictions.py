"""predictions.csv: a trained network's prediction for each test image."""

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
    """Predictions for the images of a split, in order; on the CPU.

    label, prediction: (N,) int64, class numbers. probability: (N,) float32, softmax probability of the prediction.
    """

    label: Tensor
    prediction: Tensor
    probability: Tensor

    @property
    def error(self) -> float:
        """Error in percent, with as many digits as in metrics.csv."""
        return round(100.0 * int((self.prediction != self.label).sum()) / len(self.label), 6)


def write(path: Path, predictions: Predictions) -> None:
    """Replaces `path` with one row per image; index counts the run's test images from 0, in the data set's order."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    columns = predictions.label.tolist(), predictions.prediction.tolist(), predictions.probability.tolist()
    for index, (label, prediction, probability) in enumerate(zip(*columns, strict=True)):
        writer.writerow((index, label, prediction, f"{probability:.6f}"))
    write_text(path, text.getvalue())
