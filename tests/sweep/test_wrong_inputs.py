"""Every mistake in the input: one line that explains it, exit code 2, and nothing written."""

import hashlib
import importlib
import os
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.find import find_runs
from cifar_resnet.run.folder import RunDir
from cifar_resnet.status import __main__ as status
from tests.conftest import ONE_BY_ONE, TINY, called, run_program, tree, work


def options(folder):
    """What there is to choose from in a folder of conf/, or in sweeps/."""
    return f"expected one of {', '.join(sorted(path.stem for path in (REPO_ROOT / folder).glob('*.yaml')))}"


VALUES = [
    (["depth=21"], "nearest are 20 and 26"),
    (["depth=0"], "nearest are 8 and 14"),
    (["depth=twenty"], "expected 6n+2"),
    (["depth=20.5"], "expected 6n+2"),
    (["model=resnt"], options("conf/model")),
    (["model=null"], "name of one of its options"),
    (["optim=null"], "set each group to the name of one of its options"),
    (["optim=adam"], f"optim=adam: {options('conf/optim')}"),
    (["data=cifar11"], options("conf/data")),
    (["hydra/launcher=slurmm"], "expected one of "),
    (["optim.lrr=1"], "did you mean optim.lr?"),
    (["lr=0.05"], "unknown key lr: did you mean optim.lr?"),
    (["+lr=0.05"], "unknown key lr: did you mean optim.lr?"),
    (["modle=resnet"], "unknown key modle: did you mean model?"),
    (["model.depth=20"], "did you mean depth?"),
    (["name=lab"], "did you mean model.name or optim.name or data.name?"),
    (["optim.optimizer=adam"], "expected one of sgd, adamw, muon"),
    (["optim.name=paper"], "choose another recipe with optim=paper"),
    (["--experimental-rerun", "missing.pickle"], "missing.pickle does not exist"),
    (["--experimental-rerun", str(REPO_ROOT / "LICENSE")], "expected a config.pickle that Hydra wrote"),
    (["--epochs", "5"], "--epochs: settings are written without dashes: expected optim.epochs=value"),
    (["--optim.lr=0.05"], "expected optim.lr=0.05"),
    (["depth=20", "-m", "model=plain,resnet"], "model=plain,resnet: an option such as -m is between the settings"),
    (["-m", "--lrr", "1"], "expected key=value; `python train.py --help` lists all keys"),
    (["--resolve"], "can only be used in conjunction with --cfg"),
    (["optim.lr=-1"], "a number above 0"),
    (["optim.lr=abc"], "a number above 0"),
    (["optim.lr=null"], "a number above 0"),
    (["optim.lr=nan"], "a number above 0"),
    (["optim.batch_size=0"], "an integer of 1 or more"),
    (["optim.batch_size=1.5"], "an integer of 1 or more"),
    (["optim.epochs=-3"], "an integer of 1 or more"),
    (["optim.epochs=null"], "expected one of them"),
    (["optim.momentum=1"], "from 0 to below 1"),
    (["optim.nesterov=maybe"], "true or false"),
    (["optim.weight_decay=-1"], "0 or more"),
    (["optim.milestones=5"], "a list of increasing positive integers"),
    (["optim.milestones=[9,6]"], "a list of increasing positive integers"),
    (["optim.milestones=[a]"], "a list of increasing positive integers"),
    (["optim.gamma=2"], "at most 1"),
    (["optim.epochs=50", "optim.milestones=[20,81]"], "the run ends before 81; expected milestones below optim.epochs"),
    (["optim=paper", "optim.milestones=[64000]"], "expected milestones below optim.iterations=64000"),
    (["optim=cosine", "optim.milestones=[5]"], "optim.milestones=[5] has no effect: the schedule cosine doesn't use"),
    (["optim=onecycle", "optim.gamma=0.5"], "optim.gamma=0.5 has no effect: the schedule onecycle doesn't use it"),
    (["optim.peak=0.5"], "optim.peak=0.5 has no effect: the schedule step doesn't use it; leave it out"),
    (["optim.warmup=later"], "auto, none or a number of iterations"),
    (["seed=abc"], "an integer from 0"),
    (["precision=fp16", "optim=muon"], "precision=fp16 with optim.optimizer=muon: expected one of fp32, tf32, bf16"),
    (["precision=fp8"], "fp32, tf32, bf16"),
    (["model.shortcut=C"], "one of A, B"),
    (["data.name=a/b"], "expected a label"),
    (["data.train_size=0"], "an integer of 1 or more"),
    (["data.holdout=64", *TINY], "expected fewer images"),
    (["data=digits", "data.holdout=9999"], "data.holdout=9999: expected fewer than the 1,437 training images"),
    (["-m", "data=digits", "data.holdout=9999,8888"], "data.holdout=9999: expected fewer than the 1,437"),
    (["-m", "data=digits", "data.test_size=9,400", "runtime.dry_run=true"], "data.test_size=400: expected at most 360"),
    (["runtime.device=tpu"], "auto, cpu, cuda"),
    (["runtime.threads=0"], "an integer of 1 or more"),
    (["runtime.checkpoint_seconds=-1"], "0 or more"),
    (["runtime.dry_run=perhaps"], "true or false"),
    (["runtime.kernels=graph", "runtime.device=cpu"], "expected auto, fused or eager"),
    (["precision=fp16", "runtime.device=cpu"], "expected one of fp32, bf16"),
    (["precision=tf32", "runtime.device=cpu"], "expected one of fp32, bf16"),
    (["out=''"], "expected a folder"),
    (["out=/proc/nowhere"], "expected a folder that can be written to"),
    (["init_from=nowhere"], "expected the folder of a finished run"),
    (["data=image_folder"], "needs the folder with the images"),
    (["data=image_folder", "data.root=nowhere"], "data.root=nowhere: no folder nowhere/train"),
    (["-m", "data=image_folder", "data.root=nowhere"], "data.root=nowhere: no folder nowhere/train"),
    (["depth"], "depth: expected depth=value"),
    (["=3"], "name of one of its options"),
    (["optim.milestones=[1"], "optim.milestones=[1: expected a value"),
    (["optim.milestones=1,2"], "optim.milestones=1,2: expected one value; several need -m (python train.py -m "),
    (["init_from=run=1,b"], "text with signs such as = and ~ in quotes: 'init_from=\"run=1,b\"'"),
    (["data=image_folder", "data.root=~/images"], """in quotes: 'data.root="~/images"'"""),
    (["-m", "data=image_folder", "data.root=~/images"], """in quotes: 'data.root="~/images"'"""),
    (["model=plain,resnet"], "model"),
    (["-m", "--cfg", "job"], "Only one of --run, --multirun"),
    (["--multirun", "--cfg", "job"], "can be specified: leave out the others, such as -m beside --cfg"),
    (["optim.lr=fast"], "error: optim.lr=fast: expected a number above 0"),
    (["-m", "optim.lr=0.1,fast"], "error: optim.lr=fast: expected a number above 0"),
    (["depth=null"], "error: depth=null: expected 6n+2"),
    (["optim.milestones=[81,later]"], "error: optim.milestones[1]=later: expected a list of increasing"),
    (["-m", "hydra.launcher.n_jobs=0"], "n_jobs=0"),
    (["-m", "hydra.launcher.n_jobs=two"], "n_jobs"),
    (["-m", "sweeps=nope"], options("sweeps")),
    (["sweeps=demo"], "sweeps=demo is a sweep, and this command would train one run: add -m"),
    (["sweeps=search"], "add -m"),
    (["hydra/sweeper=search"], "add -m"),
    (["-m", "depth=20,21", "seed=0,1"], "depth=21"),
]


def check(done, message):
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(("arguments", "message"), VALUES, ids=lambda value: str(value)[:40])
def test_a_wrong_value_is_refused_before_anything_is_written(train_py, tmp_path, arguments, message):
    check(train_py(*arguments), message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sweep", [[], ["-m", "depth=8,14"]], ids=["single", "sweep"])
@pytest.mark.parametrize(
    ("part", "working"), [("launcher", "basic, joblib, slurm, slurm_cpu"), ("sweeper", "basic, search")]
)
def test_another_launcher_or_sweeper_is_refused(train_py, tmp_path, sweep, part, working):
    file = tmp_path / f"conf/hydra/{part}/theirs.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("_target_: theirs.Plugin\n")
    done = train_py(*sweep, *TINY, f"hydra/{part}=theirs")
    check(done, f"hydra/{part}=theirs: runs can't be trained with Plugin; expected one of {working}\n")
    assert tree(tmp_path) == [f"conf/hydra/{part}/theirs.yaml"]


# One from each source: Hydra, and our own checks of a sweep.
@pytest.mark.parametrize("arguments", [["model=resnt"], ["-m", "depth=20,21", "seed=0,1"]])
def test_a_wrong_value_is_refused_in_a_terminal_too(program, tmp_path, arguments):
    (message,) = (expected for given, expected in VALUES if given == arguments)
    check(program("train.py", *arguments), message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "given",
    [
        ["optim=mine", "optim.epochs=2"],
        ["optim=mine", "optim.epochs=2", "optim.milestones=[]"],
        ["optim.schedule=onecycle", "optim.epochs=2"],
        ["optim=onecycle", "optim.schedule=cosine", "optim.epochs=2"],
        ["optim=paper", "optim.schedule=onecycle", "optim.iterations=9"],
        ["optim.epochs=null", "optim.iterations=100"],
        ["optim.epochs=1"],
        ["-m", "model=plain,resnet", "model.shortcut=B", "optim.epochs=1"],
    ],
    ids=" ".join,
)
def test_values_of_a_recipe_that_another_schedule_uses_are_no_mistake(train_py, tmp_path, given):
    (tmp_path / "conf" / "optim").mkdir(parents=True)
    (tmp_path / "conf" / "optim" / "mine.yaml").write_text("defaults: [cosine, _self_]\nname: mine\nlr: 0.05\n")
    sweep = [part for part in given if part == "-m"]
    done = train_py(*sweep, *(key for key in TINY if key != "optim.epochs=2"), *given[len(sweep) :])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("sweep", [[], ["-m"]], ids=["single", "sweep"])
def test_a_bug_in_the_checks_trains_nothing(train_py, tmp_path, monkeypatch, sweep):
    monkeypatch.setattr("cifar_resnet.sweep.checks.check_extras", lambda config: config.no_such_key)
    done = train_py(*sweep, *TINY)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "AttributeError" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_gpu_is_reported(train_py, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    check(train_py("runtime.device=cuda", *TINY), "no GPU was found on this machine")
    assert list(tmp_path.iterdir()) == []


def test_windows_is_refused_with_a_hint_at_wsl(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    done = called(lambda: importlib.reload(sys.modules["cifar_resnet.sweep"]))
    assert done.returncode == 2 and done.stderr.startswith("error: ") and "WSL" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_output_folder_that_is_a_file_is_refused(train_py, tmp_path):
    (tmp_path / "file").write_text("mine")
    check(train_py("out=file", *TINY), "out=file: expected a folder")
    check(train_py("out=file/below", *TINY), "out=file/below: expected a folder")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "images" / split / name).mkdir(parents=True)
            for index in range(3):
                Image.new("RGB", (8, 8), (index, 0, 0)).save(tmp_path / "images" / split / name / f"{index}.png")
    return tmp_path / "images"


SMALL = ["depth=8", "optim.batch_size=4", "runtime.threads=1", "runtime.kernels=eager"]


# tests/training/data covers every fault of a folder; these test that the worker reports it.
WRONG_FOLDERS = {
    "absent": (shutil.rmtree, "no folder"),
    "a broken image": (
        lambda root: (root / "train/cat/1.png").write_bytes(b"\x89PNG\r\n"),
        "1.png is not a JPEG or PNG",
    ),
    "another size": (lambda root: Image.new("RGB", (9, 8)).save(root / "train/dog/2.png"), "2.png is 9×8 pixels"),
}


@pytest.mark.parametrize("wrong", WRONG_FOLDERS)
def test_a_wrong_folder_of_images_is_refused_with_the_name_of_the_fault(composed, images, tmp_path, wrong):
    spoil, message = WRONG_FOLDERS[wrong]
    spoil(images)
    run = RunDir(tmp_path / "run")
    run.write_config(composed("data=image_folder", f"data.root='{images}'", "depth=8", "runtime.threads=1"))
    check(work(run), message)


@pytest.mark.parametrize("sweep", [[], ["-m"]], ids=["single", "sweep"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "test/dog").rename(root / "test/hound"), "class 'dog' is in only one"),
        (lambda root: [file.unlink() for file in (root / "train/cat").iterdir()], "train/cat has no images"),
        (
            lambda root: [shutil.rmtree(root / split / "cat") for split in ("train", "test")],
            "expected at least 2 classes",
        ),
    ],
    ids=["differing classes", "empty class", "one class"],
)
def test_wrong_classes_are_refused_before_anything_is_written(train_py, images, tmp_path, sweep, spoil, message):
    spoil(images)
    check(train_py(*sweep, "data=image_folder", "data.root=images", "depth=8"), message)
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("sweep", [[], ["-m"], ["-m", "runtime.dry_run=true"]], ids=["single", "sweep", "dry run"])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["data.train_size=7"], "data.train_size=7: expected at most 6, the number of training images"),
        (["data.test_size=7"], "data.test_size=7: expected at most 6, the number of test images"),
        (["data.holdout=6"], "data.holdout=6: expected fewer than the 6 training images"),
        (["data.image_size=4", "optim.batch_size=1"], "too few for batch norm"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_a_folder_has_too_few_images_for_is_refused(train_py, images, tmp_path, sweep, values, message):
    before = tree(tmp_path)
    check(train_py(*sweep, "data=image_folder", "data.root=images", "depth=8", *values), message)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("sweep", [[], ["-m"]], ids=["single", "sweep"])
def test_new_runs_need_their_images_and_finished_ones_do_not(train_py, images, tmp_path, sweep):
    command = [*sweep, ONE_BY_ONE, "data=image_folder", "data.root=images", *SMALL]
    assert train_py(*command, "optim.epochs=1").returncode == 0
    images.rename(tmp_path / "elsewhere")
    before = find_runs([tmp_path / "outputs"])
    again = train_py(*command, "optim.epochs=1")
    assert again.returncode == 0, again.stderr
    assert "finished before; skipped" in again.stdout
    check(train_py(*command, "optim.epochs=2"), "no folder images/train")
    assert find_runs([tmp_path / "outputs"]) == before


def test_spaces_unicode_and_quotes_in_paths_work(train_py, images, tmp_path):
    root = tmp_path / "my 'größte' images"
    images.rename(root)
    command = ["data=image_folder", f'data.root="{root.name}"', *SMALL, "optim.epochs=1"]
    done = train_py(*command, 'out="aus gabe\'s 出力"')
    assert done.returncode == 0, done.stderr
    (run,) = find_runs([tmp_path / "aus gabe's 出力"])
    assert run.final.exists()


class Bomb:
    def __reduce__(self):
        return (open, ("ran", "w"))


def with_checksum(content):
    return content + hashlib.sha256(content).digest()


@pytest.fixture
def interrupted(outputs, tmp_path) -> RunDir:
    """A run in `tmp_path` with only its latest checkpoint."""
    shutil.copytree(outputs, tmp_path / "outputs")
    (run,) = find_runs([tmp_path / "outputs"])
    run.update_status(state="interrupted", metrics_digest=None)  # without results
    run.previous_checkpoint.unlink(missing_ok=True)
    return run


WRONG_CHECKPOINTS = {
    "truncated": (lambda content: content[: len(content) // 2], "is damaged"),
    "empty": (lambda content: b"", "is damaged"),
    "a pickle that would run code": (lambda content: with_checksum(pickle.dumps(Bomb())), "is not a checkpoint of"),
    "text": (lambda content: with_checksum(b"hello"), "is not a checkpoint of"),
}


@pytest.mark.parametrize("wrong", WRONG_CHECKPOINTS)
def test_a_wrong_checkpoint_is_refused_and_kept(interrupted, tmp_path, monkeypatch, wrong):
    monkeypatch.chdir(tmp_path)  # where the code would create its file
    spoil, message = WRONG_CHECKPOINTS[wrong]
    run = interrupted
    run.checkpoint.write_bytes(spoil(run.checkpoint.read_bytes()))
    spoiled = run.checkpoint.read_bytes()
    check(work(run), message)
    assert run.checkpoint.read_bytes() == spoiled
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_another_architecture_is_refused(composed, interrupted, tmp_path):
    other = RunDir(tmp_path / "other")
    other.write_config(composed(*TINY, "model.width=8"))
    assert work(other).returncode == 0
    shutil.copy(other.checkpoint, interrupted.checkpoint)
    check(work(interrupted), "doesn't match this run's network")


def test_a_worker_reports_mistakes_to_the_program_that_started_it(program, interrupted):
    interrupted.checkpoint.write_bytes(b"")
    check(program("train.py", *TINY), "is damaged")


def test_the_other_programs_refuse_a_folder_without_runs(tmp_path):
    check(work(RunDir(tmp_path)), "is not a run folder")
    check(called(lambda: sys.exit(status.main([str(tmp_path)]))), "no run folder under")
    assert tree(tmp_path) == []


@pytest.mark.parametrize("sweep", [[], ["-m"]], ids=["single", "sweep"])
def test_a_working_folder_with_a_name_in_latin1_is_refused(tmp_path, sweep):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/gr\xfcn"))
    folder.mkdir()
    check(run_program(folder, "train.py", *sweep, *TINY), "gr�n/outputs is not valid UTF-8; rename it")
    assert tree(tmp_path) == []
