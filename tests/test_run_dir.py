"""The run folder: one name per experiment, reliable states, and files that are complete or absent."""

import copy
import json
import os
import re
import subprocess
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.errors import BusyError, RunError
from cifar_resnet.run import later_keys, locks
from cifar_resnet.run.defaults import REPO_ROOT, overridden
from cifar_resnet.run.files import write_atomically
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.identity import MAX_NAME, config_hash, identity, run_name
from cifar_resnet.run.layout import Layout
from cifar_resnet.run.states import State

VALID = re.compile(r"[A-Za-z0-9._=,-]+/[A-Za-z0-9._=,-]+/[A-Za-z0-9._=,-]+")
rates = st.floats(1e-12, 1e12)
configs = st.fixed_dictionaries(
    {
        "depth": st.integers(1, 2000).map(lambda n: 6 * n + 2),
        "seed": st.integers(0, 2**31 - 1),
        "precision": st.sampled_from(["fp32", "bf16"]),
        "out": st.text(),
        "model": st.fixed_dictionaries(
            {
                "name": st.sampled_from(list(ARCHITECTURES)),
                "shortcut": st.sampled_from("AB"),
                "width": st.integers(1, 10**6),
            }
        ),
        "optim": st.fixed_dictionaries(
            {
                "epochs": st.integers(1, 10**9),
                "iterations": st.none(),
                "batch_size": st.integers(1, 10**9),
                "lr": rates,
                "momentum": st.floats(0, 0.999),
                "nesterov": st.booleans(),
                "weight_decay": rates,
                "milestones": st.lists(st.integers(1, 10**9), max_size=40, unique=True).map(sorted),
                "gamma": rates,
                "warmup": st.one_of(st.sampled_from(["auto", "none"]), st.integers(0, 10**9)),
            }
        ),
        "data": st.fixed_dictionaries(
            {
                "kind": st.sampled_from(["cifar10", "digits", "image_folder", "synthetic"]),
                "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", fullmatch=True),
                "root": st.none() | st.text(),
                "cache": st.none() | st.text(),
                "image_size": st.none() | st.integers(4, 10**6),
                "train_size": st.none() | st.integers(1, 10**9),
                "test_size": st.none() | st.integers(1, 10**9),
                "holdout": st.integers(0, 10**9),
                "augment": st.booleans(),
            }
        ),
        "runtime": st.dictionaries(st.text(), st.integers()),
    }
)


def name_of(config):
    return run_name(config, overridden(config))


@given(configs)
def test_name_is_always_valid_and_short(config):
    name = name_of(config)
    assert VALID.fullmatch(name)
    assert all(len(part) <= MAX_NAME and part not in (".", "..") for part in name.split("/"))


@given(configs, st.text(), st.dictionaries(st.text(), st.integers()), st.text())
def test_same_experiment_has_the_same_folder_wherever_it_runs(config, out, runtime, root):
    other = copy.deepcopy(config)
    other.update(out=out, runtime=runtime, hydra={"job": 1})
    other["data"].update(root=root, cache=root)
    assert name_of(other) == name_of(config)
    assert name_of(dict(reversed(list(config.items())))) == name_of(config)


@given(configs, configs)
def test_different_experiments_have_different_folders(one, other):
    assert (identity(one) == identity(other)) == (name_of(one) == name_of(other))


@given(configs, st.data())
def test_changing_any_one_key_of_the_identity_changes_the_folder(config, data):
    group = data.draw(st.sampled_from([None, "model", "optim", "data"]))
    part = config if group is None else config[group]
    keys = [
        key
        for key in part
        if key not in ("out", "runtime", "root", "cache", "kind") and not isinstance(part[key], dict)
    ]
    key = data.draw(st.sampled_from(sorted(keys)))
    other = copy.deepcopy(config)
    changed = other if group is None else other[group]
    changed[key] = data.draw(configs)[key] if group is None else data.draw(configs)[group][key]
    assert (changed[key] == part[key]) == (name_of(other) == name_of(config))


@given(configs)
def test_hash_is_the_same_after_a_round_trip_through_the_folder(config):
    import yaml

    assert config_hash(yaml.safe_load(yaml.safe_dump(config))) == config_hash(config)


@pytest.mark.parametrize(
    ("overrides", "readable"),
    [
        ((), r"cifar10/resnet-20/seed0-[0-9a-f]{8}"),
        (("seed=3", "depth=56", "model=plain"), r"cifar10/plain-56/seed3-[0-9a-f]{8}"),
        (("optim.epochs=12",), r"cifar10/resnet-20/seed0-epochs=12-[0-9a-f]{8}"),
        (("optim.epochs=12", "optim.milestones=[2,4]"), r".*/seed0-epochs=12,milestones=2-4-[0-9a-f]{8}"),
        (("optim.weight_decay=0.0001",), r".*/seed0-[0-9a-f]{8}"),
        (("optim.lr=0.05", "model.shortcut=B"), r".*/seed0-shortcut=B,lr=0\.05-[0-9a-f]{8}"),
        (("optim=paper",), r".*/seed0-optim=paper-[0-9a-f]{8}"),
        (("optim=onecycle", "optim.epochs=8"), r".*/seed0-optim=onecycle,epochs=8-[0-9a-f]{8}"),
        (("data=digits", "data.augment=true"), r"digits/resnet-20/seed0-augment=true-[0-9a-f]{8}"),
    ],
)
def test_name_says_what_was_overridden(composed, overrides, readable):
    assert re.fullmatch(readable, name_of(composed(*overrides)))


def test_the_same_experiment_asked_for_in_two_ways_has_one_folder(composed):
    one = composed("optim.epochs=12", "optim.lr=0.10", "runtime.threads=3", "data.root=/elsewhere")
    other = composed("optim.lr=1e-1", "optim.milestones=[6,9]", "optim.epochs=12", "out=x")
    assert name_of(one) == name_of(other)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "run.json"
    path.write_text("old")

    def write(file):
        file.write(b"half of the new")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, write)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_status_is_merged_and_pending_before_the_run_begins(tmp_path):
    run = RunDir(tmp_path)
    assert run.verified_state() is State.PENDING
    run.update_status(state=State.FAILED, reason="disk full")
    run.update_status(threads=2)
    status = run.read_status()
    assert (status["state"], status["reason"], status["threads"]) == ("failed", "disk full", 2)
    assert json.loads(run.status.read_text()) == status


def test_a_run_that_ends_while_it_is_asked_is_not_interrupted(tmp_path, monkeypatch):
    run = RunDir(tmp_path)
    run.update_status(state="running")

    def ends(self):
        self.update_status(state="finished")
        return False

    monkeypatch.setattr(RunDir, "is_locked", ends)
    assert run.verified_state() is State.FINISHED


@pytest.mark.parametrize("kind", ["flock", "soft"])
def test_running_with_nobody_at_it_is_interrupted(tmp_path, monkeypatch, kind):
    monkeypatch.setenv(locks.VARIABLE, kind)
    run = RunDir(tmp_path)
    run.update_status(state=State.RUNNING)
    assert run.verified_state() is State.INTERRUPTED
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from cifar_resnet.run.folder import RunDir\n"
            "with RunDir(Path(sys.argv[1])).lock(): print('held', flush=True); sys.stdin.read()",
            str(tmp_path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"held\n"
    assert run.verified_state() is State.RUNNING
    with pytest.raises(BusyError, match="another process"), run.lock():
        pass
    holder.kill()
    holder.communicate()
    assert run.verified_state() is State.INTERRUPTED


def test_a_soft_lock_of_another_machine_stands_until_it_is_broken(tmp_path, monkeypatch):
    monkeypatch.setenv(locks.VARIABLE, "soft")
    run = RunDir(tmp_path)
    run.update_status(state=State.RUNNING)
    locks.file_of(tmp_path).write_text("1\nanother-machine\n")
    assert run.verified_state() is State.RUNNING
    locks.break_soft(tmp_path)
    assert run.verified_state() is State.INTERRUPTED


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o600), (0o002, 0o660), (0o077, 0o600), (0, 0o666)])
def test_only_those_who_may_train_a_run_can_lock_it(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with RunDir(tmp_path).lock():
            assert locks.file_of(tmp_path).stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config.yaml", None, "is not a run folder"),
        ("config.yaml", "a: [", "can't be read"),
        ("config.yaml", "", "contains no configuration"),
        ("run.json", "{", "can't be read"),
        ("run.json", '{"state": "sleeping"}', "contains no state"),
        ("run.json", '{"state": "running"}' + " " * 2**22, "more than 4,194,304 bytes"),
    ],
    ids=["absent", "no YAML", "empty", "no JSON", "no state", "too large"],
)
def test_damaged_files_are_named(tmp_path, name, text, message):
    run = RunDir(tmp_path)
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(RunError, match=message) as error:
        run.read_config() if name == "config.yaml" else run.read_status()
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text", ["a: 1\n", "a: {b: [1,\n  2]}\n# why\nc:\n- 1\n", 'a: "b\nc: d"\n', "a: 1\na: 2\n", "", "- 1\n"]
)
def test_a_config_read_in_parts_is_the_one_read_whole(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    whole = yaml.safe_load(text)
    if isinstance(whole, dict):
        assert RunDir(tmp_path).read_config() == whole
    else:
        with pytest.raises(RunError, match="contains no configuration"):
            RunDir(tmp_path).read_config()


def test_changing_a_config_that_was_read_changes_no_other(tmp_path):
    run = RunDir(tmp_path)
    run.write_config({"optim": {"lr": 0.1}})
    run.read_config()["optim"]["lr"] = 0.5
    assert run.read_config() == {"optim": {"lr": 0.1}}


def test_the_documentation_lists_every_file_of_a_run_folder(tmp_path):
    listing = (
        (REPO_ROOT / "docs/running.md").read_text().partition("## The run folder")[2].partition("\nThe folder's")[0]
    )
    run = RunDir(tmp_path)
    properties = [name for name, kind in vars(Layout).items() if isinstance(kind, property)]
    files = [getattr(run, name).name for name in properties] + [locks.file_of(run.path).name]
    assert len(files) > 8
    assert [file for file in [*files, "multirun.yaml"] if file not in listing] == []


def test_a_key_added_later_renames_no_older_run(composed):
    config = composed("data=digits", "optim.epochs=3", "optim.lr=0.05")
    older = later_keys.without(config)
    assert set(config["model"]) - set(older["model"]) == {"norm", "init_linear", "zero_init_residual"}
    assert name_of(older) == name_of(config)
    # Its name from before these keys existed.
    assert name_of(config) == "digits/resnet-20/seed0-epochs=3,lr=0.05-2340da44"
    config["model"]["norm"] = "none"
    assert name_of(config) != name_of(older)
