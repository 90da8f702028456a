"""What a sweep shares out: cores and GPUs."""

import pytest

from cifar_resnet import devices


@pytest.mark.parametrize(
    ("gpus", "visible", "chosen"),
    [
        (0, "", [None, None, None]),
        (2, "", ["0", "1", "0"]),
        (2, "3,5", ["3", "5", "3"]),
        (1, "GPU-8932f937", ["GPU-8932f937"] * 3),
    ],
)
def test_runs_go_to_the_gpus_in_turn(monkeypatch, gpus, visible, chosen):
    monkeypatch.setattr(devices, "count_gpus", lambda: gpus)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [devices.gpu_of_run(index) for index in range(3)] == chosen


@pytest.mark.parametrize(("device", "gpus", "n_jobs"), [("auto", 4, 4), ("cuda", 2, 2), ("cpu", 4, 6), ("auto", 0, 6)])
def test_a_sweep_runs_as_many_at_a_time_as_there_are_gpus_or_else_cores(monkeypatch, device, gpus, n_jobs):
    monkeypatch.setattr(devices, "count_gpus", lambda: gpus)
    monkeypatch.setattr(devices, "count_cores", lambda: 6)
    assert devices.default_n_jobs(device) == n_jobs


def test_cores_respect_the_limit_that_joblib_respects(monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert devices.count_cores() == 1
