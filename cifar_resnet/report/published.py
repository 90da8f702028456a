"""Published results on CIFAR-10 with their sources, and the lab's marks.

All errors are percent of the test set's 10,000 images. Only runs on CIFAR-10 are compared with them, see
`is_comparable`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cifar_resnet.datasets.cifar10 import TEST_IMAGES, TRAIN_IMAGES

# Images that the paper held out for validation during development (section 4.2).
PAPER_HOLDOUT = 5_000
CHANCE_ACCURACY = 10.0
# The papers' entries of `SCHEDULES` and `OPTIMIZERS`, and the length of the lab's recipe.
PAPER_SCHEDULE, PAPER_OPTIMIZER, LAB_EPOCHS = "step", "sgd", 164
# What all published networks have in common, and in words.
NETWORK = {"shortcut": "A", "width": 16, "norm": "batch"}
NETWORK_WORDS = "option A shortcuts, 16 filters in the first stage and batch norm"
# The network that the lab gives marks for, and how; `lab_mark` computes them.
MARKED = ("resnet", 110)
MARKS = "100 for an accuracy above 93 %, 90 from 90 %, 80 from 87 %, 70 below that, 0 at chance"

_HE_2015 = "He et al. 2015 (arXiv 1512.03385), Table 6 and section 4.2"
_HE_2016 = "He et al. 2016 (arXiv 1603.05027), Table 2"
_LAB = "the lab's own runs on one Titan X (Maxwell)"
_AKAMASTER = "README of akamaster/pytorch_resnet_cifar10"
_HYSTS = "README of hysts/pytorch_image_classification"


REFERENCES = {
    "He 2015": "K. He, X. Zhang, S. Ren, J. Sun (2015). *Deep Residual Learning for Image Recognition.* arXiv "
    "1512.03385.",
    "He 2015b": "K. He, X. Zhang, S. Ren, J. Sun (2015b). *Delving Deep into Rectifiers: Surpassing Human-Level "
    "Performance on ImageNet Classification.* arXiv 1502.01852.",
    "He 2016": "K. He, X. Zhang, S. Ren, J. Sun (2016). *Identity Mappings in Deep Residual Networks.* arXiv "
    "1603.05027.",
    "Krizhevsky": "A. Krizhevsky (2009). *Learning Multiple Layers of Features from Tiny Images.* Technical report, "
    "University of Toronto.",
    "adamw": "I. Loshchilov, F. Hutter (2019). *Decoupled Weight Decay Regularization.* ICLR.",
    "muon": "K. Jordan et al. (2024). *Muon: An optimizer for hidden layers in neural networks.* "
    "`kellerjordan.github.io/posts/muon`",
    "Welch": "B. L. Welch (1947). *The generalization of “Student's” problem when several different population "
    "variances are involved.* Biometrika 34.",
    "Holm": "S. Holm (1979). *A simple sequentially rejective multiple test procedure.* Scandinavian Journal of "
    "Statistics 6.",
    "Agresti and Caffo": "A. Agresti, B. Caffo (2000). *Simple and effective confidence intervals for proportions and "
    "differences of proportions result from adding two successes and two failures.* The American Statistician 54.",
    "Agresti and Min": "A. Agresti, Y. Min (2005). *Simple improved confidence intervals for comparing matched "
    "proportions.* Statistics in Medicine 24.",
    "Dodge": "J. Dodge, S. Gururangan, D. Card, R. Schwartz, N. A. Smith (2019). *Show Your Work: Improved Reporting "
    "of Experimental Results.* EMNLP.",
    "akamaster": "Y. Idelbayev. *Proper ResNet Implementation for CIFAR10/CIFAR100 in PyTorch.* "
    "`github.com/akamaster/pytorch_resnet_cifar10`",
    "hysts": "hysts. *PyTorch Image Classification.* `github.com/hysts/pytorch_image_classification`",
}
"""Short name → what the report may cite, in Markdown, in the order of the list."""


@dataclass(frozen=True)
class Published:
    """A published test error.

    Attributes:
        model: as in `ARCHITECTURES`.
        depth: layers.
        error: percent.
        who: paper, lab or others.
        source: where it was published.
        std: standard deviation over runs in percentage points, where given.
        note: the epoch or run that the error is from, where the source states it.
    """

    model: str
    depth: int
    error: float
    who: str
    source: str
    std: float | None = None
    note: str = ""

    @property
    def text(self) -> str:
        """The error as a table shows it.

        >>> Published("resnet", 110, 6.61, "paper", "", std=0.16).text
        '6.61 ± 0.16'
        """
        return f"{self.error:.2f}" if self.std is None else f"{self.error:.2f} ± {self.std:.2f}"


PUBLISHED = (
    Published("resnet", 20, 8.75, "paper", _HE_2015),
    Published("resnet", 32, 7.51, "paper", _HE_2015),
    Published("resnet", 44, 7.17, "paper", _HE_2015),
    Published("resnet", 56, 6.97, "paper", _HE_2015),
    # The mean of the five runs, not the best one's 6.43, is what a mean over seeds is compared with.
    Published("resnet", 110, 6.61, "paper", _HE_2015, std=0.16, note="mean of 5 runs; best 6.43"),
    Published("resnet", 1202, 7.93, "paper", _HE_2015),
    Published("preact", 110, 6.37, "paper", _HE_2016, note="median of 5 runs"),
    # Given as accuracies: 92.37, 93.53 and 93.95 %.
    Published("resnet", 20, 7.63, "lab", _LAB, note="0.58 h"),
    Published("resnet", 56, 6.47, "lab", _LAB, note="1.48 h"),
    Published("resnet", 110, 6.05, "lab", _LAB, note="2.87 h"),
    Published("resnet", 20, 8.27, "others", _AKAMASTER, note="best epoch"),
    Published("resnet", 32, 7.37, "others", _AKAMASTER, note="best epoch"),
    Published("resnet", 44, 6.90, "others", _AKAMASTER, note="best epoch"),
    Published("resnet", 56, 6.61, "others", _AKAMASTER, note="best epoch"),
    Published("resnet", 110, 6.32, "others", _AKAMASTER, note="best epoch"),
    Published("resnet", 1202, 6.18, "others", _AKAMASTER, note="best epoch"),
    Published("resnet", 110, 6.52, "others", _HYSTS, note="final epoch, median of 3 runs"),
    Published("preact", 110, 6.47, "others", _HYSTS, note="final epoch, median of 3 runs"),
)


def published(model: str, depth: int, who: str) -> list[Published]:
    """The errors that `who` (paper, lab or others) published for a network."""
    return [one for one in PUBLISHED if (one.model, one.depth, one.who) == (model, depth, who)]


def is_published_network(config: Mapping[str, Any]) -> bool:
    """Whether a run's network is the published one of its model and depth, trained from new weights."""
    model = config["model"]
    return config.get("init_from") is None and all(model.get(key, value) == value for key, value in NETWORK.items())


def is_comparable(run: Mapping[Any, Any]) -> bool:
    """Whether a run's error can be compared with published ones.

    That is, if its network is the published one, on CIFAR-10, with all test images and at most 5,000 images held out.

    Args:
        run: a row of the table of runs.
    """
    images = (run["train_images"] or 0) >= TRAIN_IMAGES - PAPER_HOLDOUT and run["test_images"] == TEST_IMAGES
    return bool(run["is_cifar10"] and run["is_published_network"] and images)


def lab_mark(accuracy: float) -> int:
    """The lab's mark for ResNet-110: 100 above 93 %, 90 from 90 %, 80 from 87 %, 70 below that, 0 at chance (10 %).

    An accuracy counts as chance up to what 10,000 guesses stay below with 97.5 % probability: 10 % plus 1.96 standard
    errors, 10.59 %.

    >>> [lab_mark(accuracy) for accuracy in (93.95, 93.0, 90.0, 87.0, 86.9, 10.0)]
    [100, 90, 90, 80, 70, 0]
    """
    guess = CHANCE_ACCURACY / 100
    if accuracy <= CHANCE_ACCURACY + 196 * (guess * (1 - guess) / TEST_IMAGES) ** 0.5:
        return 0
    if accuracy > 93:
        return 100
    return 90 if accuracy >= 90 else 80 if accuracy >= 87 else 70
