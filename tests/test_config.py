"""The configuration has its documented values, and impossible ones are rejected with one line."""

import copy
import dataclasses
import re

import pytest
import yaml

from cifar_resnet.errors import ConfigError
from cifar_resnet.run import later_keys, schema
from cifar_resnet.run.config import from_container, nearest_depths
from cifar_resnet.run.defaults import REPO_ROOT, folder_name, scaled_milestones
from cifar_resnet.run.schema import FIELDS


def test_default_is_resnet20_on_cifar10_with_the_labs_recipe(composed):
    config = composed()
    assert (config["model"]["name"], config["depth"], config["data"]["kind"]) == ("resnet", 20, "cifar10")
    optim = config["optim"]
    assert (optim["epochs"], optim["batch_size"], optim["lr"], optim["momentum"]) == (164, 128, 0.1, 0.9)
    assert (optim["weight_decay"], optim["gamma"], optim["warmup"]) == (1e-4, 0.1, "auto")
    assert optim["milestones"] == [81, 122]


@pytest.mark.parametrize(("epochs", "milestones"), [(164, [81, 122]), (12, [6, 9]), (8, [4, 6]), (328, [162, 244])])
def test_milestones_scale_with_the_epochs(composed, epochs, milestones):
    assert composed(f"optim.epochs={epochs}")["optim"]["milestones"] == milestones


@pytest.mark.parametrize("written", ["outputs/a", "./outputs/a", "outputs/a/", "outputs/b/../a"])
def test_a_run_in_init_from_is_the_same_however_its_folder_is_written(composed, written):
    assert composed(f"init_from={written}")["init_from"] == "outputs/a"


def test_explicit_milestones_are_taken_as_they_are(composed):
    assert composed("optim.epochs=12", "optim.milestones=[3,11]")["optim"]["milestones"] == [3, 11]
    assert composed("optim.milestones=[]")["optim"]["milestones"] == []


def test_paper_recipe_counts_iterations_and_scales_with_them(composed):
    optim = composed("optim=paper")["optim"]
    assert (optim["epochs"], optim["iterations"], optim["milestones"]) == (None, 64_000, [32_000, 48_000])
    assert composed("optim=paper", "optim.iterations=6400")["optim"]["milestones"] == [3200, 4800]


@pytest.mark.parametrize(
    ("overrides", "milestones"),
    [
        (["optim.epochs=null", "optim.iterations=64000"], [31_610, 47_610]),
        (["optim=paper", "optim.iterations=null", "optim.epochs=20"], [10, 15]),
    ],
)
def test_milestones_are_at_the_same_fractions_of_a_length_in_the_other_unit(composed, overrides, milestones):
    assert composed(*overrides)["optim"]["milestones"] == milestones


@pytest.mark.parametrize("epochs", range(1, 40))
def test_scaled_milestones_lie_within_the_run_and_increase(epochs):
    milestones = scaled_milestones(epochs, None, 164, [81, 122])
    assert milestones == sorted(set(milestones))
    assert all(0 < milestone <= epochs for milestone in milestones)


@pytest.mark.parametrize(("depth", "nearest"), [(21, (20, 26)), (0, (8, 14)), (57, (56, 62)), (-5, (8, 14))])
def test_nearest_depths_are_the_two_around(depth, nearest):
    assert nearest_depths(depth) == nearest


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("depth=21", r"depth=21: expected 6n\+2 .*; nearest are 20 and 26"),
        ("depth=2", "nearest are 8 and 14"),
        ("seed=-1", "seed=-1: expected an integer from 0"),
        ("precision=fp8", "expected one of fp32, tf32, bf16"),
        ("model.shortcut=C", "expected one of A, B"),
        ("model.width=0", "model.width=0: expected an integer of 1 or more"),
        ("model.norm=layer", "model.norm=layer: expected one of batch, none"),
        ("model.init_linear=tiny", "expected one of kaiming, small"),
        ("optim.batch_size=0", "optim.batch_size=0: expected an integer of 1 or more"),
        ("optim.epochs=0", "optim.epochs=0"),
        ("optim.epochs=null", "expected one of them, and null for the other"),
        ("optim.iterations=100", "expected one of them, and null for the other"),
        ("optim.lr=-1", "optim.lr=-1.0: expected a number above 0"),
        ("optim.lr=nan", "optim.lr=nan: expected a number above 0"),
        ("optim.lr=inf", "optim.lr=inf: expected a number above 0"),
        ("optim.momentum=1", "expected a number from 0 to below 1"),
        ("optim.gamma=0", "expected a number above 0, at most 1"),
        ("optim.warmup=later", "expected auto, none or a number of iterations"),
        ("optim.warmup=-3", "expected auto, none or a number of iterations"),
        ("optim.milestones=[9,6]", "expected a list of increasing positive integers"),
        ("data.name='a/b'", "expected a label"),
        ("data.name=''", "expected a label"),
        ("data.root=null", "data=cifar10 needs the folder"),
        ("data.holdout=-1", "expected an integer of 0 or more"),
        ("data.image_size=3", "expected an integer of 4 or more"),
        ("runtime.device=tpu", "expected one of auto, cpu, cuda"),
        ("runtime.threads=0", "expected an integer of 1 or more, or null"),
        ("runtime.runs_per_gpu=0", "expected an integer of 1 or more"),
    ],
)
def test_impossible_values_are_refused_with_what_is_accepted(composed, override, message):
    with pytest.raises(ConfigError, match=message) as error:
        from_container(composed(override))
    assert "\n" not in str(error.value)


def test_a_config_file_with_a_missing_or_unknown_key_is_refused(composed):
    values = composed()
    values["optim"]["lrr"] = 1
    with pytest.raises(ConfigError, match=r"unknown key optim\.lrr: did you mean optim\.lr\?"):
        from_container(values)
    values = composed()
    del values["optim"]["lr"]
    with pytest.raises(ConfigError, match=r"optim\.lr is not set"):
        from_container(values)


def test_a_config_of_an_older_program_means_what_it_did(composed):
    values = composed()
    del values["runtime"]["runs_per_gpu"]
    assert from_container(values) == from_container(composed())


def test_nesterov_needs_momentum(composed):
    with pytest.raises(ConfigError, match="momentum above 0"):
        from_container(composed("optim.nesterov=true", "optim.momentum=0"))


@pytest.mark.parametrize("path", sorted((REPO_ROOT / "conf").glob("*/*.yaml")), ids=lambda path: path.stem)
def test_every_option_of_a_group_names_every_key_with_a_comment(path):
    group = {"model": schema.ModelConfig, "optim": schema.OptimConfig, "data": schema.DataConfig}[path.parent.name]
    assert set(yaml.safe_load(path.read_text())) == {item.name for item in dataclasses.fields(group)}
    uncommented = {"momentum", "gamma", "kind", "name"}
    for line in path.read_text().splitlines():
        key = re.match(r"(\w+):", line)
        assert not key or key[1] in uncommented or "#" in line, line


def test_every_key_says_what_it_accepts():
    assert all(schema.accepted(key) for key in FIELDS)


@pytest.mark.parametrize(
    ("path", "label"),
    [("../shared/cifar10-jpeg", "cifar10-jpeg"), ("/a/my images (1)/", "my-images-1-"), ("/", "images"), (None, None)],
)
def test_folder_name_makes_a_valid_label(path, label, composed):
    name = folder_name(path)
    if label is not None:
        assert name == label
    values = composed("data=synthetic")
    values["data"]["name"] = name
    assert from_container(values).data.name == name


def test_a_branch_that_begins_at_zero_needs_a_shortcut(composed):
    with pytest.raises(ConfigError, match="expected resnet or preact"):
        from_container(composed("model=plain", "model.zero_init_residual=true"))


@pytest.mark.parametrize("key", later_keys.AS_BEFORE)
def test_a_later_keys_default_is_as_before_and_an_older_config_is_read_with_it(composed, key):
    config = composed()
    group, _, name = key.rpartition(".")
    assert config[group][name] == later_keys.AS_BEFORE[key]
    older = copy.deepcopy(config)
    del older[group][name]
    assert from_container(older) == from_container(config)


ONE_VALUE = ["data=synthetic", "data.image_size=4", "optim.batch_size=1"]


@pytest.mark.parametrize("more", [[], ["optim.batch_size=128", "data.train_size=5", "data.holdout=4"]])
def test_batch_norm_needs_more_than_one_value(composed, more):
    with pytest.raises(ConfigError, match=r"images of 4×4 pixels: the last stage has one value per channel"):
        from_container(composed(*ONE_VALUE, *more))


@pytest.mark.parametrize("more", ["data.image_size=5", "optim.batch_size=2", "model.norm=none"])
def test_two_values_or_no_batch_norm_are_enough(composed, more):
    from_container(composed(*ONE_VALUE, more))
