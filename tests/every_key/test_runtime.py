"""The keys that control where and how a run is computed."""

import io
import sys
import types
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from cifar_resnet.devices import Gpu
from cifar_resnet.errors import ExitCode
from cifar_resnet.run.config import from_container
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State
from cifar_resnet.sweep import control, dry_run, launch
from cifar_resnet.sweep.assignment import Assignment
from cifar_resnet.sweep.slurm import squeue, submit
from cifar_resnet.sweep.worker_process import worker_config
from cifar_resnet.training import backend, checkpoint, stop_request, worker
from tests.conftest import TINY, compose_run, tree, work
from tests.every_key import acts

pytestmark = pytest.mark.usefixtures("restored_torch")


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(launch, "visible_gpus", lambda: [Gpu("0", "aa"), Gpu("1", "bb")])


@pytest.fixture
def started(monkeypatch):
    """The environments of the workers that are started; each finishes immediately."""
    environments = []

    def start(command, env, **options):
        environments.append(env)
        RunDir(Path(command[3])).update_status(state=State.FINISHED)
        return types.SimpleNamespace(wait=lambda timeout=None: 0)

    monkeypatch.setattr(control, "subprocess", types.SimpleNamespace(Popen=start))
    return environments


def set_up(*overrides):
    return backend.set_up(from_container(compose_run(*TINY, *overrides)))


def train(run, *overrides):
    """Launches one run with these overrides, like a sweep."""
    config = worker_config(compose_run(*TINY, *overrides), n_jobs=1)
    return launch.train(Assignment(run, config), control.SingleRun())


@acts("runtime.device", "runtime.device=cpu")
def test_device_cpu_leaves_gpus_alone(two_gpus, started, monkeypatch, tmp_path, overrides):
    assert [set_up(*words)[0].type for words in ((), overrides)] == ["cuda", "cpu"]
    monkeypatch.setattr(launch.slots, "wait_for", lambda *arguments: pytest.fail("it waited for a GPU"))
    assert train(RunDir(tmp_path / "run"), *overrides) == 0
    assert "CUDA_VISIBLE_DEVICES" not in started[0]


@acts("runtime.threads", "runtime.threads=3")
def test_threads_are_those_of_torch_and_of_the_workers_libraries(started, tmp_path, overrides):
    assert set_up(*overrides)[1] == torch.get_num_threads() == 3
    train(RunDir(tmp_path / "run"), *overrides)
    assert (started[0]["OMP_NUM_THREADS"], started[0]["MKL_NUM_THREADS"]) == ("3", "3")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@acts("runtime.progress", "runtime.progress=false")
def test_without_progress_a_terminal_shows_no_bar(make_folder, monkeypatch, overrides):
    for words, shown in (((), True), (overrides, False)):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        run = make_folder(f"shown-{shown}", *words)
        worker.train(run, from_container(run.read_config()), quiet=False, stop=types.SimpleNamespace(wanted=bool))
        assert ("resnet-8" in terminal.getvalue()) is shown


@acts("runtime.runs_per_gpu", "runtime.runs_per_gpu=3")
def test_runs_per_gpu_is_the_slots_of_a_gpu(two_gpus, monkeypatch, tmp_path, overrides):
    asked = []
    monkeypatch.setattr(launch.slots, "wait_for", lambda gpus, runs_per_gpu, *_: asked.append(runs_per_gpu))
    assert train(RunDir(tmp_path / "run"), *overrides) == ExitCode.INTERRUPTED
    assert asked == [3]


@acts("runtime.kernels", "runtime.kernels=eager")
def test_kernels_eager_uses_no_cuda_graphs_on_a_gpu(training, overrides):
    for words, graphs in ((["runtime.kernels=auto"], True), (overrides, False)):
        run = training(*words)
        run.device = torch.device("cuda")
        assert run.uses_graphs is graphs


@acts("runtime.compile", "runtime.compile=true")
def test_compile_trains_through_the_compiled_network(training, monkeypatch, overrides):
    calls = []

    def compiled(network, **options):
        return lambda images: calls.append(len(images)) or network(images)

    monkeypatch.setattr(torch, "compile", compiled)
    training(*overrides).train_epoch(lambda: False)
    assert calls == [8] * 8
    training().train_epoch(lambda: False)
    assert calls == [8] * 8


@acts("runtime.deterministic", "runtime.deterministic=true")
def test_deterministic_is_asked_of_torch_and_of_cublas(started, monkeypatch, tmp_path, overrides):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    set_up(*overrides)
    assert torch.are_deterministic_algorithms_enabled()
    train(RunDir(tmp_path / "run"), *overrides)
    train(RunDir(tmp_path / "other"))
    assert [environment.get("CUBLAS_WORKSPACE_CONFIG") for environment in started] == [":4096:8", None]


@acts("runtime.checkpoint_seconds", "runtime.checkpoint_seconds=0")
def test_checkpoint_seconds_is_the_time_between_checkpoints(make_folder, monkeypatch, overrides):
    save, saved = checkpoint.save, []
    monkeypatch.setattr(checkpoint, "save", lambda run, state: saved.append(state["step"]) or save(run, state))
    assert work(make_folder("a", *overrides, "optim.batch_size=16", "optim.epochs=1")).returncode == 0
    assert saved == [1, 2, 3, 4]


@acts("runtime.retry_failed", "runtime.retry_failed=false")
def test_without_retry_failed_a_failed_run_is_left(started, tmp_path, capsys, overrides):
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    run.update_status(state=State.FAILED)
    assert train(run, *overrides) == 0
    assert "failed before; skipped" in capsys.readouterr().out
    assert started == []
    train(run)
    assert len(started) == 1


@acts("runtime.tensorboard", "runtime.tensorboard=true")
def test_tensorboard_gets_the_history_of_each_epoch(make_folder, monkeypatch, overrides):
    written = []
    monkeypatch.setattr(worker, "require_tensorboard", lambda: None)
    monkeypatch.setattr(worker.tensorboard, "write", lambda folder, history: written.append((folder, len(history))))
    run = make_folder("a", *overrides)
    assert work(run).returncode == 0
    assert written == [(run.tensorboard, 1), (run.tensorboard, 2)]


@acts("runtime.dry_run", "runtime.dry_run=true")
def test_a_dry_run_prints_the_plan_and_trains_nothing(train_py, monkeypatch, tmp_path, overrides):
    monkeypatch.setattr(dry_run, "print_costs", lambda runs, at_a_time: print(len(runs), "planned"))
    monkeypatch.setattr(launch, "train", lambda *arguments: pytest.fail("it trained"))
    done = train_py(*TINY, *overrides)
    assert (done.returncode, done.stdout) == (0, "1 planned\n"), done.stderr
    assert tree(tmp_path) == []


@acts("runtime.runs_per_job", "runtime.runs_per_job=2")
@pytest.mark.skipif(not submit.is_installed(), reason="the extra slurm isn't installed")
def test_runs_per_job_is_the_runs_that_a_job_of_the_cluster_gets(monkeypatch, tmp_path, overrides):
    packs = []
    monkeypatch.setattr(squeue, "live_jobs", dict)
    monkeypatch.setattr(submit, "wait", lambda runs: None)
    monkeypatch.setattr(
        submit, "_submit_array", lambda parameters, call, some: packs.extend(map(len, some)) or ["1", "2"]
    )
    config = OmegaConf.create(compose_run(*TINY, *overrides))

    def compose(base, words):
        return OmegaConf.merge(base, {"hydra": {"sweep": {"dir": str(tmp_path), "subdir": words[0]}}})

    launcher = types.SimpleNamespace(
        config=config,
        params={"submitit_folder": str(tmp_path / "jobs")},
        hydra_context=types.SimpleNamespace(config_loader=types.SimpleNamespace(load_sweep_config=compose)),
    )
    submit.submit_and_wait(launcher, [["first"], ["second"], ["third"]], 0)
    assert packs == [2, 1]


@acts("runtime.stop_after", "runtime.stop_after=1s")
def test_stop_after_ends_a_run_as_planned_unless_a_sweep_counts_the_time(make_folder, monkeypatch, overrides):
    monkeypatch.setattr(stop_request, "seconds_of", lambda text: 0)
    run = make_folder("a", *overrides)
    assert work(run).returncode == ExitCode.FINISHED
    status = run.read_status()
    assert (status["state"], status["reason"]) == ("interrupted", "runtime.stop_after=1s is over")
    assert status["progress"]["step"] == 1
    assert work(run, "--quiet").returncode == ExitCode.FINISHED  # as a sweep starts it
    assert run.verified_state() is State.FINISHED
