"""What Hydra calls for a run, and what only takes effect on its worker before it starts."""

import os
import site
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.types import RunMode
from omegaconf import OmegaConf

from cifar_resnet.devices import Gpu
from cifar_resnet.errors import ExitCode
from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State
from cifar_resnet.sweep import launch, worker_process
from cifar_resnet.sweep.assignment import Assignment
from cifar_resnet.sweep.control import Control, SingleRun


@pytest.fixture
def values(composed):
    return composed("data=synthetic", "runtime.threads=3")


def test_every_library_gets_the_runs_threads(values):
    environment = worker_process.worker_environment(values)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    assert {environment[name] for name in names} == {"3"}


def test_freed_memory_is_kept_unless_the_user_has_set_otherwise(values, monkeypatch):
    # glibc's mallopt(3): pad by 256 MB, use mmap from 1 GB, trim above 4 GB.
    settings = {"TOP_PAD_": 2**28, "MMAP_THRESHOLD_": 2**30, "TRIM_THRESHOLD_": 2**32}
    for name in settings:
        monkeypatch.delenv(f"MALLOC_{name}", raising=False)
    environment = worker_process.worker_environment(values)
    assert {name: int(environment[f"MALLOC_{name}"]) for name in settings} == settings
    for name in settings:
        monkeypatch.setenv(f"MALLOC_{name}", "1")
        assert worker_process.worker_environment(values)[f"MALLOC_{name}"] == "1"


@pytest.mark.parametrize(("given", "others"), [(None, []), ("/elsewhere", ["/elsewhere"]), (":/a::/b:", ["/a", "/b"])])
def test_a_worker_finds_this_package_first(values, monkeypatch, given, others):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if given:
        monkeypatch.setenv("PYTHONPATH", given)
    path = worker_process.worker_environment(values)["PYTHONPATH"].split(os.pathsep)
    assert path[path.index(str(REPO_ROOT)) :] == [str(REPO_ROOT), *others]
    assert len(path) == 1 + len(others) + (sys.version_info < (3, 11))


def test_an_installed_package_comes_after_what_the_user_put_before_it(values, monkeypatch):
    installed = Path(site.getsitepackages()[0]).resolve()
    monkeypatch.setattr(worker_process, "REPO_ROOT", installed)
    monkeypatch.setenv("PYTHONPATH", "/mine")
    path = worker_process.worker_environment(values)["PYTHONPATH"].split(os.pathsep)
    assert path[-1] == "/mine"
    assert str(installed) not in path


@pytest.mark.parametrize(
    ("arguments", "folder", "is_found"),
    [
        (["-m", "elsewhere"], ".", False),
        (["-c", "import elsewhere"], ".", False),
        (["-c", "import cifar_resnet, json"], ".", True),
        (["-m", "cifar_resnet"], REPO_ROOT, True),
        (["-c", "import elsewhere"], "trusted", True),
    ],
)
def test_nothing_is_imported_from_the_working_folder(tmp_path, monkeypatch, arguments, folder, is_found):
    for name in ("elsewhere", "json", "trusted/elsewhere"):
        (tmp_path / "trusted").mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text("" if "trusted" in name else "raise SystemExit('from the working folder')")
    monkeypatch.setenv("PYTHONPATH", f":{tmp_path / 'trusted'}" if folder == "trusted" else "")
    environment = {**os.environ, **worker_process.import_path()}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path / folder, env=environment, capture_output=True, text=True
    )
    assert (done.returncode == 0) == is_found, done.stderr
    assert is_found or "No module named" in done.stderr


@pytest.mark.parametrize(
    ("deterministic", "given", "expected"), [(True, None, ":4096:8"), (True, ":16:8", ":16:8"), (False, None, None)]
)
def test_cublas_is_deterministic_on_request(values, monkeypatch, deterministic, given, expected):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    if given:
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", given)
    values["runtime"]["deterministic"] = deterministic
    assert worker_process.worker_environment(values).get("CUBLAS_WORKSPACE_CONFIG") == expected


@pytest.mark.parametrize(("n_jobs", "threads"), [(1, 8), (3, 2), (8, 1), (9, 1), (-1, 1)])
def test_parallel_runs_share_the_cores(values, monkeypatch, n_jobs, threads):
    monkeypatch.setattr(worker_process, "count_cores", lambda: 8)
    values["runtime"]["threads"] = None
    assert worker_process.worker_config(values, n_jobs)["runtime"]["threads"] == threads


def test_an_explicit_number_of_threads_is_kept(values):
    assert worker_process.worker_config(values, 2)["runtime"]["threads"] == 3


def test_the_folders_in_a_config_become_absolute(values, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    values["data"] |= {"root": "~/images", "cache": "cache"}
    config = worker_process.worker_config(values, 1)
    assert config["data"]["root"] == "/home/me/images"
    assert config["data"]["cache"] == str(tmp_path / "cache")
    assert config["out"] == str(tmp_path / "outputs")
    assert values["data"]["root"] == "~/images"  # the caller's config is unchanged
    values["data"]["root"] = None
    assert worker_process.worker_config(values, 1)["data"]["root"] is None


@pytest.fixture
def hydra(monkeypatch, tmp_path, values):
    """Calls `launch` as Hydra does, with a `train` that returns this code; returns the arguments of `train`."""

    def call(mode, code, launcher):
        job = SimpleNamespace(num=4)
        settings = SimpleNamespace(
            runtime=SimpleNamespace(output_dir=str(tmp_path)), mode=mode, launcher=launcher, job=job
        )
        monkeypatch.setattr(launch.HydraConfig, "get", lambda: settings)
        monkeypatch.setattr(launch, "train", lambda *arguments: called.append(arguments) or code)
        monkeypatch.setattr(worker_process, "count_cores", lambda: 8)
        launch.launch(OmegaConf.create(values))
        return called[-1]

    called = []
    return call


def test_a_single_run_has_all_cores_and_no_sweep(hydra, values, tmp_path):
    values["runtime"]["threads"] = None
    assignment, control = hydra(RunMode.RUN, 0, {"n_jobs": 2})
    assert (assignment.run.path, control, assignment.index) == (tmp_path, SingleRun(), 0)
    assert assignment.config["runtime"]["threads"] == 8


@pytest.mark.parametrize(("launcher", "threads"), [({"n_jobs": 2}, 4), ({}, 8)])
def test_a_run_of_a_sweep_has_its_share_of_the_cores_and_its_position(hydra, values, tmp_path, launcher, threads):
    values["runtime"]["threads"] = None
    begun = Control.begin(9, live=False)
    assignment, control = hydra(RunMode.MULTIRUN, 0, launcher)
    assert (assignment.run.path, control, assignment.index) == (tmp_path, begun, 4)
    assert assignment.config["runtime"]["threads"] == threads
    begun.end()


@pytest.mark.parametrize(("code", "exit_code"), [(1, 1), (2, 2), (3, 3), (4, 4), (-9, 1)])
def test_a_single_run_exits_with_the_code_of_its_worker(hydra, code, exit_code):
    with pytest.raises(SystemExit) as ended:
        hydra(RunMode.RUN, code, {})
    assert ended.value.code == exit_code


def test_a_failed_run_does_not_end_its_sweep(hydra):
    hydra(RunMode.MULTIRUN, 1, {})


def test_a_worker_sees_only_its_own_gpu(values, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3")
    assert worker_process.worker_environment(values, Gpu("3", "ab"))["CUDA_VISIBLE_DEVICES"] == "3"
    assert worker_process.worker_environment(values)["CUDA_VISIBLE_DEVICES"] == "0,3"


def test_a_run_on_the_cpu_needs_no_slot(values, monkeypatch, tmp_path):
    monkeypatch.setattr(launch, "visible_gpus", lambda: [Gpu("0", "ab")])
    monkeypatch.setattr(launch.slots, "wait_for", lambda *arguments: pytest.fail("it waited for a GPU"))
    values["runtime"]["device"] = "cpu"
    with launch._gpu_slot(Assignment(RunDir(tmp_path), values), SingleRun()) as slot:
        assert slot is None


@pytest.mark.parametrize(
    ("before", "code", "after", "returned"),
    [
        (State.FINISHED, -15, State.FINISHED, 0),  # killed while it cleaned up, after it had written its results
        (State.DIVERGED, -15, State.DIVERGED, -15),
        (State.RUNNING, -15, State.INTERRUPTED, -15),
        (State.RUNNING, -9, State.FAILED, -9),
        (State.RUNNING, 1, State.FAILED, 1),
        (State.INTERRUPTED, 3, State.INTERRUPTED, 3),
    ],
)
def test_the_death_of_a_worker_sets_the_state_of_its_run(tmp_path, before, code, after, returned):
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    # No process has this id: the kernel assigns none above 2**22.
    run.update_status(state=before, pid=2**22 + 1, host=socket.gethostname())
    assert launch._record_death(run, code, SingleRun()) == returned
    assert run.verified_state() is after


def test_a_run_that_waits_for_a_gpu_reports_it(values, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(launch, "visible_gpus", lambda: [Gpu("0", "ab")])
    monkeypatch.setattr(launch.slots, "wait_for", lambda *arguments: arguments[-1]())
    assert launch.train(Assignment(RunDir(tmp_path / "run"), values, 0), SingleRun()) == ExitCode.INTERRUPTED
    assert "run: waiting for a free GPU (runtime.runs_per_gpu=1)" in capsys.readouterr().out
