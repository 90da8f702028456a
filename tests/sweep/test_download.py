"""A sweep downloads the images once, before its first worker, and only if a worker will need them."""

import types
from pathlib import Path

import pytest

from cifar_resnet.datasets import DATASETS
from cifar_resnet.run.config import from_container
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State
from cifar_resnet.sweep import download

DOWNLOADED = {
    "cifar10": ("cifar-10-batches-py", "cifar-10-python.tar.gz"),
    "cifar100": ("cifar-100-python", "cifar-100-python.tar.gz"),
}


@pytest.fixture
def downloaded(monkeypatch, tmp_path, composed):
    """The data sets that a sweep of these runs downloads, each as [kind, root]."""
    commands = []
    code = types.SimpleNamespace(returncode=0)
    monkeypatch.setattr(
        download, "subprocess", types.SimpleNamespace(run=lambda command, **options: commands.append(command) or code)
    )

    def of(*runs, state=State.PENDING, returncode=0, created=()):
        code.returncode = returncode
        configs = {}
        for index, overrides in enumerate(runs):
            run = RunDir(tmp_path / f"run{index}")
            run.path.mkdir(exist_ok=True)
            run.update_status(state=state)
            configs[run] = from_container(composed(*overrides))
        try:
            download.download(configs, created)
        finally:
            made, commands[:] = [command[3:] for command in commands], []
        return made

    return of


def test_each_data_set_is_downloaded_once(downloaded, tmp_path):
    root = tmp_path / "data"
    runs = [[f"data={kind}", f"data.root={root}", f"seed={seed}"] for kind in DOWNLOADED for seed in (0, 1)]
    assert downloaded(*runs) == [[kind, str(root)] for kind in DOWNLOADED]


def test_every_data_set_that_can_be_downloaded_is_here():
    assert [kind for kind, known in DATASETS.items() if known.is_absent is not None] == list(DOWNLOADED)


@pytest.mark.parametrize("kind", DOWNLOADED)
def test_what_is_there_is_not_downloaded(downloaded, tmp_path, kind):
    unpacked, archive = DOWNLOADED[kind]
    for name, make in ((unpacked, Path.mkdir), (archive, Path.touch)):
        root = tmp_path / name
        root.mkdir()
        make(root / name)
        assert downloaded([f"data={kind}", f"data.root={root}"]) == []


def test_runs_that_are_not_trained_need_nothing(downloaded, tmp_path):
    run = ["data=cifar10", f"data.root={tmp_path}"]
    assert downloaded(run, state=State.DIVERGED) == []
    assert downloaded(["data=digits"]) == []


def test_the_home_folder_may_be_written_as_a_tilde(downloaded, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert downloaded(["data=cifar10", "data.root='~/data'"]) == [["cifar10", str(tmp_path / "data")]]


def test_a_download_that_fails_ends_the_sweep_with_its_code(downloaded, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    created = [tmp_path / "a" / "b", tmp_path / "a"]
    assert downloaded(["data=cifar10", f"data.root={tmp_path}"], created=created) != []
    assert all(folder.exists() for folder in created)
    with pytest.raises(SystemExit) as ended:
        downloaded(["data=cifar10", f"data.root={tmp_path}"], returncode=2, created=created)
    assert ended.value.code == 2
    assert not any(folder.exists() for folder in created)
