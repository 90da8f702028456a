"""Which keys of a config are part of a run's identity, and which of them its folder's name shows."""

from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from cifar_resnet.run import later_keys
from cifar_resnet.run.identity import MAX_NAME, config_hash, flatten, run_name
from cifar_resnet.run.schema import FIELDS
from cifar_resnet.sweep.resolvers import plain_config

OLD_RUNS = sorted((Path(__file__).parent / "old_runs").glob("*/*/seed*"))
ELSEWHERE = {"out", "data.root", "data.cache", "optim.name"}


def is_part(key):
    return key not in ELSEWHERE and not key.startswith(("runtime.", "diagnostics."))


def with_value(config, key, value):
    """The config with another value for a key."""
    group, _, name = key.rpartition(".")
    return {**config, group: {**config[group], name: value}} if group else {**config, key: value}


@pytest.mark.parametrize("key", FIELDS)
def test_each_key_is_part_of_the_identity_unless_it_says_where_or_how_a_run_is_computed(composed, key):
    config = composed("data=digits")
    same = config_hash(with_value(config, key, "another")) == config_hash(config)
    assert same == (not is_part(key))


@pytest.mark.parametrize("key", [key for key in later_keys.AS_BEFORE if is_part(key)])
def test_a_later_key_counts_only_where_it_is_not_as_before(composed, key):
    config = with_value(composed("data=digits"), key, later_keys.AS_BEFORE[key])
    group, _, name = key.rpartition(".")
    older = {**config, group: {other: value for other, value in config[group].items() if other != name}}
    assert config_hash(config) == config_hash(older)
    assert config_hash(with_value(config, key, "another")) != config_hash(older)


@pytest.mark.parametrize("key", later_keys.AS_BEFORE)
def test_a_later_key_is_of_the_schema_and_nested_as_a_config_is(key):
    assert key in FIELDS
    assert flatten(later_keys.nested())[key] == later_keys.AS_BEFORE[key]


@pytest.mark.parametrize("key", later_keys.AS_BEFORE)
def test_the_default_of_a_later_key_is_as_before(composed, key):
    assert flatten(composed())[key] == later_keys.AS_BEFORE[key]


@pytest.mark.parametrize("folder", OLD_RUNS, ids=lambda folder: folder.name[-8:])
def test_older_runs_keep_their_hash_whatever_the_order_of_their_keys(folder):
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    reordered = {key: config[key] for key in reversed(config)}
    assert [config_hash(config), config_hash(reordered)] == [folder.name[-8:]] * 2


def test_a_run_of_other_seeds_and_settings_is_told_by_its_name(composed):
    config = composed("data=digits", "seed=3", "depth=56", "model=plain")
    overridden = {"optim.milestones": [2, 4], "optim.epochs": None, "data.augment": True, "model.width": 8}
    assert run_name(config, overridden) == (
        f"digits/plain-56/seed3-augment=true,width=8,epochs=null,milestones=2-4-{config_hash(config)}"
    )


def test_signs_that_a_file_name_should_not_have_are_dashes(composed):
    config = composed("data=digits")
    name = run_name(config, {"init_from": "a B/ü:C", "x": "1e-05"})
    assert name == f"digits/resnet-20/seed0-init_from=a-B-C,x=1e-05-{config_hash(config)}"


def test_a_name_holds_as_many_keys_as_fit(composed):
    config = composed("data=digits")
    ending = f"-{config_hash(config)}"
    filling = "x" * (MAX_NAME - len("seed0-a=") - len(ending))
    fits = run_name(config, {"a": filling, "b": 1}).rpartition("/")[2]
    assert fits == f"seed0-a={filling}{ending}"
    assert len(fits) == MAX_NAME
    # A key that is too long is omitted, but a shorter one after it is included.
    assert run_name(config, {"a": filling + "x", "b": 1}).rpartition("/")[2] == f"seed0-b=1{ending}"


def test_a_number_that_json_does_not_have_has_no_hash(composed):
    config = composed("data=digits")
    with pytest.raises(ValueError, match="JSON"):
        config_hash(with_value(config, "optim.lr", float("nan")))


@pytest.mark.parametrize(("lr", "shown"), [(1e30, "lr=1e30-"), (1e-05, "lr=1e-05-"), (0.1, "lr=0.1-")])
def test_large_and_small_numbers_differ_in_names(composed, lr, shown):
    assert shown in run_name(composed("data=digits"), {"optim.lr": lr})


def test_a_swept_number_with_a_rounding_error_is_the_number_without_it():
    values = {"lr": 0.05 + 0.1, "gamma": 0.1 + 0.2, "peak": 0.1234567890123456, "milestones": [0.7 + 0.1], "depth": 20}
    assert plain_config(OmegaConf.create({"optim": values})) == {
        "optim": {"lr": 0.15, "gamma": 0.3, "peak": 0.1234567890123456, "milestones": [0.8], "depth": 20}
    }
