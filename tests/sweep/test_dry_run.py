"""What a dry run prints besides the table of runs."""

import pytest

from cifar_resnet.run.config import from_container
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State
from cifar_resnet.sweep import dry_run
from cifar_resnet.sweep.assignment import reason_to_skip
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


@pytest.mark.parametrize("retry_failed", [True, False])
@pytest.mark.parametrize("state", [State.PENDING, State.INTERRUPTED, State.FAILED, State.DIVERGED])
def test_the_time_left_is_that_of_runs_that_the_sweep_would_train(
    monkeypatch, composed, tmp_path, capsys, state, retry_failed
):
    cost = {"parameters": 1, "gflop": 1.0, "steps": 10, "step_seconds": 8.0, "seconds": 80.0}
    monkeypatch.setattr(dry_run, "_measure", lambda configs, at_a_time: [cost] * len(configs))
    values = composed(*TINY, f"runtime.retry_failed={str(retry_failed).lower()}", "precision=tf32")
    run = RunDir(tmp_path / "synthetic/resnet-8/seed0-1a2b3c4d")
    run.write_config(values)
    run.update_status(state=state, progress={"step": 5})
    dry_run.print_costs({run: from_container(values)}, at_a_time=1)
    skipped = reason_to_skip(run, state, retry_failed) is not None
    out = capsys.readouterr().out
    assert state.value in out
    assert f"about {'0 s' if skipped else '40 s'} in total" in out
