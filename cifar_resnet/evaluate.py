"""Tests a finished run's network again: `python -m cifar_resnet.evaluate FOLDER [KEY=VALUE …] [--mistakes PNG]`.

Prints the test error and the recorded one. Exit codes: 0 if they are equal, 1 if they differ, 2 for a user error. If an
older run has no predictions.csv, it is added.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cifar_resnet.errors import CifarResnetError, ConfigError, ExitCode
from cifar_resnet.programs import command
from cifar_resnet.terminal import never_fail

if TYPE_CHECKING:
    from cifar_resnet.training.predictions import Predictions

KEYS = ("data.root", "data.cache", "precision", "runtime.device", "runtime.threads")


def main(arguments: list[str] | None = None) -> int:
    """Entry of the program; returns the exit code."""
    never_fail()
    parser = argparse.ArgumentParser(
        prog=command("evaluate"),
        description="Tests a finished run's network again and compares the error with the recorded one.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the run's folder")
    parser.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE", help=f"any of {', '.join(KEYS)}")
    parser.add_argument("--mistakes", type=Path, metavar="PNG", help="write a picture of the most confident mistakes")
    options = parser.parse_args(arguments)
    try:
        return evaluate(options.folder, _parse(options.overrides), options.mistakes)
    except CifarResnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.USER


def _parse(overrides: Sequence[str]) -> dict[str, Any]:
    values = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        if key not in KEYS or not equals:
            raise ConfigError(f"{override}: expected KEY=VALUE of {', '.join(KEYS)}; the run's folder sets the rest")
        try:
            values[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            values[key] = value
    return values


def evaluate(folder: Path, overrides: dict[str, Any], mistakes: Path | None = None) -> int:
    """Tests the run's network on the run's images and prints the error; returns the exit code.

    Raises:
        RunError: the folder is not that of a finished run.
        DataError: the images are missing, or aren't those that the run was tested on.
        ConfigError: an override is invalid, or `mistakes` can't be written.
    """
    # Imported here so that --help and errors in keys respond immediately.
    from cifar_resnet import finished
    from cifar_resnet.run.config import from_container
    from cifar_resnet.run.files import digest
    from cifar_resnet.training import predictions
    from cifar_resnet.training.backend import set_up
    from cifar_resnet.training.loop import Training

    run = finished.load(folder)
    values = dataclasses.asdict(run.config)
    for key, value in overrides.items():
        group, _, name = key.rpartition(".")
        (values[group] if group else values)[name] = value
    values["runtime"]["kernels"] = "auto"  # those of training steps, which a CPU may not have
    trained = run.config.precision
    run = dataclasses.replace(run, config=from_container(values))
    device, _ = set_up(run.config)
    dataset = run.load_data()
    training = Training(run.config, dataset, device)
    training.network.load_state_dict(run.network.state_dict())
    found = training.evaluator.predict(training.splits["test"])
    recorded = float(run.status["outcome"]["test_error"])
    equal = found.error == recorded
    here = there = ""
    cause = f"another machine ({run.status['device']}) or version"
    if run.config.precision != trained:
        here, there, cause = f" in {run.config.precision}", f" in {trained}", "another precision"
    verdict = "equal" if equal else f"not equal: {cause} may round differently"
    tested = f"test error {found.error:.6g} % of {len(found.label)} images{here}"
    print(f"{tested}; recorded {recorded:.6g} %{there}: {verdict}")
    if equal and run.config.precision == trained and not run.run.predictions.exists():
        try:
            with run.run.lock():
                predictions.write(run.run.predictions, found)
                run.run.update_status(predictions_digest=digest(run.run.predictions))
            print(f"wrote {run.run.predictions}")
        except OSError as error:  # as in another user's folder
            print(f"{run.run.predictions} can't be added ({error.strerror})")
    if mistakes is not None:
        title = f"{run.config.model.name}-{run.config.depth} on {run.config.data.name}: the most confident mistakes"
        _draw(mistakes, dataset.test.images.numpy(), found, run.classes, title)
    return ExitCode.FINISHED if equal else ExitCode.FAILED


def _draw(path: Path, images: Any, found: Predictions, classes: Sequence[str], title: str) -> None:
    from cifar_resnet.report.figures import mistakes, style

    columns = found.label.numpy(), found.prediction.numpy(), found.probability.numpy()
    figure = mistakes.draw(images, *columns, classes, title)
    if figure is None:
        print("no mistakes to draw")
        return
    try:
        style.save_png(figure, path)
    except OSError as error:
        raise ConfigError(
            f"--mistakes {path}: can't be written ({error.strerror or error}); choose another place"
        ) from error
    print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
