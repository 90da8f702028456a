"""Creates run folders with known results."""

from __future__ import annotations

import copy
import functools

import pytest

from cifar_resnet.datasets import DATASETS
from cifar_resnet.datasets.cifar10 import CLASSES
from cifar_resnet.report import claims, figures
from cifar_resnet.report.runs import load
from cifar_resnet.run.files import digest
from cifar_resnet.run.folder import RunDir

REAL = {"data__kind": "cifar10", "data__name": "cifar10"}
"""What makes a run one on CIFAR-10, for `write_run`."""
HEAD = "epoch,step,lr,train_loss,train_error,test_loss,test_error,train_seconds,test_seconds,images_per_second\n"
CONFIG = {
    "depth": 20,
    "seed": 0,
    "precision": "fp32",
    "out": "outputs",
    "init_from": None,
    "model": {"name": "resnet", "shortcut": "A", "width": 16},
    "optim": {
        "schedule": "step",
        "epochs": 2,
        "iterations": None,
        "batch_size": 128,
        "lr": 0.1,
        "peak": 0.25,
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 0.0001,
        "label_smoothing": 0.0,
        "milestones": [1],
        "gamma": 0.1,
        "warmup": "auto",
    },
    "data": {
        "kind": "digits",
        "name": "digits",
        "root": None,
        "cache": None,
        "image_size": None,
        "train_size": None,
        "test_size": None,
        "holdout": 0,
        "augment": False,
    },
    "runtime": {
        "device": "auto",
        "threads": 1,
        "progress": True,
        "compile": False,
        "deterministic": False,
        "checkpoint_seconds": 60.0,
        "retry_failed": True,
        "dry_run": False,
    },
}
"""What the first version wrote: it has no key of `later_keys`."""
SIZES = {"digits": (1437, 360), "cifar10": (50_000, 10_000)}
CIFAR10_FOLDER = {
    "fingerprint": "images-in-a-folder",
    "train_images": 50_000,
    "val_images": 0,
    "test_images": 10_000,
    "classes": 10,
    "class_names": list(CLASSES),
    "mean": [0.4914, 0.4822, 0.4465],
    "std": [0.2470, 0.2435, 0.2616],
}
"""What run.json records under `data` for a run on CIFAR-10 as a folder of images."""


def write_run(
    folder,
    name,
    errors,
    train=None,
    state="finished",
    model="resnet",
    depth=20,
    seed=0,
    tail="",
    status=(),
    val=(),
    **keys,
):
    """Writes a run folder with this name under `folder`, with these test and training errors, one per epoch.

    Training errors are one point above the test errors unless given; `val` are errors on a hold-out split, if any.
    `keys` are values of the config, with `__` for the dot in their names.
    """
    config = copy.deepcopy(CONFIG)
    config |= {"depth": depth, "seed": seed}
    config["model"]["name"] = model
    for key, value in keys.items():
        group, _, last = key.rpartition("__")
        (config[group] if group else config)[last] = value
    kind = config["data"]["kind"]
    if DATASETS[kind].needs_root:
        config["data"]["root"] = config["data"]["root"] or "images"
    train_images, test_images = SIZES.get(kind, (100, 100))
    run = RunDir(folder / name)
    run.write_config(config)
    train = [error + 1 for error in errors] if train is None else train
    rows = [f"{i},{i},0.1,1.5,{b},1,{a},2,1,100\n" for i, (a, b) in enumerate(zip(errors, train, strict=True), 1)]
    head = HEAD
    if val:
        head = HEAD.replace("\n", ",val_loss,val_error\n")
        rows = [row.replace("\n", f",1,{error}\n") for row, error in zip(rows, val, strict=True)]
    run.metrics.write_text(head + "".join(rows) + tail)
    data = {
        "kind": kind,
        "fingerprint": f"{kind}-images",
        "train_images": train_images,
        "val_images": 5_000 if val else 0,
    }
    data |= {"test_images": test_images, "classes": 10}
    known = {"reason": None, "parameters": 269434, "seconds": 5.0, "device": "a CPU", "threads": 1, "data": data}
    known["metrics_digest"] = digest(run.metrics)
    run.update_status(state=state, **(known | dict(status)))
    return run


@pytest.fixture
def unsaved(monkeypatch):
    """Leaves the figures' files empty, since saving takes most of the time of drawing them."""

    def save(figure, stem):
        for kind in ("png", "svg", "pdf"):
            stem.with_name(f"{stem.name}.{kind}").touch()

    monkeypatch.setattr(figures, "_save", save)


@pytest.fixture
def judge(tmp_path):
    """Judges the claim of this number, counted from the headline as 0, on the runs under `tmp_path`."""

    def run(number, data="cifar10"):
        return claims.judge(load.load([tmp_path]), data)[number].finding

    return run


@pytest.fixture
def make_run(tmp_path):
    """Writes a run folder under `runs`."""
    return functools.partial(write_run, tmp_path / "runs")


def add_predictions(run, pairs, names=("cat", "dog", "ship")):
    """Writes a run's predictions.csv from pairs of class and prediction, and the class names into run.json."""
    rows = [f"{index},{label},{prediction},0.9\n" for index, (label, prediction) in enumerate(pairs)]
    run.predictions.write_text("index,label,prediction,probability\n" + "".join(rows))
    status = run.read_status()
    data = {**status["data"], "class_names": list(names), "classes": len(names)}
    run.update_status(data=data, predictions_digest=digest(run.predictions))


def add_layers(run, responses, gradients, epochs=(0, 2)):
    """Writes a run's diagnostics.csv: layers with these response deviations and gradient norms in every epoch.

    Gradients may also be given as epoch → norms.
    """
    head = "epoch,step,layer,name,weight_grad_norm,output_grad_norm,response_std,branch_ratio\n"
    rows = [
        f"{epoch},{epoch},{layer},stage1.{layer},1,{gradient},{response},\n"
        for epoch in epochs
        for layer, (response, gradient) in enumerate(
            zip(responses, gradients[epoch] if isinstance(gradients, dict) else gradients, strict=True), 1
        )
    ]
    (run.path / "diagnostics.csv").write_text(head + "".join(rows))


@pytest.fixture
def make_predictions():
    """`add_predictions` for tests that take fixtures."""
    return add_predictions


@pytest.fixture
def make_layers():
    """`add_layers` for tests that take fixtures."""
    return add_layers
