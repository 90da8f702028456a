"""What the templates may say: facts of one data set's runs, in words; nothing that no run shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from cifar_resnet.datasets import cifar10
from cifar_resnet.report.claims import Claim
from cifar_resnet.report.folder import makers
from cifar_resnet.report.load import Runs
from cifar_resnet.report.tables import Table
from cifar_resnet.run.identity import flatten

# For runs made before the size was recorded.
_IMAGE_SIZES = {"cifar10": 32, "cifar100": 32, "digits": 8}
# What a claim is about; one about networks that weren't trained isn't mentioned.
_NEEDS = {
    "degradation": {"plain"},
    "shortcuts": {"resnet"},
    "shallow": {"plain", "resnet"},
    "preactivation": {"resnet", "preact"},
    "responses": {"plain", "resnet"},
    "gradients": {"plain"},
}


@dataclass(frozen=True)
class Facts:
    """Facts of the runs of one data set, for the templates."""

    runs: Runs
    data: str
    claims: list[Claim]

    @cached_property
    def finished(self) -> pd.DataFrame:
        """The runs that numbers are made of."""
        return self.runs.finished

    @cached_property
    def _flat(self) -> list[dict[str, Any]]:
        """The configs of the finished runs, or of all where none has finished."""
        return [flatten(self.runs.configs[folder]) for folder in self.runs.shown["folder"]]

    @cached_property
    def models(self) -> list[str]:
        """In the readers' order."""
        return [str(model) for model in self.finished["model"].unique()]

    @cached_property
    def depths(self) -> list[int]:
        """From shallow to deep."""
        return sorted(int(depth) for depth in self.finished["depth"].unique())

    @cached_property
    def seeds(self) -> tuple[int, int]:
        """The fewest and the most seeds of a model, depth and setting."""
        counts = self.finished.groupby(["model", "depth", "setting"], observed=True)["seed"].nunique()
        return (int(counts.min()), int(counts.max())) if len(counts) else (0, 0)

    def every(self, key: str) -> list[Any]:
        """The different values of a config's key in the finished runs; none where no run has the key."""
        values = [flat[key] for flat in self._flat if key in flat]
        return [value for index, value in enumerate(values) if value not in values[:index]]

    def only(self, key: str) -> Any:
        """The key's value where all finished runs agree, else None."""
        values = self.every(key)
        return values[0] if len(values) == 1 else None

    def measured(self, column: str) -> list[Any]:
        """The different values of a column of the finished runs, also of their earlier sittings; no missing ones."""
        values = [part[column] for part in self._makers if part.get(column) is not None]
        return list(dict.fromkeys([*values, *(value for value in self.finished[column].dropna() if value != "")]))

    @cached_property
    def _makers(self) -> list[dict[str, Any]]:
        return [part for folder in self.finished["folder"] for part in makers(self.runs.statuses[folder])]

    @property
    def all_cifar10(self) -> bool:
        """Whether the images are those of the papers."""
        return self.runs.on_cifar10(self.data)

    @property
    def title(self) -> str:
        """The data set's name in the text."""
        return self.runs.title(self.data)

    @property
    def holds_out(self) -> bool:
        """Whether some run kept training images aside and watched those."""
        return any(count for count in self.every("data.holdout"))

    @property
    def watches_test(self) -> bool:
        """Whether some run measured the test error every epoch."""
        return any(not count for count in self.every("data.holdout"))

    @property
    def epochs(self) -> str:
        """How long the runs were."""
        return words(sorted(int(count) for count in self.finished["epochs"].unique()))

    @property
    def is_short(self) -> bool:
        """Whether a run saw fewer epochs than the lab's 164."""
        return bool((self.finished["epochs"] < 164).any())

    def about(self, claim: Claim) -> bool:
        """Whether there are runs of the networks that the claim is about."""
        return _NEEDS.get(claim.key, set()) <= set(self.models)

    @property
    def judged(self) -> list[Claim]:
        """The claims that these runs have numbers for."""
        return [claim for claim in self.claims if claim.evidence and self.about(claim)]

    @property
    def unanswered(self) -> list[Claim]:
        """The claims about these networks that nothing was measured for."""
        return [claim for claim in self.claims if not claim.evidence and self.about(claim)]

    def claim(self, key: str) -> Claim | None:
        """The claim of that key, where these runs have numbers for it."""
        return next((claim for claim in self.judged if claim.key == key), None)

    @property
    def statistics(self) -> list[str]:
        """Mean and standard deviation of the training images' channels, for each different data set."""
        said = []
        for folder in self.finished["folder"]:
            data = self.runs.statuses[folder].get("data", {})
            if data.get("mean") and data.get("std"):
                mean, std = (", ".join(f"{value:.4f}" for value in data[name]) for name in ("mean", "std"))
                said.append(f"mean ({mean}), standard deviation ({std})")
        return list(dict.fromkeys(said))

    def _image_size(self) -> int | None:
        """Height and width of the images; None where it isn't known, or not the same for all."""
        if self.only("data.image_size"):
            return int(self.only("data.image_size"))
        recorded = [self.runs.statuses[folder].get("data", {}).get("image_shape") for folder in self.finished["folder"]]
        if recorded and all(shape and shape == recorded[0] and shape[0] == shape[1] for shape in recorded):
            return int(recorded[0][0])
        return cifar10.SIZE if self.all_cifar10 else _IMAGE_SIZES.get(self.only("data.kind"))

    def architecture(self) -> Table:
        """The layers of each depth: a row a stage, a column a depth."""
        size, width = self._image_size(), self.only("model.width")
        maps = ["full size", "half size", "quarter size"]
        if size:
            sides = [size, (size + 1) // 2, (size + 3) // 4]
            maps = [f"{side}×{side}" for side in sides]
        filters = [str(width * factor) if width else f"{factor} × width" for factor in (1, 2, 4)]
        rows = [["first convolution", maps[0], filters[0], *("1" for _ in self.depths)]]
        for stage, (side, count) in enumerate(zip(maps, filters, strict=True), 1):
            rows.append([f"stage {stage}", side, count, *(str((depth - 2) // 3) for depth in self.depths)])
        classes = words(int(count) for count in self.measured("classes"))
        rows.append(["average pooling, linear layer", "1×1", classes, *("1" for _ in self.depths)])
        heads = ["part", "map (pixels)", "filters", *(f"{depth} layers" for depth in self.depths)]
        frame = pd.DataFrame(rows, columns=heads)
        return Table(
            "architecture",
            "Weighted layers of each part",
            frame,
            "All convolutions of the stages are 3×3; the first one of stages 2 and 3 has stride 2.",
        )


def words(values: Iterable[Any], show: Callable[[Any], str] = str) -> str:
    """A list as in a sentence.

    >>> words([20, 56, 110]), words(["plain"]), words([])
    ('20, 56 and 110', 'plain', '')
    """
    shown = [show(value) for value in values]
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else "".join(shown)


def number(value: float) -> str:
    """A count with its thousands, or a number as it is.

    >>> number(50000), number(0.1)
    ('50,000', '0.1')
    """
    return f"{int(value):,}" if float(value).is_integer() else f"{value:g}"


def count(amount: int, noun: str) -> str:
    """So many of something.

    >>> count(1, "run"), count(9, "run")
    ('one run', '9 runs')
    """
    return f"one {noun}" if amount == 1 else f"{amount:,} {noun}s"
