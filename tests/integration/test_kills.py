"""A run killed at any moment and continued ends bit for bit like one that never was.

Of three kills, one is at a random moment, one while a checkpoint is written, and one while metrics.csv is written.
KILLS=100 in the environment sets the number of kills; the default is a few, for everyday use.
"""

import csv
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec

import psutil
import pytest
import torch

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.find import find_runs
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State
from cifar_resnet.training import worker
from tests.conftest import wait_for

KILLS = int(os.environ.get("KILLS", "9"))
# A checkpoint after every step, so that many kills happen while one is written. With one thread on a CPU, the kernels
# are the fused ones, if Numba is installed.
RUN = [
    "data=digits",
    "data.train_size=300",
    "depth=14",
    "optim.epochs=4",
    "optim.batch_size=25",
    "optim.lr=0.02",
    "runtime.threads=1",
    "runtime.checkpoint_seconds=0",
]
ON_GPU = ["runtime.device=cuda", "runtime.deterministic=true"]
# cuBLAS requires it for deterministic algorithms; set before the fork server starts, because children inherit it.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
TIMES = {"train_seconds", "test_seconds", "images_per_second"}
# Children are forked from a process that has already done the slow imports (an optimizer imports torch._dynamo), so
# that kills happen during training and not during start-up.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["cifar_resnet.training.worker", "sklearn.datasets", "torch._dynamo", "numba"])


def start(run: RunDir):
    process = processes.Process(target=worker.main, args=([str(run.path), "--quiet"],))
    process.start()
    return process


def result(run: RunDir):
    rows = [{key: x for key, x in row.items() if key not in TIMES} for row in csv.DictReader(run.metrics.open())]
    weights = torch.load(run.final, weights_only=True)
    return rows, {name: value.numpy().tobytes() for name, value in weights.items()}


def kill(process, run: RunDir, aim: str | None, delay: float) -> str | None:
    """Kills it `delay` seconds after it started to train, or while it writes `aim`; returns what it was doing."""
    while process.exitcode is None and not begun(run, process.pid):
        process.join(0.002)
    process.join(delay)
    while aim and process.exitcode is None and not any(run.path.glob(f".{aim}.*")):
        pass
    if process.exitcode is not None:
        return None
    process.kill()
    process.join()
    left = sorted(path.name.split(".")[1] for path in run.path.glob(".*.*"))
    return f"writing {'+'.join(left)}" if left else "computing"


def begun(run: RunDir, process_id: int) -> bool:
    return run.status.exists() and run.read_status().get("pid") == process_id


@pytest.mark.integration
@pytest.mark.parametrize("model", ARCHITECTURES)
def test_killed_at_random_moments_it_ends_bit_for_bit_alike(tmp_path, composed, model):
    kill_and_compare(tmp_path, composed(*RUN, f"model={model}"), "fused" if find_spec("numba") else "eager")


@pytest.mark.cuda
@pytest.mark.parametrize("kernels", ["graph", "eager"])
def test_on_a_gpu_a_run_killed_at_random_moments_ends_bit_for_bit_alike(tmp_path, composed, kernels):
    config = composed(*RUN, *ON_GPU, f"runtime.kernels={kernels}", "precision=bf16")
    kill_and_compare(tmp_path, config, kernels)


@pytest.mark.cuda
def test_on_a_gpu_a_killed_sweep_ends_bit_for_bit_alike(tmp_path):
    command = [sys.executable, str(REPO_ROOT / "train.py"), "-m", "model=plain,resnet", *RUN, *ON_GPU]
    command += ["runtime.runs_per_gpu=2", "precision=bf16"]
    subprocess.run([*command, f"out={tmp_path / 'whole'}"], check=True, cwd=tmp_path)
    expected = {run.path.parent.name: result(run) for run in find_runs([tmp_path / "whole"])}
    assert len(expected) == 2
    sweep = psutil.Popen([*command, f"out={tmp_path / 'killed'}"], cwd=tmp_path)
    wait_for(lambda: len([*(tmp_path / "killed").rglob("checkpoint.pt")]) == 2)
    for process in [sweep, *sweep.children(recursive=True)]:
        process.kill()
    assert sweep.wait() == -signal.SIGKILL
    runs = find_runs([tmp_path / "killed"])
    assert [run.verified_state() for run in runs] != [State.FINISHED] * 2
    subprocess.run([*command, f"out={tmp_path / 'killed'}"], check=True, cwd=tmp_path)
    assert {run.path.parent.name: result(run) for run in runs} == expected


def kill_and_compare(tmp_path, config, kernels):
    """Trains once without a kill, then with kills until there were enough, and compares."""
    model = config["model"]["name"]
    whole, run = RunDir(tmp_path / "whole"), RunDir(tmp_path / "killed")
    whole.write_config(config)
    process = start(whole)
    process.join()
    assert process.exitcode == 0
    assert whole.read_status()["kernels"] == kernels
    expected, rng, moments, kills, finished = result(whole), random.Random(model), Counter(), 0, 0
    seconds = whole.read_status()["seconds"]
    wanted = -(-KILLS // len(ARCHITECTURES))
    while kills < wanted or run.path.exists():
        run.write_config(config)
        process = start(run)
        if kills < wanted:
            # About three kills per run.
            moment = kill(process, run, (None, "checkpoint.pt", "metrics.csv")[kills % 3], rng.uniform(0, seconds / 3))
            if moment is not None:
                kills, moments[moment] = kills + 1, moments[moment] + 1
                continue
        process.join()
        assert process.exitcode == 0, run.log.read_text()
        assert run.verified_state() is State.FINISHED
        assert result(run) == expected
        assert not list(run.path.glob(".*.*"))
        finished += 1
        shutil.rmtree(run.path)
    print(f"\n{model}: {kills} kills in {finished} runs: {dict(moments)}")
