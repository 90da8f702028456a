"""The claims of He et al. and of the lab, judged on the runs; the docstring of each judge function gives its rule."""

from __future__ import annotations

from cifar_resnet.report.claims import by_errors, by_layers
from cifar_resnet.report.claims.claim import FAILS, HOLDS, OPEN, Case, Claim, Finding, JudgedClaim
from cifar_resnet.report.runs.collection import Runs

__all__ = ["CLAIMS", "FAILS", "HOLDS", "OPEN", "Claim", "Finding", "JudgedClaim", "judge"]

CLAIMS = (*by_errors.CLAIMS, *by_layers.CLAIMS)
"""All claims, in the order of the report."""


def judge(runs: Runs, data: str) -> list[JudgedClaim]:
    """What the finished runs of a data set, in its main setting, show about each of CLAIMS."""
    case = Case(runs, data)
    return [JudgedClaim(claim, claim.find(case)) for claim in CLAIMS]
