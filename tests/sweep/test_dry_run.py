"""What a dry run prints besides the table of runs."""

import pytest

from cifar_resnet.run.config import from_container
from cifar_resnet.sweep import dry_run
from tests.conftest import TINY


@pytest.fixture
def recommendation(monkeypatch, composed, capsys):
    """What is printed for a run whose steps take this many seconds in each precision."""

    def of(seconds, precision="fp32", gpus=0):
        monkeypatch.setattr(dry_run, "count_slots", lambda device, runs_per_gpu: gpus)
        monkeypatch.setattr(
            dry_run,
            "_measure",
            lambda configs, at_a_time: [{"step_seconds": seconds[one.precision]} for one in configs],
        )
        dry_run._recommend_precision(from_container(composed(*TINY, f"precision={precision}")), at_a_time=2)
        return capsys.readouterr().out

    return of


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_on_a_cpu_the_faster_precision_is_recommended(recommendation, precision):
    line = "on this CPU, a step of resnet-8 takes {} ms in {} and {} ms in {}: use precision={}\n"
    assert recommendation({"fp32": 0.2, "bf16": 0.1}, precision) == line.format(100, "bf16", 200, "fp32", "bf16")
    assert recommendation({"fp32": 0.2, "bf16": 0.3}, precision) == line.format(200, "fp32", 300, "bf16", "fp32")


def test_no_precision_is_recommended_for_a_gpu_or_in_place_of_another(recommendation):
    assert recommendation({}, gpus=1) == recommendation({}, precision="tf32") == ""
