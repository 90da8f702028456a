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
def test_on_a_cpu_bf16_is_recommended_where_it_is_clearly_faster(recommendation, precision):
    line = "on this CPU, a step of resnet-8 takes 200 ms in fp32 and {} ms in bf16: precision=bf16 {}\n"
    assert recommendation({"fp32": 0.2, "bf16": 0.1}, precision) == line.format(100, "pays")
    assert recommendation({"fp32": 0.2, "bf16": 0.19}, precision) == line.format(190, "does not pay")
    assert recommendation({"fp32": 0.2, "bf16": 0.3}, precision) == line.format(300, "does not pay")


def test_no_precision_is_recommended_for_a_gpu_or_in_place_of_another(recommendation):
    assert recommendation({}, gpus=1) == recommendation({}, precision="tf32") == ""
