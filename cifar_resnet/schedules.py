"""The registry of learning-rate schedules: the rate of every step, and how a report describes it; imports no torch.

To add a schedule, write a function here, add its entry to `SCHEDULES`, and a recipe that uses it to conf/optim/.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cifar_resnet.notation import number


@dataclass(frozen=True)
class Course:
    """The inputs of a schedule; all lengths are in steps.

    Attributes:
        lr: the recipe's `optim.lr`.
        total: steps of the whole run.
        milestones: steps after which the rate changes.
        gamma: factor of the rate at a milestone.
        peak: fraction of the run at which the rate is highest.
    """

    lr: float
    total: int
    milestones: tuple[int, ...] = ()
    gamma: float = 1.0
    peak: float = 0.0


@dataclass(frozen=True)
class ScheduleKind:
    """A schedule.

    Attributes:
        title: noun phrase for running text.
        lr_at: (course, number of finished steps) → learning rate of the next step.
        describe: values of `optim`, by key → completes "The learning rate …", without a full stop. A value that
            differs between the runs described is left out.
        keys: the keys of `optim` that it reads, besides the length and `lr`.
    """

    title: str
    lr_at: Callable[[Course, int], float]
    describe: Callable[[dict[str, Any]], str]
    keys: tuple[str, ...]


def step_lr(course: Course, step: int) -> float:
    """`lr`, multiplied by `gamma` after each milestone."""
    return course.lr * course.gamma ** bisect_right(course.milestones, step)


def describe_step(optim: dict[str, Any]) -> str:
    """The step schedule in words."""
    milestones, length, unit = optim.get("milestones"), optim.get("iterations") or optim.get("epochs"), _unit(optim)
    begins = f"begins at {_shown(optim.get('lr'), 'value')}"
    drops = f"{begins} and is multiplied by {_shown(optim.get('gamma'), 'factor')}"
    if milestones and length is not None:
        # Those of a run of one epoch, for example, scale to its end.
        milestones = [milestone for milestone in milestones if milestone < length]
    if milestones == []:
        return begins
    if milestones is None or unit is None:
        return f"{drops} at milestones that differ between runs"
    listed = [number(milestone) for milestone in milestones]
    joined = f"{', '.join(listed[:-1])} and {listed[-1]}" if len(listed) > 1 else listed[0]
    return f"{drops} after {joined} {unit}{'' if milestones == [1] else 's'}"


def _unit(optim: dict[str, Any]) -> str | None:
    """The unit of the milestones; None if only some lengths are in steps. A length in the other unit is null."""
    if "iterations" in optim:
        return "epoch" if optim["iterations"] is None else "step"
    # The lengths differ: all of them are in steps, or only some.
    return "step" if "epochs" in optim and optim["epochs"] is None else None


def onecycle_lr(course: Course, step: int) -> float:
    """Rises linearly to `lr` at the fraction `peak` of the run, then falls linearly to 0."""
    up = round(course.peak * course.total)
    # No step is wasted at a rate of 0, neither the first nor the last.
    if step < up:
        return course.lr * (step + 1) / up
    return course.lr * (course.total - step) / (course.total - up)


def describe_onecycle(optim: dict[str, Any]) -> str:
    """One cycle in words."""
    highest, peak = _shown(optim.get("lr"), "value"), optim.get("peak")
    if peak is None:
        return f"rises linearly to {highest} and falls linearly to zero"
    rise = f"rises linearly to {highest} over the first {number(100 * peak)} % of the steps"
    return f"{rise} and falls linearly to zero over the rest"


def cosine_lr(course: Course, step: int) -> float:
    """From `lr` to 0 along half a cosine (Loshchilov and Hutter 2017)."""
    return course.lr * (1 + math.cos(math.pi * step / course.total)) / 2


def describe_cosine(optim: dict[str, Any]) -> str:
    """Half a cosine in words."""
    return f"falls from {_shown(optim.get('lr'), 'value')} to zero along half a cosine"


def _shown(value: Any, noun: str) -> str:
    """A value of `optim`, or a note that it differs between runs."""
    return f"a {noun} that differs between runs" if value is None else number(value)


SCHEDULES: dict[str, ScheduleKind] = {
    "step": ScheduleKind("steps", step_lr, describe_step, ("milestones", "gamma")),
    "onecycle": ScheduleKind("one cycle of the learning rate", onecycle_lr, describe_onecycle, ("peak",)),
    "cosine": ScheduleKind("a cosine-shaped decay of the learning rate", cosine_lr, describe_cosine, ()),
}
