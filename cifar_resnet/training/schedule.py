"""The learning rate of every step: a schedule from the registry, and the warm-up of deep networks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cifar_resnet.run.schema import OptimConfig
from cifar_resnet.schedules import SCHEDULES, Course

WARMUP_FACTOR = 0.1
WARMUP_ERROR = 80.0
WARMUP_DEPTH = 110
_SMOOTHING = 0.95


def count_steps(images: int, batch_size: int) -> int:
    """Steps per epoch; a last batch with a single image is dropped, because batch norm can't train on it."""
    steps, rest = divmod(images, batch_size)
    return max(1, steps + (rest > 1))


@dataclass(frozen=True)
class Schedule:
    """The number of steps of the run and of an epoch, and the learning rate without warm-up."""

    kind: str
    steps_per_epoch: int
    course: Course

    @classmethod
    def of(cls, optim: OptimConfig, steps_per_epoch: int) -> Schedule:
        """The schedule that `optim` describes, with its milestones converted to steps."""
        unit = 1 if optim.epochs is None else steps_per_epoch
        length = optim.iterations if optim.epochs is None else optim.epochs
        assert length is not None
        milestones = tuple(milestone * unit for milestone in optim.milestones)
        course = Course(optim.lr, length * unit, milestones, optim.gamma, optim.peak)
        return cls(optim.schedule, steps_per_epoch, course)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.course.total

    @property
    def epochs(self) -> int:
        """Passes over the training set; the last may be incomplete if the length is given in steps."""
        return -(-self.total_steps // self.steps_per_epoch)

    def lr_at(self, step: int) -> float:
        """The learning rate of the step that follows `step` finished ones."""
        return SCHEDULES[self.kind].lr_at(self.course, step)

    def epoch_end(self, step: int) -> int:
        """The step at which the epoch containing `step` ends."""
        return min((step // self.steps_per_epoch + 1) * self.steps_per_epoch, self.total_steps)


@dataclass
class Warmup:
    """Divides the learning rate by 10 at first, for a number of steps or until the training error is low enough.

    He et al. 2015, section 4.2, start ResNet-110 at 0.01 "until the training error is below 80%". Here that error is
    an exponential average over about 20 batches that starts at 100 %, so that one lucky batch can't end it. It stays
    on the device, so that no step waits for a GPU.
    """

    steps_left: int
    until_error: float | None = None
    error: Tensor = field(default_factory=lambda: torch.tensor(100.0, dtype=torch.float64))  # (), percent
    # The possible values of `factor`, on the device of `error`, so that none has to be copied there at each step.
    factors: Tensor = field(default_factory=lambda: torch.tensor([1.0, WARMUP_FACTOR]))

    @classmethod
    def of(cls, warmup: int | str, depth: int, steps_per_epoch: int) -> Warmup:
        """The warm-up that `optim.warmup` describes, at this depth."""
        if warmup == "auto":
            return cls(steps_per_epoch if depth >= WARMUP_DEPTH else 0, WARMUP_ERROR)
        return cls(0 if warmup == "none" else int(warmup))

    @property
    def factor(self) -> float | Tensor:
        """Factor of the next step's learning rate: a number, or a () float32 tensor on the device of `error`."""
        if self.steps_left == 0:
            return 1.0
        if self.until_error is None:
            return WARMUP_FACTOR
        return torch.where(self.error < self.until_error, self.factors[0], self.factors[1])

    def to(self, device: torch.device) -> None:
        """Moves the tensors to a device."""
        self.error, self.factors = self.error.to(device), self.factors.to(device)

    @property
    def watches_error(self) -> bool:
        """Whether the training error can end the warm-up, so that `observe` needs it."""
        return self.steps_left > 0 and self.until_error is not None

    def observe(self, batch_error: Tensor) -> None:
        """Updates the running error with a batch's training error, (), in percent; in place, as CUDA graphs require."""
        if self.steps_left > 0 and self.until_error is not None:
            # Once below the threshold, it no longer changes, so the warm-up can't resume.
            running = _SMOOTHING * self.error + (1 - _SMOOTHING) * batch_error
            self.error.copy_(torch.where(self.error < self.until_error, self.error, running))

    def advance(self) -> None:
        """Counts one finished step."""
        self.steps_left = max(0, self.steps_left - 1)

    def state(self) -> dict[str, Any]:
        """The state stored in a checkpoint."""
        return {"steps_left": self.steps_left, "error": self.error}

    def load(self, state: dict[str, Any]) -> None:
        """Restores a state returned by `state`."""
        self.steps_left = int(state["steps_left"])
        self.error.copy_(state["error"])
