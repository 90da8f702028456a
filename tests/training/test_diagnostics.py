"""Diagnostics measure what their columns state, and measuring changes nothing in a run."""

import csv
import dataclasses
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.run.states import State
from cifar_resnet.training import describe, diagnostics, models
from cifar_resnet.training.data import Split
from cifar_resnet.training.models import build_network
from tests.training.conftest import finish
from tests.training.test_loop import finish as to_the_end
from tests.training.test_loop import results
from tests.training.test_worker import metrics

ENABLED = ("diagnostics.enabled=true", "diagnostics.every=2")


def by_hand(network, images, labels):
    """The same numbers, from a network written as lists of layers without in-place operations."""
    outputs, responses, ratios = [], [], []

    def convolve(convolution, x):
        outputs.append(convolution(x))
        outputs[-1].retain_grad()
        return outputs[-1]

    x = convolve(network.conv1, images)
    responses.append(network.blocks[0].bn1(x) if network.preact else network.bn(x))
    if not network.preact:
        x = F.relu(responses[-1])
    for index, block in enumerate(network.blocks):
        if network.preact:
            activated = F.relu(block.bn1(x))
            responses.append(block.bn2(convolve(block.conv1, activated)))
            branch = convolve(block.conv2, F.relu(responses[-1]))
            shortcut = block.shortcut(activated if index == 0 else x)
            x = branch + shortcut
        else:
            responses.append(block.bn1(convolve(block.conv1, x)))
            branch = block.bn2(convolve(block.conv2, F.relu(responses[-1])))
            shortcut = block.shortcut(x) if hasattr(block, "shortcut") else None
            x = F.relu(branch if shortcut is None else branch + shortcut)
        responses.append(branch)
        ratios += [math.nan, math.nan if shortcut is None else (branch.norm() / shortcut.norm()).item()]
    if network.preact:
        x = F.relu(network.bn(x))
    F.cross_entropy(network.linear(x.mean((2, 3))), labels).backward()
    weights = [module.weight for module in network.modules() if getattr(module, "kernel_size", None) == (3, 3)]
    return {
        "weight_grad_norm": [weight.grad.norm().item() for weight in weights],
        "output_grad_norm": [output.grad.norm().item() for output in outputs],
        "response_std": [response.std().item() for response in responses],
        "branch_ratio": [math.nan, *ratios],
    }


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_each_number_is_that_of_a_network_written_out_by_hand(name, norm):
    torch.manual_seed(0)
    network = build_network(name, 14, "A", width=8, norm=norm)
    images, labels = torch.randn(8, 3, 12, 12), torch.arange(8)
    rows = diagnostics.measure_layers(network, images, labels)
    assert [row["layer"] for row in rows] == list(range(1, 14))
    for column, expected in by_hand(network.train(), images, labels).items():
        assert [row[column] for row in rows] == pytest.approx(expected, rel=1e-4, nan_ok=True), column
    assert [math.isnan(row["branch_ratio"]) for row in rows[:3]] == [True, True, name == "plain"]


class OwnBlock(nn.Module):
    """A residual block that inherits from none of ours."""

    preactivated = False

    def __init__(self, spec):
        super().__init__()
        block = models.ResidualBlock(spec)
        self.conv1, self.bn1, self.conv2, self.bn2 = block.conv1, block.bn1, block.conv2, block.bn2
        self.shortcut = block.shortcut

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.shortcut(x))


@pytest.mark.parametrize("has_shortcuts", [True, False])
def test_the_registry_decides_which_blocks_have_a_branch_ratio(monkeypatch, has_shortcuts):
    monkeypatch.setattr(models, "OwnBlock", OwnBlock, raising=False)
    entry = dataclasses.replace(ARCHITECTURES["resnet"], block="OwnBlock", has_shortcuts=has_shortcuts)
    monkeypatch.setitem(ARCHITECTURES, "own", entry)
    network = build_network("own", 8, "A", width=4)
    rows = diagnostics.measure_layers(network, torch.randn(4, 3, 8, 8), torch.arange(4))
    assert [math.isnan(row["branch_ratio"]) for row in rows] == [True, *[True, not has_shortcuts] * 3]


def test_the_network_is_left_as_it_is():
    network = build_network("resnet", 8).eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    diagnostics.measure_layers(network, torch.randn(4, 3, 8, 8), torch.arange(4))
    assert not network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_the_batch_is_one_for_all_runs_and_has_all_classes_of_a_sorted_folder():
    labels = torch.arange(10).repeat_interleave(100)
    split = Split(torch.arange(1000).reshape(-1, 1, 1, 1).to(torch.uint8), labels)
    (images, chosen), (again, _) = diagnostics.choose_batch(split), diagnostics.choose_batch(split)
    assert torch.equal(images, again)
    assert len(chosen) == diagnostics.BATCH
    assert len(chosen.unique()) == 10


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_training_is_bit_for_bit_the_same_with_and_without(training, model):
    plain, measured = (training(f"model={model}", "optim.epochs=3", *words) for words in ((), ENABLED))
    measured.diagnose()
    assert results(to_the_end(measured)) == results(to_the_end(plain))
    assert list(dict.fromkeys(row["epoch"] for row in measured.diagnostics)) == [0, 2, 3]
    assert plain.diagnostics == []


def test_a_run_leaves_the_same_weights_and_metrics_with_and_without(make_folder):
    plain, measured = make_folder("without"), make_folder("with", *ENABLED)
    finish(plain), finish(measured)
    assert metrics(plain) == metrics(measured)
    assert plain.final.read_bytes() == measured.final.read_bytes()
    assert not plain.diagnostics.exists()
    rows = list(csv.DictReader(measured.diagnostics.open()))
    assert [(row["epoch"], row["layer"]) for row in rows] == [(e, str(n)) for e in "02" for n in range(1, 8)]
    assert rows[0]["weight_grad_norm"] != rows[7]["weight_grad_norm"]
    assert [row["branch_ratio"] == "" for row in rows[:3]] == [True, True, False]


@pytest.mark.parametrize("step", [1, 8, 16, 17])
def test_a_run_stopped_and_continued_records_the_same(training, step):
    whole, stopped, continued = (training(*ENABLED, "optim.epochs=3") for _ in range(3))
    whole.diagnose(), stopped.diagnose()
    while stopped.step < step:
        stopped.train_epoch(lambda: stopped.step == step)
    continued.load(stopped.state())
    assert repr(to_the_end(continued).diagnostics) == repr(to_the_end(whole).diagnostics)  # NaN doesn't equal NaN


def test_a_finished_run_gets_those_of_its_beginning_and_its_end(make_folder):
    late, whole = make_folder("late"), make_folder("whole", "diagnostics.enabled=true")
    finish(late), finish(whole)
    final = late.final.read_bytes()
    late.write_config(whole.read_config())
    assert late.verified_state(late.read_config()) is State.INTERRUPTED
    finish(late)
    assert late.diagnostics.read_bytes() == whole.diagnostics.read_bytes()
    assert late.final.read_bytes() == final
    assert "finished before; skipped" in finish(late)


def test_the_process_that_adds_them_has_trained_nothing(make_folder, monkeypatch):
    run = make_folder("a")
    finish(run)
    recorded = run.read_status()
    run.write_config(make_folder("b", "diagnostics.enabled=true").checked_config())
    monkeypatch.setattr(describe, "git_commit", lambda: "a later one")
    finish(run)
    assert run.diagnostics.exists()
    assert {key: run.read_status()[key] for key in describe.HISTORY if key in recorded} == {
        key: recorded[key] for key in describe.HISTORY if key in recorded
    }


def test_a_damaged_table_is_written_again_from_the_checkpoint(make_folder):
    run = make_folder("a", "diagnostics.enabled=true")
    finish(run)
    whole = run.diagnostics.read_bytes()
    run.diagnostics.write_bytes(whole[:100])
    assert run.verified_state() is State.INTERRUPTED
    finish(run)
    assert run.diagnostics.read_bytes() == whole
    assert run.verified_state() is State.FINISHED


def test_without_a_checkpoint_a_finished_run_is_not_trained_again_for_them(make_folder):
    run = make_folder("a")
    finish(run)
    wanted = {**run.read_config(), "diagnostics": {"enabled": True, "every": 1}}
    assert run.verified_state(wanted) is State.INTERRUPTED
    run.checkpoint.unlink()
    assert run.verified_state(wanted) is State.FINISHED
