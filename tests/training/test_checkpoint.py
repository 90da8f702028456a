"""A checkpoint is complete or rejected, contains no code, and has a predecessor to fall back on."""

import hashlib
import io
import pickle
import types

import pytest
import torch

from cifar_resnet.errors import ExitCode, RunError
from cifar_resnet.run.defaults import overridden
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.identity import run_name
from cifar_resnet.training import checkpoint, worker
from tests.conftest import TINY, compose_run, work
from tests.training.conftest import finish

CPU = torch.device("cpu")


@pytest.fixture
def run(tmp_path):
    run = RunDir(tmp_path)
    for step in (1, 2):
        checkpoint.save(run, {"step": step, "weights": torch.full((1000,), float(step))})
    return run


def test_the_latest_is_loaded(run):
    assert checkpoint.load(run, CPU)["step"] == 2


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-100], lambda data: b"", lambda data: data[:500] + b"x" + data[501:]]
)
def test_a_damaged_one_is_named_and_the_one_before_used(run, caplog, damage):
    run.checkpoint.write_bytes(damage(run.checkpoint.read_bytes()))
    assert checkpoint.load(run, CPU)["step"] == 1
    assert caplog.messages == [
        f"{run.checkpoint} is damaged: its checksum doesn't match its content; "
        "continuing from checkpoint.previous.pt instead"
    ]


def test_killed_between_the_two_names_nothing_is_lost(run):
    run.checkpoint.rename(run.previous_checkpoint)
    assert checkpoint.load(run, CPU)["step"] == 2


def test_two_damaged_ones_are_refused_with_what_to_do(run):
    for path in (run.checkpoint, run.previous_checkpoint):
        path.write_bytes(b"nothing")
    with pytest.raises(RunError, match="delete it to train the run from the start"):
        checkpoint.load(run, CPU)


@pytest.mark.parametrize("dump", [pickle.dump, torch.save])
def test_a_file_that_would_run_code_is_refused_and_runs_none(run, tmp_path, dump):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    buffer = io.BytesIO()
    dump(Bomb(), buffer)
    for path in (run.checkpoint, run.previous_checkpoint):
        path.write_bytes(buffer.getvalue() + hashlib.sha256(buffer.getvalue()).digest())
    with pytest.raises(RunError, match="is not a checkpoint of this program"):
        checkpoint.load(run, CPU)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [{"format": checkpoint.FORMAT - 1, "step": 2}, {"step": 2}, [checkpoint.FORMAT]])
def test_a_whole_file_of_another_format_is_refused(run, content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    for path in (run.checkpoint, run.previous_checkpoint):
        path.write_bytes(buffer.getvalue() + hashlib.sha256(buffer.getvalue()).digest())
    with pytest.raises(RunError, match=f"not a checkpoint of this program's format {checkpoint.FORMAT}"):
        checkpoint.load(run, CPU)


def test_what_is_loaded_is_what_was_saved(run):
    state = checkpoint.load(run, CPU)
    assert state.keys() == {"step", "weights"}
    assert torch.equal(state["weights"], torch.full((1000,), 2.0))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_tensors_are_loaded_on_the_device_asked_for(run, device):
    assert checkpoint.load(run, torch.device(device))["weights"].device.type == device
    network = torch.nn.Linear(2, 3)
    checkpoint.save_weights(run.final, network.state_dict())
    weights = checkpoint.Weights(run).load(network, torch.device(device))
    assert {name: (value.device.type, tuple(value.shape)) for name, value in weights.items()} == {
        "weight": (device, (3, 2)),
        "bias": (device, (3,)),
    }


def test_a_file_that_is_larger_than_any_checkpoint_is_refused_without_reading_it(run, monkeypatch):
    network = torch.nn.Linear(2, 3)
    checkpoint.save_weights(run.final, network.state_dict())
    monkeypatch.setattr(checkpoint, "_MOST_BYTES", 1_000)
    with pytest.raises(RunError, match=r"can't be read: .* has more than 1,000 bytes; delete it"):
        checkpoint.load(run, CPU)
    with pytest.raises(OSError, match="has more than 1,000 bytes"):
        checkpoint.Weights(run)


@pytest.mark.parametrize("content", [torch.ones(3), {"weight": [1.0, 2.0]}, {"weight": torch.ones(3), "step": 5}])
def test_a_file_without_tensors_by_name_contains_no_weights(run, content):
    torch.save(content, run.final)
    with pytest.raises(ValueError, match="expected tensors by name"):
        checkpoint.Weights(run)


@pytest.mark.parametrize(
    "other",
    [torch.nn.Linear(2, 4), torch.nn.Linear(2, 3, bias=False), torch.nn.Conv2d(2, 3, 1), torch.nn.Bilinear(2, 2, 3)],
)
def test_weights_of_another_network_are_refused_by_the_first_name_whose_shape_differs(run, other, monkeypatch):
    network, devices, load = torch.nn.Linear(2, 3), [], checkpoint._load
    monkeypatch.setattr(
        checkpoint, "_load", lambda content, device: devices.append(device.type) or load(content, device)
    )
    checkpoint.save_weights(run.final, other.state_dict())
    name = "bias" if other.bias is None else "weight"
    with pytest.raises(ValueError, match=f"^{name} has the shape .*; expected "):
        checkpoint.Weights(run).load(network, CPU)
    assert devices == ["meta"]  # so nothing was allocated for them


def test_a_run_whose_images_have_changed_is_refused(make_folder):
    run = make_folder("a", "optim.lr=0.01")
    finish(run)
    state = checkpoint.load(run, CPU)
    for path in (run.status, run.final, run.previous_checkpoint):
        path.unlink(missing_ok=True)
    checkpoint.save(run, {**state, "fingerprint": "0123456789abcdef"})
    refused = work(run)
    assert refused.returncode == ExitCode.USER
    assert "have changed since the run began (fingerprint 0123456789abcdef" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_checkpoints_within_a_long_epoch_follow_the_clock(make_folder):
    run = make_folder("a", "optim.lr=0.01", "runtime.checkpoint_seconds=0", "optim.batch_size=8", "optim.epochs=1")
    finish(run)
    assert checkpoint.load(run, CPU)["step"] == 8
    run.checkpoint.unlink()
    assert checkpoint.load(run, CPU)["step"] == 7


@pytest.mark.parametrize(
    ("seconds", "saved"), [(0, [1, 2, 3, 4, 5, 6, 7, 8]), (30, [3, 6, 8]), (50, [5, 8]), (3600, [8])]
)
def test_a_checkpoint_is_written_each_time_so_many_seconds_have_passed_since_the_last(
    make_folder, monkeypatch, seconds, saved
):
    clock = types.SimpleNamespace(now=5000.0)
    monkeypatch.setattr(worker, "time", types.SimpleNamespace(monotonic=lambda: clock.now))
    wanted, save, steps = worker.StopRequest.wanted, checkpoint.save, []

    def step_of_ten_seconds(stop):
        clock.now += 10
        return wanted(stop)

    monkeypatch.setattr(worker.StopRequest, "wanted", step_of_ten_seconds)
    monkeypatch.setattr(checkpoint, "save", lambda run, state: steps.append(state["step"]) or save(run, state))
    finish(make_folder("a", f"runtime.checkpoint_seconds={seconds}", "optim.batch_size=8", "optim.epochs=1"))
    assert steps == saved


def test_short_epochs_do_not_end_with_a_checkpoint_each(make_folder, monkeypatch):
    save, steps = checkpoint.save, []
    monkeypatch.setattr(checkpoint, "save", lambda run, state: steps.append(state["step"]) or save(run, state))
    run = make_folder("a", "runtime.checkpoint_seconds=3600", "optim.batch_size=8", "optim.epochs=3")
    finish(run)
    assert steps == [24]


def test_missing_weights_are_restored_by_the_training_command_only_where_it_uses_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = compose_run(*TINY, "out=outputs")
    run, renamed = RunDir(tmp_path / "outputs" / run_name(config, overridden(config))), RunDir(tmp_path / "my run")
    for each in (run, renamed):
        each.write_config(config)
        each.checkpoint.touch()
    assert checkpoint.remedy(run) == "run its training command again, which writes it from checkpoint.pt"
    expected = f"run python -m cifar_resnet.training.worker '{renamed.path}', which writes it from checkpoint.pt"
    assert checkpoint.remedy(renamed) == expected
