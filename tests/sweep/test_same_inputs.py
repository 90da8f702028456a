"""Two data sets with one name aren't taken for one another, nor the weights of two runs in one place."""

import shutil

import numpy as np
import pytest
from PIL import Image

from cifar_resnet.run.defaults import overridden
from cifar_resnet.run.find import find_runs
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.identity import run_name
from cifar_resnet.sweep import same_inputs, search
from tests.conftest import ONE_BY_ONE, compose_run, tree, work

needs_optuna = pytest.mark.skipif(not search.is_installed(), reason="the extra optuna isn't installed")

KEYS = ["data=image_folder", "depth=8", "model.width=4", "optim.batch_size=4", "optim.epochs=1", "runtime.threads=1"]


def make_images(root, seed):
    """PNG files of noise, which all have the same size in bytes."""
    rng = np.random.default_rng(seed)
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for index in range(3):
                pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{index}.png")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """a/images and b/images, and in outputs/ a finished run on the first."""
    base = tmp_path_factory.mktemp("same")
    for seed, name in enumerate("ab"):
        make_images(base / name / "images", seed)
    config = compose_run(*KEYS, f"data.root={base}/a/images", f"data.cache={base}/cache")
    run = RunDir(base / "outputs" / run_name(config, overridden(config)))
    run.write_config(config)
    assert work(run).returncode == 0
    return base


@pytest.fixture
def place(trained, tmp_path):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.mark.parametrize("sweep", [[], ["-m"]], ids=["single", "sweep"])
def test_a_run_on_other_images_is_not_taken_for_this_one(train_py, place, sweep):
    before = tree(place)
    sizes = [{file.stat().st_size for file in (place / name).rglob("*.png")} for name in "ab"]
    assert sizes[0] == sizes[1]
    done = train_py(*sweep, *KEYS, "data.root=b/images")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: data.root=b/images: these are not the images of ")
    assert "name these with data.name=<name>" in done.stderr and done.stderr.count("\n") == 1
    assert tree(place) == before


@pytest.mark.parametrize("seen", ["as before", "copied", "absent", "not mounted"])
def test_a_finished_run_is_skipped_with_the_same_images_or_none(train_py, place, seen):
    root = place / "c" / "images"
    if seen == "as before":
        root = place / "a" / "images"
    elif seen == "copied":
        shutil.copytree(place / "a" / "images", root, copy_function=shutil.copyfile)
    elif seen == "not mounted":
        root.mkdir(parents=True)
    done = train_py(*KEYS, f"data.root={root}")
    assert done.returncode == 0, done.stderr
    assert "finished before; skipped" in done.stdout


def test_a_run_from_before_identities_were_recorded_is_skipped(train_py, place):
    (config,) = (place / "outputs").rglob("config.yaml")
    run = RunDir(config.parent)
    data = run.read_status()["data"]
    assert data.pop("identity")
    run.update_status(data=data)
    assert "finished before; skipped" in train_py(*KEYS, "data.root=b/images").stdout


def test_two_data_sets_of_one_name_in_one_sweep_are_refused(train_py, place):
    shutil.rmtree(place / "outputs")
    before = tree(place)
    done = train_py("-m", *KEYS, "data.root=a/images,b/images")
    assert done.returncode == 2, done.stdout
    assert (
        "data.root=a/images and data.root=b/images are different images with one name, data.name=images" in done.stderr
    )
    assert tree(place) == before


@pytest.fixture
def searched(place, train_py):
    """Searches on the images of a folder; each trial draws new values."""
    shutil.rmtree(place / "outputs")
    command = ["-m", "sweeps=search", "optim.weight_decay=0", "optim.warmup=0", *KEYS, "data.holdout=4", ONE_BY_ONE]
    return lambda root, n_trials: train_py(*command, f"data.root={root}", f"hydra.sweeper.n_trials={n_trials}")


def study_of(place):
    """The only study in the storage of searches."""
    import optuna

    storage = f"sqlite:///{place}/outputs/search.db"
    (summary,) = optuna.get_all_study_summaries(storage)
    return optuna.load_study(study_name=summary.study_name, storage=storage)


@needs_optuna
def test_a_search_continues_only_on_its_images(searched, place):
    assert searched("a/images", 1).returncode == 0
    before = tree(place)
    refused = searched("b/images", 2)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: data.root=b/images: these are not the images of the search in ")
    assert refused.stderr.count("\n") == 1
    assert tree(place) == before
    assert len(study_of(place).trials) == 1
    more = searched("a/images", 2)
    assert more.returncode == 0, more.stderr
    assert "search: 1 of 2 trials done, 1 new" in more.stdout


@needs_optuna
def test_a_search_from_before_images_were_noted_continues_on_those_of_its_best_trial(searched, place, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr(search, "_check_images", lambda study, config: None)
        assert searched("a/images", 1).returncode == 0
    assert study_of(place).user_attrs == {}
    assert searched("b/images", 2).returncode == 2
    assert searched("a/images", 1).returncode == 0
    shutil.rmtree(place / "outputs" / "images")
    assert searched("b/images", 2).returncode == 2


def test_a_run_from_other_weights_is_not_taken_for_this_one(train_py, place):
    (first,) = find_runs([place / "outputs"])
    shutil.copytree(first.path, place / "best")
    command = [*KEYS, "data.root=a/images", "data.cache=cache", "init_from=best", "optim.lr=0.05"]
    done = train_py(*command)
    assert done.returncode == 0, done.stderr
    assert "finished before; skipped" in train_py(*command).stdout
    RunDir(place / "best").update_status(metrics_digest="0123456789abcdef")  # as if it had been trained again
    before = tree(place)
    for sweep in ([], ["-m"]):
        refused = train_py(*sweep, *command)
        assert refused.returncode == 2 and refused.stderr.startswith("error: init_from=best: ")
        assert "started from the weights of another training than the one that is there now" in refused.stderr
    assert tree(place) == before


@pytest.mark.parametrize("change", ["rename", "move", "resize", "add", "draw"])
def test_what_tells_images_apart(place, change):
    root = place / "a" / "images"
    before = same_inputs.identify("image_folder", str(root))
    file = root / "train" / "cat" / "0.png"
    if change == "rename":
        file.rename(file.with_name("9.png"))
    elif change == "move":
        file.rename(root / "train" / "dog" / "9.png")
    elif change == "resize":
        file.write_bytes(file.read_bytes() + b"\0")
    elif change == "draw":
        size = file.stat().st_size
        with Image.open(file) as image:
            pixels = np.array(image)
        Image.fromarray(pixels ^ 255).save(file)
        assert file.stat().st_size == size
    else:
        shutil.copy(file, file.with_name("9.png"))
    assert same_inputs.identify("image_folder", str(root)) != before
