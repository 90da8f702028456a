"""A run that the sweep tests start from, and workers that are not processes."""

import os
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from cifar_resnet.run.defaults import overridden
from cifar_resnet.run.files import digest
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.identity import run_name
from cifar_resnet.run.states import State
from cifar_resnet.sweep.control import Control, SingleRun
from tests.conftest import EMPTY_ARCHIVE, TINY, compose_run, work


@pytest.fixture(scope="session")
def outputs(tmp_path_factory):
    """The outputs of `train.py` with TINY, trained once for the tests that copy them or start from them."""
    folder = tmp_path_factory.mktemp("trained") / "outputs"
    config = compose_run(*TINY)
    run = RunDir(folder / run_name(config, overridden(config)))
    run.write_config(config)
    assert work(run).returncode == 0
    return folder


@pytest.fixture
def values(composed):
    return composed(*TINY, "runtime.device=cpu")


@pytest.fixture
def run(tmp_path):
    return RunDir(tmp_path / "outputs/synthetic/resnet-8/seed0-1a2b3c4d")


@pytest.fixture(params=[False, True], ids=["single", "sweep"])
def control(request):
    """That of a single run, or of a sweep with this process as its main one."""
    if not request.param:
        yield SingleRun()
        return
    begun = Control.begin(3, live=False)
    yield begun
    begun.end()


@pytest.fixture
def sweep():
    begun = Control.begin(3, live=False)
    yield begun
    begun.end()


def finish(run: RunDir) -> None:
    """Writes what a worker writes when it finishes its run."""
    run.metrics.write_text("epoch\n1\n")
    run.update_status(
        state=State.FINISHED, outcome={"test_error": 12.345}, seconds=61.4, metrics_digest=digest(run.metrics)
    )


@pytest.fixture
def lacking(run, values):
    """A finished run whose diagnostics are requested, with a checkpoint to add them from."""
    run.path.mkdir(parents=True)
    finish(run)
    run.checkpoint.write_bytes(b"state")
    run.final.write_bytes(EMPTY_ARCHIVE)
    values["diagnostics"]["enabled"] = True
    return run


@pytest.fixture
def started(monkeypatch):
    """Replaces worker processes and records their arguments; each calls `work` and ends with exit code `code`."""

    class Worker(SimpleNamespace):
        def __init__(self, command, **options):
            super().__init__(command=command, run=RunDir(Path(command[3])), **options)
            self.config = self.run.read_config()
            workers.append(self)
            workers.work(self.run)

        def wait(self, timeout=None):
            return workers.code

    class Workers(list):
        work, code = staticmethod(finish), 0

    workers = Workers()
    monkeypatch.setattr(subprocess, "Popen", Worker)
    return workers


@pytest.fixture
def interruptible():
    """Makes Ctrl-C raise KeyboardInterrupt, as in a terminal; restores the signal handlers afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Exited(BaseException):
    """Stands for the end of this process."""


@pytest.fixture
def no_main(monkeypatch):
    """The sweep's main process is gone."""

    def leave(code):
        raise Exited(code)

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(Control, "main_is_alive", lambda self: False)
