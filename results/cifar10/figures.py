"""Draws degradation.png and gradients.png from epochs.csv and diagnostics.csv: `python results/cifar10/figures.py`.

Both show unfinished runs, which the report leaves out of its comparison.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from cifar_resnet.architectures import ARCHITECTURES

FOLDER = Path(__file__).parent
EPOCHS = 164
COLORS = {model: ARCHITECTURES[model].shades[1] for model in ("plain", "resnet")}


def draw_errors() -> None:
    """Training error (left) and test error (right) against epoch: the lab's first figure, with shortcuts added."""
    runs = pd.read_csv(FOLDER / "epochs.csv").groupby(["model", "depth"])
    figure, panels = plt.subplots(1, 2, figsize=(9, 4), sharex=True, sharey=True, layout="constrained")
    for panel, column in zip(panels, ("train_error", "test_error"), strict=True):
        for (model, depth), run in runs:
            last = run["epoch"].max()
            state = "" if last == EPOCHS else f" (stopped after {last} of {EPOCHS} epochs)"
            style, width = ("-", 1.8) if depth == 56 else ("--", 1.2)
            panel.plot(run["epoch"], run[column], style, color=COLORS[model], lw=width, label=f"{model}-{depth}{state}")
        panel.set(
            xlabel="epoch", ylim=(0, 40), title={"train_error": "training error", "test_error": "test error"}[column]
        )
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("error (%)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(FOLDER / "degradation.png", dpi=120)


def draw_gradients() -> None:
    """Norm of the gradient with respect to each layer's weights in the two networks of 56 layers."""
    layers = pd.read_csv(FOLDER / "diagnostics.csv")
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
    for panel, model in zip(panels, COLORS, strict=True):
        network = layers[layers["network"] == f"{model}-56"]
        for epoch, alpha in ((0, 0.35), (10, 0.6), (130, 1.0)):
            one = network[network["epoch"] == epoch]
            label = "before training" if epoch == 0 else f"after epoch {epoch}"
            panel.semilogy(one["layer"], one["weight_grad_norm"], color=COLORS[model], alpha=alpha, label=label)
        panel.set(xlabel="layer (3×3 convolutions, from the input)", title=f"{model}-56")
        panel.grid(alpha=0.3)
        panel.legend(frameon=False)
    panels[0].set_ylabel("norm of the weights' gradient")
    figure.savefig(FOLDER / "gradients.png", dpi=120)


if __name__ == "__main__":
    draw_errors()
    draw_gradients()
