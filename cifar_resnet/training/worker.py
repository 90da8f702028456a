"""Trains the run of one folder, in a process of its own: `python -m cifar_resnet.training.worker RUN_DIR`.

Reads the folder's config.yaml and fills the folder; continues from its checkpoint where there is one. Exit codes:
0 finished, 1 failed or diverged, 2 the user's mistake, 3 interrupted, 4 another process has the run.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch

from cifar_resnet import __version__
from cifar_resnet import config as schema
from cifar_resnet.config import Config
from cifar_resnet.devices import count_cores
from cifar_resnet.errors import BusyError, CifarResnetError, ConfigError, ExitCode
from cifar_resnet.run_dir import RunDir, State, config_hash, now, write_atomically
from cifar_resnet.training import checkpoint, metrics
from cifar_resnet.training.data import Dataset, load
from cifar_resnet.training.loop import Diverged, Training, final_weights
from cifar_resnet.training.metrics import Row
from cifar_resnet.training.models import count_parameters
from cifar_resnet.training.progress import Bar, epoch_line

log = logging.getLogger("cifar_resnet")


class StopRequest:
    """Turns SIGTERM and SIGINT into a wish that the loop grants after its current step."""

    def __init__(self) -> None:
        self.signal: str | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number).name
        # The second time, the user means now.
        signal.signal(number, signal.SIG_DFL)


def choose_device(device: str) -> torch.device:
    """The device that `runtime.device` asks for.

    Raises:
        ConfigError: a GPU is asked for where torch sees none.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ConfigError("runtime.device=cuda: torch sees no GPU here; expected one, or runtime.device=cpu")
    return torch.device("cuda" if device != "cpu" and available else "cpu")


def describe_device(device: torch.device) -> str:
    """The processor's own name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()} ({torch.backends.cpu.get_cpu_capability()})"
    return f"{platform.processor() or platform.machine()} ({torch.backends.cpu.get_cpu_capability()})"


def git_commit() -> str | None:
    """The project's commit, with `+changes` where files differ from it; None outside a checkout."""
    folder = Path(__file__).parent
    try:
        commit, changes = (
            subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}+changes" if changes else commit


def describe_run(config: Config, dataset: Dataset, training: Training, threads: int) -> dict[str, Any]:
    """What run.json says of how the run was made."""
    return {
        "device": describe_device(training.device),
        "threads": threads,
        "parameters": count_parameters(training.network),
        "commit": git_commit(),
        "versions": {
            "python": platform.python_version(),
            "cifar_resnet": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "data": {
            "name": config.data.name,
            "kind": config.data.kind,
            "fingerprint": dataset.fingerprint,
            "train_images": len(dataset.train.labels),
            "val_images": 0 if dataset.val is None else len(dataset.val.labels),
            "test_images": len(dataset.test.labels),
            "classes": len(dataset.classes),
            "mean": list(dataset.mean),
            "std": list(dataset.std),
        },
    }


def outcome(history: list[Row]) -> dict[str, Any]:
    """The headline numbers: the last epoch's, and the best epoch's, chosen on the split watched each epoch."""
    last = history[-1]
    watched = "val_error" if "val_error" in last else "test_error"
    best = min(history, key=lambda row: float(row[watched]))
    final = {name: last[name] for name in last if name.endswith(("_loss", "_error"))}
    return {**final, f"best_{watched}": best[watched], "best_epoch": best["epoch"]}


def train(run: RunDir, config: Config, quiet: bool, stop: StopRequest) -> State:
    """Trains the run to its end or to a stop, writing a checkpoint and metrics each epoch."""
    device = choose_device(config.runtime.device)
    threads = config.runtime.threads or count_cores()
    torch.set_num_threads(threads)
    show_bar = config.runtime.progress and not quiet and sys.stderr.isatty()
    dataset = load(config.data, config.seed, progress=show_bar)
    training = Training(config, dataset, device)
    if run.checkpoint.exists():
        training.load(checkpoint.load(run.checkpoint, device))
        # The process before may have died between its checkpoint and its metrics.
        metrics.write(run.metrics, training.history, dataset.val is not None)
        log.info("continues at step %d of %d", training.step, training.schedule.total_steps)
    run.update_status(**describe_run(config, dataset, training, threads))

    name = f"{config.model.name}-{config.depth}"
    with Bar(name, training, show_bar) as bar:

        def after_step() -> bool:
            bar.step()
            return stop.signal is not None

        while not training.finished:
            completed = training.train_epoch(after_step)
            checkpoint.save(run.checkpoint, training.state())
            if not completed:
                return State.INTERRUPTED
            metrics.write(run.metrics, training.history, dataset.val is not None)
            log.debug(epoch_line(training.history[-1], training.schedule.epochs))
            if stop.signal is not None and not training.finished:
                return State.INTERRUPTED
    write_atomically(run.final, lambda file: torch.save(final_weights(training.network), file))
    seconds = sum(row["train_seconds"] + row["test_seconds"] for row in training.history)
    run.update_status(outcome=outcome(training.history), seconds=round(seconds, 3))
    return State.FINISHED


@contextlib.contextmanager
def _recorded(run: RunDir) -> Iterator[None]:
    """Writes the state of a run that ends by an exception, with its reason.

    A user's mistake and divergence go on to `main`; anything else is a bug, whose traceback belongs in run.log.
    """
    try:
        yield
    except Diverged as error:
        run.update_status(state=State.DIVERGED, reason=str(error), finished=now())
        raise
    except CifarResnetError as error:
        run.update_status(state=State.FAILED, reason=str(error), finished=now())
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        run.update_status(state=State.FAILED, reason=reason, finished=now())
        log.exception("the run failed")
        sys.exit(ExitCode.FAILED)


def run_folder(run: RunDir, quiet: bool) -> int:
    """Trains the run of a folder under its lock and writes how it ended; the process's exit code."""
    config = schema.from_container(run.read_config())
    stop = StopRequest()
    begin = time.monotonic()
    with run.lock(timeout=2):
        if run.state() is State.FINISHED:
            log.info("finished before; skipped")
            return ExitCode.FINISHED
        handler = logging.FileHandler(run.log, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        log.addHandler(handler)
        run.update_status(
            state=State.RUNNING,
            reason=None,
            started=run.read_status().get("started") or now(),
            pid=os.getpid(),
            host=socket.gethostname(),
            hash=config_hash(run.read_config()),
        )
        with _recorded(run):
            state = train(run, config, quiet, stop)
        reason = None if state is State.FINISHED else f"stopped by {stop.signal}"
        run.update_status(state=state, reason=reason, finished=now())
        if state is State.INTERRUPTED:
            log.info("interrupted by %s; the same command continues it", stop.signal)
            return ExitCode.INTERRUPTED
        log.info(_closing_line(run, time.monotonic() - begin))
        return ExitCode.FINISHED


def _closing_line(run: RunDir, seconds: float) -> str:
    result = run.read_status()["outcome"]
    best = "val" if "best_val_error" in result else "test"
    return (
        f"final test error {result['test_error']:.2f} %, best {best} error {result[f'best_{best}_error']:.2f} % "
        f"(epoch {result['best_epoch']}), {seconds:.1f} s, {run.path}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Entry of the process; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cifar_resnet.training.worker", description=__doc__)
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="folder with a config.yaml")
    parser.add_argument("--quiet", action="store_true", help="write to the folder's run.log alone")
    options = parser.parse_args(arguments)
    log.setLevel(logging.DEBUG)
    if not options.quiet:
        console = logging.StreamHandler(sys.stdout)
        # In a terminal the bar stands for the epochs' lines, which are debug messages.
        console.setLevel(logging.INFO if sys.stderr.isatty() else logging.DEBUG)
        console.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(console)
    try:
        return run_folder(RunDir(options.run_dir), options.quiet)
    except Diverged as error:
        print(f"diverged: {error}", file=sys.stderr)
        return ExitCode.FAILED
    except BusyError as error:
        print(error, file=sys.stderr)
        return ExitCode.BUSY
    except CifarResnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.USER


if __name__ == "__main__":
    sys.exit(main())
