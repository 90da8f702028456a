"""What the templates state about the runs of one data set."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.datasets import DATASETS, DataSet
from cifar_resnet.notation import number
from cifar_resnet.optimizers import OPTIMIZERS
from cifar_resnet.precisions import PRECISIONS, Precision
from cifar_resnet.report import published, reproduce
from cifar_resnet.report.claims import HOLDS, JudgedClaim
from cifar_resnet.report.claims.claim import SEEDS
from cifar_resnet.report.runs import groups
from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.report.runs.record import makers
from cifar_resnet.report.tables import Table, layers
from cifar_resnet.report.wording import join
from cifar_resnet.run import later_keys
from cifar_resnet.run.identity import flatten
from cifar_resnet.schedules import SCHEDULES


@dataclass(frozen=True)
class Facts:
    """Facts of the runs of one data set, for the templates."""

    runs: Runs
    data: str
    claims: list[JudgedClaim]

    @cached_property
    def finished(self) -> pd.DataFrame:
        """The runs that all results come from."""
        return self.runs.finished

    @cached_property
    def _flat(self) -> list[dict[str, Any]]:
        """The configs of the finished runs, or of all runs if none has finished."""
        configs = [self.runs.configs[folder] for folder in self.runs.shown["folder"]]
        return [later_keys.AS_BEFORE | flatten(config) for config in configs]

    @cached_property
    def models(self) -> list[str]:
        """The models of the finished runs, in the order of the tables."""
        return [str(model) for model in self.finished["model"].unique()]

    @property
    def without_shortcuts(self) -> list[str]:
        """The models whose blocks have no shortcut."""
        return [model for model in self.models if not ARCHITECTURES[model].has_shortcuts]

    @property
    def with_shortcuts(self) -> list[str]:
        """The models whose blocks have one."""
        return [model for model in self.models if ARCHITECTURES[model].has_shortcuts]

    @property
    def with_identity_path(self) -> list[str]:
        """The models with nothing on the path of their shortcuts, not even an activation function."""
        return [model for model in self.with_shortcuts if ARCHITECTURES[model].identity_path]

    def describe_model(self, model: str) -> str:
        """A sentence on the model's blocks."""
        return f"in a {ARCHITECTURES[model].title} block, {ARCHITECTURES[model].description}"

    @cached_property
    def depths(self) -> list[int]:
        """The depths of the finished runs, in ascending order."""
        return sorted(int(depth) for depth in self.finished["depth"].unique())

    @cached_property
    def seeds(self) -> tuple[int, int]:
        """The smallest and the largest number of seeds of a model, depth and setting."""
        counts = self.finished.groupby(["model", "depth", "setting"], observed=True)["seed"].nunique()
        return (int(counts.min()), int(counts.max())) if len(counts) else (0, 0)

    @property
    def seed_draws_images(self) -> bool:
        """Whether the seed of some run also draws the images that it is trained on."""
        return bool(self.finished["seed_draws_images"].any())

    def every(self, key: str) -> list[Any]:
        """The distinct values of a key of the finished runs' configs; none if no run has the key."""
        values = [flat[key] for flat in self._flat if key in flat]
        return [value for index, value in enumerate(values) if value not in values[:index]]

    def only(self, key: str) -> Any:
        """The key's value if all finished runs agree, else None."""
        values = self.every(key)
        return values[0] if len(values) == 1 else None

    @property
    def learning_rate(self) -> str:
        """How the learning rate changes; completes "The learning rate …"."""
        described = {name: self._describe_schedule(name) for name in self.every("optim.schedule")}
        if len(described) < 2:
            return "".join(described.values())
        return "differs: " + "; ".join(f"with the schedule {name} it {words}" for name, words in described.items())

    @property
    def optimizer(self) -> str:
        """What updates the weights; completes "Training minimizes the cross-entropy by …"."""
        return " or ".join(self._describe_optimizer(name) for name in self.every("optim.optimizer"))

    def _describe_schedule(self, name: str) -> str:
        return SCHEDULES[name].describe(self._shared("optim.schedule", name))

    def _describe_optimizer(self, name: str) -> str:
        return OPTIMIZERS[name].describe(self._shared("optim.optimizer", name))

    def _shared(self, key: str, value: str) -> dict[str, Any]:
        """The values of `optim` that all runs with this value of `key` share."""
        flats = [flat for flat in self._flat if flat.get(key) == value]
        return {
            name.removeprefix("optim."): flats[0][name]
            for name in flats[0]
            if name.startswith("optim.") and all(name in flat and flat[name] == flats[0][name] for flat in flats)
        }

    @property
    def other_recipes(self) -> list[tuple[str, list[str], str]]:
        """Key, titles of its values that the papers don't use, and what the papers do instead."""
        found = []
        for key, kinds, usual, papers in (
            ("optim.schedule", SCHEDULES, published.PAPER_SCHEDULE, "the papers lower the learning rate in steps"),
            ("optim.optimizer", OPTIMIZERS, published.PAPER_OPTIMIZER, "the papers use stochastic gradient descent"),
        ):
            others = [name for name in self.every(key) if name != usual]
            if others:
                found.append((key, [kinds[name].title for name in others], papers))
        return found

    @property
    def reduced_precisions(self) -> list[Precision]:
        """The precisions of the runs whose convolutions are computed in fewer bits than single precision has."""
        used = [PRECISIONS[name] for name in self.every("precision")]
        return [precision for precision in used if precision.significand < PRECISIONS["fp32"].significand]

    def measured(self, column: str) -> list[Any]:
        """The distinct values of a column of the finished runs and their earlier parts, without missing values."""
        values = [part[column] for part in self._makers if part.get(column) is not None]
        return list(dict.fromkeys([*values, *(value for value in self.finished[column].dropna() if value != "")]))

    @cached_property
    def _makers(self) -> list[dict[str, Any]]:
        return [part for folder in self.finished["folder"] for part in makers(self.runs.statuses[folder])]

    @property
    def all_cifar10(self) -> bool:
        """Whether the images are CIFAR-10, as in the papers."""
        return self.runs.on_cifar10(self.data)

    @property
    def kind(self) -> str:
        """The runs' `data.kind`, which is the same for all runs of a data set."""
        (kind,) = self.every("data.kind")
        return str(kind)

    @property
    def _data_set(self) -> DataSet:
        return DATASETS["cifar10" if self.all_cifar10 else self.kind]

    def describe_subsets(self) -> str:
        """A sentence on the runs that were trained on fewer images than the data set has; empty without any."""
        if self.sized_by_config:
            return ""
        whole = self._data_set.sizes.train if self._data_set.sizes else math.inf
        on_subset = [flat for flat in self._flat if (flat["data.train_size"] or whole) < whole]
        if not on_subset:
            return ""
        # Images are held out from the subset.
        sizes = sorted({flat["data.train_size"] - (flat["data.holdout"] or 0) for flat in on_subset})
        runs = "All" if len(on_subset) == len(self._flat) else "Some"
        kind = "a subset" if len(sizes) == 1 else "subsets"
        return f"{runs} runs were trained on {kind} of {join(sizes, number)} images."

    @property
    def sized_by_config(self) -> bool:
        """Whether the number of images is any that the config asks for, so that no run uses only a subset."""
        return DATASETS[self.kind].sized_by_config

    def describe_images(self) -> str:
        """A sentence on the images."""
        if self.all_cifar10:
            sentence = DATASETS["cifar10"].description
            if self.kind == "cifar10":
                return sentence
            title = DATASETS[self.kind].title
            return (
                f"{sentence[:-1]}, read from {title} and recognized by their classes, the number of images, and the "
                "training images' mean and standard deviation."
            )
        sentence, size = DATASETS[self.kind].description, self.only("data.image_size")
        if size is None or self.sized_by_config:
            return sentence
        return f"{sentence[:-1]}, resized to {size}×{size} pixels."

    @property
    def title(self) -> str:
        """The data set's name in the text."""
        return self.runs.title(self.data)

    @property
    def holds_out(self) -> bool:
        """Whether some run was evaluated on held-out training images every epoch."""
        return any(count for count in self.every("data.holdout"))

    @property
    def watches_test(self) -> bool:
        """Whether some run was evaluated on the test set every epoch."""
        return any(not count for count in self.every("data.holdout"))

    @property
    def advised_holdout(self) -> int | None:
        """A tenth of the images of the smallest training set without a hold-out split, rounded; None if unknown."""
        images = self.finished["train_images"][~(self.finished["val_images"] > 0)].min()
        return None if pd.isna(images) else int(float(f"{images / 10:.1g}")) or None

    @property
    def epochs(self) -> str:
        """The numbers of epochs of the runs."""
        return join(sorted(int(count) for count in self.finished["epochs"].unique()))

    @property
    def is_short(self) -> bool:
        """Whether a run has fewer epochs than the lab's recipe."""
        return bool((self.finished["epochs"] < published.LAB_EPOCHS).any())

    @property
    def _relevant(self) -> list[JudgedClaim]:
        """The claims about models that were trained."""
        return [one for one in self.claims if set(one.claim.models) <= set(self.models)]

    @property
    def judged(self) -> list[JudgedClaim]:
        """The claims that the runs provide evidence for or against."""
        return [one for one in self._relevant if one.finding.evidence]

    @property
    def unanswered(self) -> list[JudgedClaim]:
        """The claims about these models that the runs provide no evidence on; none for a search."""
        return [] if self.search_again else [one for one in self._relevant if not one.finding.evidence]

    @property
    def search_again(self) -> str:
        """The command that trains a search's best values with other seeds and every network; empty without a search."""
        best = groups.lowest(self.runs.groups[self.data].values(), groups.compared(self.finished))
        if not best or not self.runs.is_search(self.data):
            return ""
        used = set(self.runs.runs["seed"])
        others = itertools.islice((seed for seed in itertools.count() if seed not in used), SEEDS)
        config = self.runs.configs[best[0].rows[0]["folder"]]
        return reproduce.command(config, model=self.models, depth=self.depths, seed=list(others))

    def verdict(self, key: str) -> str | None:
        """The verdict on the claim with this key; None where the runs provide no evidence on it."""
        if key not in {one.claim.key for one in self.claims}:
            raise KeyError(key)
        return next((one.finding.verdict for one in self.judged if one.claim.key == key), None)

    def holds(self, key: str) -> bool:
        """Whether the claim with this key holds, at least in part."""
        return any(
            HOLDS in (one.finding.verdict, *one.finding.parts.values()) for one in self.judged if one.claim.key == key
        )

    @property
    def statistics(self) -> list[str]:
        """Mean and standard deviation of the training images' channels, for each distinct data set."""
        found = []
        for folder in self.finished["folder"]:
            data = self.runs.statuses[folder].get("data", {})
            if data.get("mean") and data.get("std"):
                mean, std = (", ".join(f"{value:.4f}" for value in data[name]) for name in ("mean", "std"))
                found.append(f"mean ({mean}) and standard deviation ({std})")
        return list(dict.fromkeys(found))

    def _image_size(self) -> int | None:
        """Height and width of the images in pixels; None if unknown or not the same in all runs."""
        if self.only("data.image_size"):
            return int(self.only("data.image_size"))
        recorded = [self.runs.statuses[folder].get("data", {}).get("image_shape") for folder in self.finished["folder"]]
        if recorded and all(shape and shape == recorded[0] and shape[0] == shape[1] for shape in recorded):
            return int(recorded[0][0])
        # Runs created before the image shape was recorded.
        known = self._data_set
        return known.sizes.height if known.sizes and not known.sized_by_config else None

    def architecture(self) -> Table:
        """The layers of each depth: one row per stage, one column per depth."""
        classes = [int(count) for count in self.measured("classes")]
        return layers.architecture(self._image_size(), self.only("model.width"), classes, self.depths)


def title(model: str) -> str:
    """The model's title for running text.

    >>> title("resnet")
    'residual'
    """
    return ARCHITECTURES[model].title
