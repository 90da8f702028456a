"""A run killed at any moment and continued ends bit for bit like one that never was.

Of three kills, one is at a random moment, one while a checkpoint is written, and one while metrics.csv is written.
KILLS=100 in the environment sets the number of kills; the default is a few, for everyday use.
"""

import csv
import multiprocessing
import os
import random
import shutil
from collections import Counter
from importlib.util import find_spec

import pytest
import torch

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.run.folder import RunDir, State
from cifar_resnet.training import worker

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


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_killed_at_random_moments_it_ends_bit_for_bit_alike(tmp_path, composed, model):
    config = composed(*RUN, f"model={model}")
    whole, run = RunDir(tmp_path / "whole"), RunDir(tmp_path / "killed")
    whole.write_config(config)
    process = start(whole)
    process.join()
    assert process.exitcode == 0
    assert whole.read_status()["kernels"] == ("fused" if find_spec("numba") else "eager")
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
