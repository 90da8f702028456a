"""Run folders with known numbers, for testing the report in real programs."""

from tests.report.conftest import make_run

__all__ = ["make_run"]
