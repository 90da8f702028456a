"""Real faults: a failing run affects no other, a stopped sweep can be continued, and two sweeps share their runs."""

import contextlib
import dataclasses
import os
import resource
import shutil
import signal
import subprocess
import sys
from functools import partial

import psutil
import pytest

from cifar_resnet.datasets import DATASETS
from cifar_resnet.errors import ExitCode
from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.files import digest
from cifar_resnet.run.find import find_runs
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.identity import config_hash
from cifar_resnet.run.states import State
from cifar_resnet.status import __main__ as status
from tests.conftest import ONE_BY_ONE, TINY, called, tree, wait_for

LONG = [*TINY, "optim.epochs=4000", "optim.batch_size=8", "optim.lr=0.001", "hydra.launcher.n_jobs=2"]
TWO = ["-m", "model=plain,resnet"]


@pytest.fixture
def start(tmp_path):
    """Starts train.py in a process group of its own, as a shell does, and kills what is left of it."""
    started = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(REPO_ROOT / "train.py"), *arguments],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def runs_of(folder) -> dict[str, RunDir]:
    return {run.path.parent.name.partition("-")[0]: run for run in find_runs([folder / "outputs"])}


def trained(folder, count) -> list[RunDir]:
    """The runs that have metrics, once there are `count` of them."""
    found = [RunDir(path.parent) for path in (folder / "outputs").rglob("metrics.csv")]
    return found if len(found) >= count else []


def states(folder) -> list[str]:
    return sorted(run.verified_state().value for run in find_runs([folder / "outputs"]))


def test_a_killed_worker_is_one_failed_run_which_the_same_command_continues(start, train_py, tmp_path):
    command = [*TWO, *LONG, "optim.epochs=6"]
    sweep = start(*command, "runtime.checkpoint_seconds=0")
    victim = wait_for(lambda: next(iter(trained(tmp_path, 1)), None))
    os.kill(victim.read_status()["pid"], signal.SIGKILL)
    output, _ = sweep.communicate(timeout=200)
    assert sweep.returncode == 1
    assert states(tmp_path) == ["failed", "finished"]
    assert "killed by signal 9: out of memory?" in output
    assert str(victim.log) in output
    skipping = train_py(*command, "runtime.retry_failed=false", ONE_BY_ONE)
    assert "failed before; skipped" in skipping.stdout
    again = train_py(*command, ONE_BY_ONE)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "continues at step" in victim.log.read_text()


@contextlib.contextmanager
def limited(kind: int, limit: int):
    """Limits a resource of this process."""
    before, most = resource.getrlimit(kind)
    resource.setrlimit(kind, (limit, most))
    yield
    resource.setrlimit(kind, (before, most))


def test_a_run_over_its_memory_limit_is_the_only_one_to_fail(train_py, tmp_path):
    # The first layer's output for a batch takes 2 MB with the small images and 8 GB with the large ones.
    sizes = ["data.image_size=4,256", "model.width=128", "data.train_size=256", "optim.batch_size=256"]
    used = psutil.Process().memory_info().vms
    with limited(resource.RLIMIT_AS, used + 4 * 2**30):
        done = train_py("-m", *TINY, *sizes, "optim.epochs=1", "optim.lr=0.001", ONE_BY_ONE)
    assert done.returncode == 1, done.stdout + done.stderr
    assert states(tmp_path) == ["failed", "finished"]
    assert "memory" in done.stdout


def test_a_run_that_fills_the_disk_is_the_only_one_to_fail_and_names_the_file(train_py, tmp_path):
    # A limit on the size of files simulates a full disk: the wide network's checkpoint exceeds it.
    with limited(resource.RLIMIT_FSIZE, 150_000):
        done = train_py("-m", "model.width=1,32", *TINY, ONE_BY_ONE)
    assert done.returncode == 1, done.stdout + done.stderr
    assert states(tmp_path) == ["failed", "finished"]
    assert "no space left on device while writing checkpoint.pt" in done.stdout


def shown_by_status(folder) -> str:
    return called(lambda: sys.exit(status.main([str(folder / "outputs")]))).stdout


def test_a_killed_sweep_takes_its_workers_with_it_and_status_shows_both(start, tmp_path):
    sweep = start(*TWO, *LONG)
    wait_for(lambda: trained(tmp_path, 2))
    assert "2 runs: 2 running" in shown_by_status(tmp_path)
    workers = [psutil.Process(run.read_status()["pid"]) for run in find_runs([tmp_path / "outputs"])]
    sweep.kill()
    assert psutil.wait_procs(workers, timeout=30)[1] == []
    assert states(tmp_path) == ["interrupted"] * 2
    assert "2 runs: 2 interrupted" in shown_by_status(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_to_the_main_process_of_a_single_run_stops_it_after_its_checkpoint(start, tmp_path, number):
    single = start(*LONG)
    wait_for(lambda: trained(tmp_path, 1))
    os.kill(single.pid, number)  # not to the worker, as a terminal would
    output = single.communicate(timeout=60)[0]
    assert single.returncode == ExitCode.INTERRUPTED, output
    assert "interrupted: stopped by SIGTERM; the same command continues it" in output
    (run,) = find_runs([tmp_path / "outputs"])
    assert run.verified_state() is State.INTERRUPTED
    assert run.checkpoint.exists()


@pytest.fixture
def suspend():
    """Suspends a run's worker, so that it doesn't react to SIGTERM; kills it after the test."""
    suspended = []

    def of(run: RunDir) -> None:
        suspended.append(psutil.Process(run.read_status()["pid"]))
        suspended[-1].suspend()

    yield of
    for process in suspended:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def test_ctrl_c_stops_all_runs_and_sigterm_then_kills_those_that_hang(start, suspend, tmp_path):
    sweep = start(*TWO, *LONG)
    wait_for(lambda: trained(tmp_path, 2))
    answers, hangs = runs_of(tmp_path).values()
    suspend(hangs)
    os.killpg(sweep.pid, signal.SIGINT)
    first = next(line for line in sweep.stdout if "stopping: each run writes its checkpoint" in line)
    wait_for(lambda: answers.verified_state() is State.INTERRUPTED)
    assert "stopped by SIGTERM" in answers.read_status()["reason"]
    assert psutil.Process(hangs.read_status()["pid"]).status() == psutil.STATUS_STOPPED
    # As `timeout` does, to joblib's processes, too.
    os.killpg(sweep.pid, signal.SIGTERM)
    output = first + sweep.communicate(timeout=60)[0]
    assert sweep.returncode == 1
    assert output.count("stopping: ") == 1
    assert "stopped; run the same command again to continue" in output
    assert "Traceback" not in output
    assert states(tmp_path) == ["interrupted"] * 2


def test_two_simultaneous_sweeps_train_every_run_once_and_both_succeed(start, tmp_path):
    command = [*TWO, *TINY, "optim.lr=0.01", ONE_BY_ONE]
    sweeps = [start(*command), start(*command)]
    outputs = [sweep.communicate(timeout=300)[0] for sweep in sweeps]
    assert [sweep.returncode for sweep in sweeps] == [0, 0], outputs
    assert states(tmp_path) == ["finished"] * 2
    for run in find_runs([tmp_path / "outputs"]):
        assert run.log.read_text().count("epoch 1/2 ") == 1


def new_worker(run, known) -> int | None:
    """The process id of the run's worker, once it isn't the known one."""
    status = run.read_status()
    return status["pid"] if status["state"] == "running" and status["pid"] != known else None


def test_a_sweep_that_waited_for_another_adds_the_diagnostics_that_only_it_asks_for(start, tmp_path):
    command = ["-m", "model=resnet", *LONG, "optim.epochs=20"]
    without = start(*command)
    (run,) = wait_for(partial(trained, tmp_path, 1))
    # Suspended as soon as it trains, so that it doesn't end before the other sweep starts.
    worker = psutil.Process(run.read_status()["pid"])
    worker.suspend()
    asking = start(*command, "diagnostics.enabled=true")
    waiting = next(line for line in asking.stdout if "waiting for" in line)
    # The first sweep ends while the other one is adding diagnostics to the run that the first has trained.
    first = psutil.Process(without.pid)
    first.suspend()
    worker.resume()
    adding = psutil.Process(wait_for(partial(new_worker, run, worker.pid)))
    adding.suspend()
    first.resume()
    assert without.wait(timeout=60) == 0
    adding.resume()
    outputs = [sweep.communicate(timeout=300)[0] for sweep in (without, asking)]
    assert [without.returncode, asking.returncode] == [0, 0], [waiting, *outputs]
    assert run.diagnostics.exists()
    assert run.log.read_text().count("epoch 1/20") == 1


def test_a_run_that_is_listed_twice_is_shown_once(train_py, tmp_path):
    arguments = ["-m", *TINY, "depth=8,14", "runtime.checkpoint_seconds=60,30", ONE_BY_ONE]
    dry = train_py(*arguments, "runtime.dry_run=true")
    assert "2 runs, 1 at a time" in dry.stdout, dry.stderr
    done = train_py(*arguments)
    assert done.returncode == 0, done.stderr
    assert len(find_runs([tmp_path / "outputs"])) == 2
    assert "[4/4] resnet-14" in done.stdout
    summary = done.stdout[done.stdout.rindex("test error") :].splitlines()
    assert [line.split()[0] for line in summary if "finished" in line] == ["resnet-8", "resnet-14"]


@pytest.mark.parametrize(
    ("sweep", "runs"), [([], "1 run, "), (["-m", "seed=0,1"], "2 runs, ")], ids=["single", "sweep"]
)
def test_a_dry_run_lists_every_run_and_writes_nothing(program, train_py, tmp_path, sweep, runs):
    command = [*sweep, *TINY, "runtime.dry_run=true"]
    done = program("train.py", *command) if sweep else train_py(*command)
    assert done.returncode == 0, done.stderr
    assert runs in done.stdout
    assert done.stdout.count("pending") == int(runs[0])
    assert done.stdout.count("precision=bf16") == 1  # seeds share a measurement
    assert not (tmp_path / "outputs").exists()


def test_a_run_starts_from_the_weights_of_another(train_py, outputs, tmp_path):
    (first,) = find_runs([outputs])
    done = train_py(*TINY, f"init_from='{first.path}'", "optim.epochs=3")
    assert done.returncode == 0, done.stderr
    (second,) = find_runs([tmp_path / "outputs"])
    origin = {"folder": str(first.path), "hash": first.read_status()["hash"], "metrics": digest(first.metrics)}
    assert second.read_status()["init_from"] == origin
    refused = train_py(*TINY, f"init_from='{first.path}'", "model.width=8")
    assert refused.returncode == 2
    assert "its width is 16, this run's 8" in refused.stderr


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ("seed=1", "its seed is 0 instead of 1"),
        ("data.train_size=60", "its data.train_size is 64 instead of 60"),
        ("data.holdout=4", "its data.holdout is 0 instead of 4"),
    ],
)
def test_weights_that_know_the_held_out_images_are_refused(train_py, outputs, tmp_path, changed, reason):
    shutil.copytree(outputs, tmp_path / "first")
    (first,) = find_runs([tmp_path / "first"])
    config = first.read_config()
    held_out = 0 if "holdout" in changed else 8
    config["data"]["holdout"] = held_out
    first.write_config(config)
    first.update_status(hash=config_hash(config))
    before = tree(tmp_path)
    done = train_py(*TINY, f"init_from='{first.path}'", f"data.holdout={held_out}", changed)
    assert done.returncode == 2, done.stdout
    assert reason in done.stderr and done.stderr.count("\n") == 1
    assert tree(tmp_path) == before


@pytest.mark.parametrize("key", ["classes", "image_shape"])
@pytest.mark.parametrize("sizes", ["sizes", "read_sizes"])
def test_the_weights_of_another_must_fit_the_images(train_py, outputs, tmp_path, monkeypatch, key, sizes):
    shutil.copytree(outputs, tmp_path / "first")
    (first,) = find_runs([tmp_path / "first"])
    recorded = first.read_status()["data"]
    first.update_status(data={**recorded, key: {"classes": 7, "image_shape": [8, 8, 1]}[key]})
    known = DATASETS["synthetic"]
    if sizes == "read_sizes":
        known = dataclasses.replace(known, sizes=None, read_sizes=lambda root: DATASETS["cifar10"].sizes)
    monkeypatch.setitem(DATASETS, "synthetic", known)
    refused = train_py("-m", *TINY, f"init_from='{first.path}'", "seed=1,2")
    assert refused.returncode == 2
    expected = {"classes": "classes is 7, this run's 10", "image_shape": "color channels is 1, this run's 3"}[key]
    assert f"its number of {expected}; expected the same network" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "outputs").exists()
