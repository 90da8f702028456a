"""A user's own conf/ and sweeps/ in the working folder, beside the packaged ones."""

import sys

import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra

from cifar_resnet import diagnose
from cifar_resnet.errors import ConfigError
from cifar_resnet.programs import SETTINGS
from cifar_resnet.run.defaults import overridden
from cifar_resnet.sweep import search_path
from tests.conftest import tree

MINE = "defaults: [lab, _self_]\nname: mine\nlr: 0.05\n"


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Writes a file of the working folder."""

    def write(name, text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    monkeypatch.chdir(tmp_path)
    return write


@pytest.fixture
def shown(train_py):
    """The configuration that train.py composes from these arguments."""

    def compose(*arguments):
        done = train_py("--cfg", "job", *arguments)
        assert done.returncode == 0, done.stderr
        return yaml.safe_load(done.stdout)

    return compose


def test_an_own_recipe_is_found(put, shown):
    put("conf/optim/mine.yaml", MINE)
    assert shown("optim=mine")["optim"]["lr"] == 0.05
    assert shown()["optim"]["lr"] == 0.1


def test_an_own_sweep_is_found_and_listed_with_the_packaged_ones(put, train_py):
    put("sweeps/mine.yaml", "# @package _global_\nhydra: {sweeper: {params: {depth: '20,56'}}}\n")
    put("conf/hydra/launcher/night.yaml", "defaults: [joblib, _self_]\nn_jobs: 1\n")
    hydra = yaml.safe_load(train_py("--cfg", "hydra", "sweeps=mine", "hydra/launcher=night").stdout)["hydra"]
    assert (hydra["sweeper"]["params"], hydra["launcher"]["n_jobs"]) == ({"depth": "20,56"}, 1)
    words = train_py("--help").stdout.replace(",", " ").split()
    assert {"mine", "demo", "night", "joblib"} <= set(words)


def test_an_own_sweep_comes_before_the_packaged_one_of_the_same_name(put, train_py):
    put("sweeps/nine.yaml", "# @package _global_\nhydra: {sweeper: {params: {depth: '8,14'}}}\n")
    hydra = yaml.safe_load(train_py("--cfg", "hydra", "sweeps=nine").stdout)["hydra"]
    assert hydra["sweeper"]["params"] == {"depth": "8,14"}


@pytest.mark.parametrize("name", ["conf/optim/lab.yaml", "conf/config.yaml", "sweeps/demo.yaml"])
def test_of_two_files_with_one_name_the_users_is_used_and_that_is_printed(put, shown, name, capsys):
    packaged = (SETTINGS / name).read_text(encoding="utf-8")
    put(name, packaged)
    search_path.print_replaced()
    assert capsys.readouterr().out == ""
    put(name, packaged.replace("\nlr: 0.1 ", "\nlr: 0.3 ").replace("depth: 20 ", "depth: 56 ") + "# mine\n")
    search_path.print_replaced()
    assert capsys.readouterr().out == f"{name}: using this folder's file instead of the packaged one\n"
    config = shown()
    assert config["optim"]["lr"] == (0.3 if "lab" in name else 0.1)
    assert config["depth"] == (56 if "config" in name else 20)


def test_both_kinds_of_commands_print_what_is_replaced(put, train_py):
    put("conf/optim/lab.yaml", (SETTINGS / "conf/optim/lab.yaml").read_text(encoding="utf-8") + "# mine\n")
    for arguments in (["depth=21"], ["-m", "depth=21"]):
        done = train_py(*arguments)
        assert done.stdout == "conf/optim/lab.yaml: using this folder's file instead of the packaged one\n"
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_own_defaults_can_be_named(put, shown):
    put("conf/deep.yaml", "defaults: [config, _self_]\ndepth: 110\n")
    assert shown("--config-name", "deep")["depth"] == 110


def test_nothing_else_in_the_working_folder_counts(put, shown, train_py):
    before = shown()
    for name in ("config.yaml", "schema.yaml", "data/mine.yaml", "hydra/launcher/mine.yaml"):
        put(name, "depth: 56\n")
    put("sweeps/config.yaml", "depth: 56\n")
    assert shown() == before
    done = train_py("data=mine")
    assert (done.returncode, "data=mine: expected one of arrays, cifar10" in done.stderr) == (2, True)
    assert "mine" not in train_py("--help").stdout


@pytest.mark.parametrize("text", ["defaults: [model: vit]\n", "lr: 1\n", "- a\n", "", "a: [\n"])
def test_another_programs_configuration_is_refused(put, train_py, tmp_path, text):
    put("conf/config.yaml", text)
    done = train_py("depth=20")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {tmp_path}/conf/config.yaml is not a configuration of this program")
    assert done.stderr.count("\n") == 1
    assert tree(tmp_path) == ["conf/config.yaml"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems don't delete a folder that is in use")
def test_a_deleted_working_folder_is_refused(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ConfigError, match="the working folder has been deleted"):
        search_path.set_up()


def test_diagnose_finds_own_files(put):
    put("conf/optim/mine.yaml", MINE)
    try:
        (config,) = diagnose.compose(["optim=mine"])
    finally:
        GlobalHydra.instance().clear()
    assert config["optim"]["lr"] == 0.05


def test_an_own_recipe_hides_no_difference_and_names_the_same_folder_everywhere(put, composed, tmp_path):
    config = composed("optim.lr=0.05", "optim.momentum=0.8")
    config["optim"]["name"] = "mine"
    expected = {"optim": "mine", "optim.lr": 0.05, "optim.momentum": 0.8}
    assert overridden(config) == expected
    put("conf/optim/mine.yaml", MINE)
    assert overridden(config) == expected


def test_an_own_recipe_must_have_its_files_name(put, train_py):
    put("conf/optim/mine.yaml", "defaults: [lab, _self_]\nlr: 0.05\n")
    assert "conf/optim/mine.yaml, expected name: mine" in train_py("optim=mine").stderr
