"""Seconds per epoch as a function of depth and of the number of images, with fitted straight lines.

    python benchmarks/scaling.py                                   # resnet in fp32, one thread
    python benchmarks/scaling.py --precision bf16 --picture scaling.png --csv scaling.csv

Each point is one epoch of this project's own worker on synthetic images of CIFAR-10's size: the median of interleaved
repeats. The line minimizes relative errors, so that short epochs count as much as long ones.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

import machine
import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.progress import track
from throughput import compose_run, histories

DEPTHS, IMAGES = (20, 32, 56, 110), (5_000, 10_000, 50_000)


def epoch_seconds(model: str, depth: int, images: int, precision: str) -> float:
    """Seconds of a run's first epoch, without evaluation."""
    config = compose_run(model, depth, precision, images, threads=1)
    config["optim"]["epochs"] = 1
    ((row,),) = histories(config, processes=1)
    return float(row["train_seconds"])


def fit(x: tuple[int, ...], y: list[float]) -> tuple[np.ndarray, float]:
    """The line's slope and intercept, and the largest deviation from it in percent of the line."""
    line = np.polyfit(x, y, 1, w=1 / np.array(y))
    on_line = np.polyval(line, x)
    return line, float(100 * np.max(np.abs(np.array(y) - on_line) / on_line))


def draw(path: Path, title: str, series: list[tuple[str, tuple[int, ...], list[float]]]) -> None:
    """Both series with their lines."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axis, (label, x, y) in zip(axes, series, strict=True):
        line, worst = fit(x, y)
        ends = np.array([0, max(x)])
        axis.plot(ends, np.polyval(line, ends), color="#56B4E9", label=f"line, off by at most {worst:.1f} %")
        axis.plot(x, y, "o", color="#0072B2", label="measured")
        axis.set(xlabel=label, ylabel="seconds per epoch", xlim=(0, None), ylim=(0, None))
        axis.legend(frameon=False, loc="upper left")
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measures, prints, and writes the requested files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--picture", type=Path, help="PNG file")
    parser.add_argument("--csv", type=Path, help="file for all figures")
    options = parser.parse_args()
    described = machine.describe()
    cases = [(depth, IMAGES[0]) for depth in DEPTHS] + [(DEPTHS[0], images) for images in IMAGES[1:]]
    seconds: dict[tuple[int, int], list[float]] = {case: [] for case in cases}
    turns = [case for _ in range(options.repeats) for case in cases]
    for case in track(turns, "measuring", console=Console(stderr=True), disable=not sys.stderr.isatty()):
        seconds[case].append(epoch_seconds(options.model, *case, options.precision))
    middle = {case: statistics.median(values) for case, values in seconds.items()}
    where = f"{described['cpu']} ({', '.join(described['instructions'])}), one thread, torch {described['torch']}"
    print(where)
    for (depth, images), values in seconds.items():
        print(
            f"{options.model}-{depth:<3} {images:>6} images: {middle[depth, images]:7.1f} s per epoch "
            f"({min(values):.1f}–{max(values):.1f})"
        )
    series = [
        (f"layers ({IMAGES[0]:,} images)", DEPTHS, [middle[depth, IMAGES[0]] for depth in DEPTHS]),
        (f"images ({DEPTHS[0]} layers)", IMAGES, [middle[DEPTHS[0], images] for images in IMAGES]),
    ]
    for label, x, y in series:
        print(f"{label}: off the straight line by at most {fit(x, y)[1]:.1f} %")
    if options.csv:
        lines = [f"{depth},{images},{value}" for (depth, images), values in seconds.items() for value in values]
        options.csv.write_text("\n".join(["depth,images,seconds", *lines]) + "\n")
    if options.picture:
        draw(options.picture, f"{options.model}, {options.precision}: {where}", series)


if __name__ == "__main__":
    main()
