"""The keys of the network and of its initial state."""

import pytest
import torch
from torch import nn

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.run.files import digest
from cifar_resnet.sweep import launch
from cifar_resnet.training import models
from tests.conftest import TINY, work
from tests.every_key import acts
from tests.training.conftest import finish, images_seen


def convolutions(run, size):
    return [m for m in run.network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (size, size)]


@acts("depth", "depth=14")
def test_depth_counts_the_3x3_convolutions_and_the_linear_layer(training, overrides):
    assert len(convolutions(training(*overrides), 3)) == 13


@acts("seed", "seed=7")
def test_seed_draws_the_weights_and_the_order_of_the_images(training, overrides):
    run, usual = training(*overrides, "data.augment=false"), training("data.augment=false")
    assert not torch.equal(run.network.conv1.weight, usual.network.conv1.weight)
    assert not torch.equal(images_seen(run)[0], images_seen(usual)[0])


@acts("precision", "precision=bf16")
def test_precision_is_the_outputs(training, overrides):
    run = training(*overrides)
    dtypes = set()
    run.network.linear.register_forward_hook(lambda module, inputs, output: dtypes.add(output.dtype))
    run.train_epoch(lambda: False)
    assert dtypes == {torch.bfloat16}


@acts("model.name", "model=plain")
def test_name_chooses_the_kind_of_block(training, overrides):
    assert {type(block) for block in training(*overrides).network.blocks} == {models.PlainBlock}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_model_has_blocks_of_its_own_kind(training, name):
    assert {type(block) for block in training(f"model={name}").network.blocks} == {
        getattr(models, ARCHITECTURES[name].block)
    }


@acts("model.shortcut", "model.shortcut=B")
def test_shortcut_b_projects_where_the_shape_changes(training, overrides):
    assert [c.weight.shape[:2] for c in convolutions(training(*overrides), 1)] == [(32, 16), (64, 32)]


@acts("model.width", "model.width=5")
def test_width_is_the_filters_of_the_stages(training, overrides):
    assert [c.out_channels for c in convolutions(training(*overrides), 3)] == [5, 5, 5, 10, 10, 20, 20]


@acts("model.norm", "model.norm=none")
def test_norm_none_leaves_batch_norm_out(training, overrides):
    assert not [m for m in training(*overrides).network.modules() if isinstance(m, nn.BatchNorm2d)]


@acts("model.init_linear", "model.init_linear=small")
def test_init_linear_small_draws_small_weights(training, overrides):
    assert training(*overrides).network.linear.weight.std().item() == pytest.approx(0.01, rel=0.1)


@acts("model.zero_init_residual", "model.zero_init_residual=true")
def test_zero_init_residual_begins_each_branch_at_zero(training, overrides):
    assert not any(block.bn2.weight.any() for block in training(*overrides).network.blocks)


@acts("init_from", "init_from=elsewhere")
def test_init_from_begins_with_the_final_weights_of_that_run(make_folder, overrides, monkeypatch):
    first = make_folder("elsewhere")
    finish(first)
    monkeypatch.chdir(first.path.parent)
    still = ["optim.lr=1e-12", "optim.weight_decay=0", "optim.epochs=1", "seed=1"]
    second = make_folder("second", *overrides, *still)
    finish(second)
    before, after = (torch.load(run.final, weights_only=True)["conv1.weight"] for run in (first, second))
    torch.testing.assert_close(after, before)
    origin = {"folder": str(first.path), "hash": first.read_status()["hash"], "metrics": digest(first.metrics)}
    assert second.read_status()["init_from"] == origin
    first.final.write_bytes(first.final.read_bytes()[:-1])
    third = work(make_folder("third", *overrides, *still))
    assert third.returncode == 2
    assert "(it is not the one that the run finished with)" in third.stderr
    assert "if the file is damaged, delete it and run python -m cifar_resnet.training.worker elsewhere" in third.stderr


@acts("diagnostics.enabled", "diagnostics.enabled=true")
def test_diagnostics_are_measured_where_they_are_asked_for(training, overrides):
    run, without = training(*overrides), training()
    run.diagnose(), without.diagnose()
    assert [row["layer"] for row in run.diagnostics] == [1, 2, 3, 4, 5, 6, 7]
    assert without.diagnostics == []


@acts("diagnostics.every", "diagnostics.every=2")
def test_every_is_the_number_of_epochs_between_two_diagnostics(training, overrides):
    run = training(*overrides, "diagnostics.enabled=true", "optim.epochs=5")
    run.diagnose()
    while not run.finished:
        run.train_epoch(lambda: False)
    assert list(dict.fromkeys(row["epoch"] for row in run.diagnostics)) == [0, 2, 4, 5]


@acts("out", "out=elsewhere")
def test_out_is_the_folder_of_the_runs_folders(train_py, tmp_path, monkeypatch, overrides):
    trained = []
    monkeypatch.setattr(launch, "train", lambda assignment, *_: trained.append(assignment.run) or 0)
    monkeypatch.setattr(launch, "objective", lambda run: None)
    done = train_py(*TINY, *overrides)
    assert done.returncode == 0, done.stderr
    assert [run.path.parents[2] for run in trained] == [tmp_path / "elsewhere"]
