"""Reproduce Deep Residual Learning on CIFAR-10: a sweep of plain, residual and pre-activation networks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from cifar_resnet.finished import FinishedRun

__version__ = "0.1.0"

# When Matplotlib is first imported, for example by Optuna, it announces that it is building its font cache. That line
# would appear among our own messages.
logging.getLogger("matplotlib.font_manager").addFilter(lambda record: "font cache" not in record.getMessage())


def load_run(folder: str | Path) -> FinishedRun:
    """A finished run, ready for use: config, metrics and the trained network.

        import cifar_resnet

        run = cifar_resnet.load_run("outputs/digits/resnet-20/seed0-0123abcd")
        print(run.config.model.name, run.config.depth, run.config.optim.lr)
        print(run.metrics[["epoch", "train_loss", "test_error"]].tail())
        test = run.load_data().test                          # images: uint8 (N, H, W, C); labels: (N,)
        logits = run.network(run.normalise(test.images))     # on the CPU, in evaluation mode
        predictions = logits.argmax(1)
        print((predictions != test.labels).float().mean())   # test error, as a fraction
        print([run.classes[number] for number in predictions[:5]])

    Args:
        folder: the run's folder. Only weights are loaded, so a folder from elsewhere can't run code.

    Raises:
        RunError: the folder isn't that of a finished run, or something in it is damaged.
    """
    # Imported here: torch and pandas take seconds, and most of the project needs neither.
    from cifar_resnet import finished

    return finished.load(folder)
