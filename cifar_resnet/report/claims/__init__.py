"""The claims of He et al. and of the lab, judged on the runs at hand; each rule stands in its function's docstring."""

from __future__ import annotations

from cifar_resnet.report.claims import by_errors, by_layers
from cifar_resnet.report.claims.claim import FAILS, HOLDS, OPEN, Case, Claim
from cifar_resnet.report.runs.collection import Runs

__all__ = ["FAILS", "HOLDS", "OPEN", "Claim", "judge"]


def judge(runs: Runs, data: str) -> list[Claim]:
    """All six claims, in the order of their numbers, on the finished runs of a data set in its main setting."""
    case = Case(runs, data)
    return [
        by_errors.degradation(case),
        by_errors.shortcuts(case),
        by_errors.shallow(case),
        by_errors.preactivation(case),
        by_layers.responses(case),
        by_layers.gradients(case),
    ]
