"""Run folders whose numbers are known, for the tests of the report in real programs."""

from tests.report.conftest import make_run

__all__ = ["make_run"]
