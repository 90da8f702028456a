"""The commands in a report train exactly the runs that it shows."""

import itertools
import shlex
import shutil
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from cifar_resnet import programs
from cifar_resnet.report import reproduce
from cifar_resnet.report.runs import load
from cifar_resnet.report.runs.collection import Source
from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.identity import config_hash


def trained(command, composed):
    """The hashes of the runs that a command would train."""
    python, script, *words = shlex.split(command)
    assert (python, script) == ("python", "train.py")
    sweep = words[:1] == ["-m"]
    parsed = OverridesParser.create().parse_overrides(words[1:] if sweep else words)
    choices = [
        [f"{one.key_or_group}={value}" for value in one.sweep_string_iterator()]
        if one.is_sweep_override()
        else [one.input_line]
        for one in parsed
    ]
    assert sweep or all(len(values) == 1 for values in choices)
    return sorted(config_hash(composed(*values)) for values in itertools.product(*choices))


@pytest.mark.parametrize(
    ("runs", "lines"),
    [
        ([[]], 1),
        ([["model=plain", "depth=56", "optim.lr=0.05"]], 1),
        ([[f"model={m}", f"depth={d}"] for m in ("plain", "resnet", "preact") for d in (20, 56)], 1),
        ([[f"optim.lr={lr}", f"seed={s}"] for lr in (0.1, 0.05) for s in (0, 1)], 1),
        ([["depth=20"], ["depth=56", "model=plain"]], 2),
        ([["data=digits", "optim.epochs=12"], ["data=digits", "optim.epochs=12", "optim.milestones=[3]"]], 1),
        ([["optim=paper"], ["optim=paper", "optim.iterations=100"], ["optim=lab"]], 2),
        ([["data=image_folder", "data.root='/some where/images, 2'", "init_from='a=b/c,d'"]], 1),
        ([["data=image_folder", "data.root=x", "data.name=jpeg", "optim.warmup=none", "data.train_size=10"]], 1),
        ([["data=digits", "data.augment=true", "out=other"], ["data=digits", "data.augment=false", "out=other"]], 1),
    ],
)
def test_commands_train_the_runs_and_no_others(composed, runs, lines):
    configs = [composed(*overrides) for overrides in runs]
    commands = reproduce.commands(configs)
    assert sorted(itertools.chain(*(trained(command, composed) for command in commands))) == sorted(
        map(config_hash, configs)
    )
    assert len(commands) == lines


def test_a_default_run_has_a_short_command(composed):
    assert reproduce.commands([composed()]) == ["python train.py model=resnet depth=20"]
    assert reproduce.commands([composed("optim.lr=0.05")]) == ["python train.py model=resnet depth=20 optim.lr=0.05"]


def test_diagnostics_are_measured_again(composed):
    configs = [composed("diagnostics.enabled=true", f"seed={seed}") for seed in (0, 1)]
    keys = "diagnostics.enabled=true diagnostics.every=10"
    assert reproduce.commands(configs) == [f"python train.py -m model=resnet depth=20 seed=0,1 {keys}"]
    assert reproduce.commands([*configs, composed("seed=2")]) == [
        f"python train.py -m model=resnet depth=20 seed=0,1 {keys}",
        "python train.py model=resnet depth=20 seed=2",
    ]


def test_a_recipe_that_is_not_packaged_is_written_as_its_values(composed):
    config = composed("depth=20", "optim.lr=0.05", "optim.epochs=2")
    config["optim"]["name"] = "mine"
    (line,) = reproduce.commands([config])
    assert line == "python train.py model=resnet depth=20 optim.epochs=2 optim.lr=0.05"
    assert trained(line, composed) == [config_hash(config)]


def test_installed_commands_are_typed_in_the_working_folder(composed, monkeypatch, tmp_path):
    monkeypatch.setattr(programs, "IS_INSTALLED", True)
    monkeypatch.chdir(tmp_path)
    config = composed("depth=20", f"out={tmp_path}/outputs", f"data.root={tmp_path}/images")
    assert reproduce.commands([config]) == ["cifar-resnet train model=resnet depth=20 data.root=images"]


def test_a_command_varies_what_it_is_asked_to(composed):
    line = reproduce.command(composed("data=digits"), ["diagnostics.enabled=true"], model=["plain"], seed=[0, 1])
    assert line == "python train.py -m model=plain depth=20 seed=0,1 data=digits diagnostics.enabled=true"


def test_folders_in_the_project_are_relative_to_it(composed):
    config = composed("depth=20", f"out={REPO_ROOT}/outputs/mine", f"data.root={REPO_ROOT}/data")
    assert reproduce.commands([config]) == ["python train.py model=resnet depth=20 out=outputs/mine"]
    assert reproduce.relative("/elsewhere/outputs") == "/elsewhere/outputs"
    assert reproduce.relative("outputs") == "outputs"


def test_commands_name_the_folder_that_the_runs_are_in_now(make_run, tmp_path):
    first = make_run("digits/resnet-20/seed0", [6.0], out="/gone/outputs")
    make_run("digits/plain-20/seed0", [6.0], model="plain", out="/gone/outputs/demo")
    make_run("elsewhere", [6.0], data__kind="synthetic", data__name="other", out="/gone/outputs")

    def outs():
        runs = load.load([tmp_path / "runs"])
        return {data: {config["out"] for config in runs.of(data).configs.values()} for data in runs.datasets}

    assert outs() == {"digits": {str(tmp_path / "runs")}, "other": {"/gone/outputs"}}
    commands = reproduce.commands(load.load([tmp_path / "runs"], ["data=digits"]).configs.values())
    assert all(f"out={tmp_path / 'runs'} " in f"{line} " for line in commands)
    # Copies in several folders: none of them contains all runs.
    shutil.copytree(first.path, tmp_path / "runs/host/digits/resnet-20/seed0")
    shutil.rmtree(first.path)
    assert outs()["digits"] == {"/gone/outputs", "/gone/outputs/demo"}


def test_the_report_is_created_from_the_folders_that_were_read():
    source = Source((REPO_ROOT / "outputs", Path("/else where/runs")), ("optim.lr=0.1,0.05", "model=resnet"))
    expected = "python aggregate.py outputs '/else where/runs' --where optim.lr=0.1,0.05 --where model=resnet"
    assert reproduce.report_command(source, 0.1, "") == expected
    assert reproduce.report_command(Source((Path("/r"),)), 0.25, "Ada B") == (
        "python aggregate.py /r --smallest 0.25 --author 'Ada B'"
    )


def test_a_command_is_left_out_if_another_one_trains_all_of_its_runs():
    nine = "python train.py -m model=plain,resnet depth=20,56,110 seed=0,1,2 optim.milestones='[6,9]'"
    others = {
        "python train.py -m model=plain depth=20,56 seed=0,1,2 optim.milestones='[6,9]'": False,
        "python train.py model=plain depth=110 seed=2 optim.milestones='[6,9]'": False,
        "python train.py -m model=plain depth=20 seed=0,1,2,3 optim.milestones='[6,9]'": True,
        "python train.py -m model=resnet,preact depth=20 seed=0,1,2 optim.milestones='[6,9]'": True,
        "python train.py -m model=plain depth=20 seed=0,1,2 optim.milestones='[6,8]'": True,
        "python train.py -m model=plain depth=20 seed=0,1,2 optim.milestones='[6,9]' diagnostics.enabled=true": True,
        "python train.py -m model=preact depth=20 seed=0,1 optim.milestones='[6,9]'": False,
        "python train.py -m model=preact depth=20 seed=0,1 optim.milestones='[6,9]' diagnostics.enabled=true": True,
        "python train.py -m model=preact depth=56 seed=0,1 precision=bf16": True,
        "python train.py -m model=preact depth=56 seed=0,1": True,
    }
    kept = [one for one, is_kept in others.items() if is_kept]
    assert reproduce.without_contained([*others, nine, nine]) == [*kept, nine]
