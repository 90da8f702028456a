"""Fixtures that several folders of tests share: the programs as a user runs them, and configs composed from conf/.

Starting train.py takes a second, and so does each of joblib's processes; a worker takes three or more. So a program
runs in a separate process only if the test is about processes or about everything from the terminal on, and otherwise
in the test's own process, with its workers.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import io
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import hypothesis
import omegaconf.base
import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from omegaconf import DictConfig, OmegaConf

from cifar_resnet.devices import count_cores
from cifar_resnet.run.config import from_container
from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.schema import FIELDS
from cifar_resnet.sweep import search_path
from cifar_resnet.sweep.resolvers import plain_config

# No deadline, because any example can be slow on a busy machine.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
# Each time it composes a config, Hydra copies its store of registered configs, and OmegaConf parses YAML in Python and
# the same interpolations again. The tests' own processes compose hundreds; a user's don't do this.
ConfigStore.__deepcopy__ = lambda self, memo: self
omegaconf.base.parse = functools.cache(omegaconf.base.parse)
yaml.SafeLoader = yaml.CSafeLoader
# Importing the tests leaves next to no garbage, but looking for it takes a quarter of the time until they start.
gc.disable()
# Tests run in parallel, and their threads would compete for cores. torch reads this when it is imported.
os.environ["OMP_NUM_THREADS"] = "1"

TINY = [
    "data=synthetic",
    "data.train_size=64",
    "data.test_size=32",
    "data.image_size=8",
    "depth=8",
    "optim.epochs=2",
    "runtime.threads=1",
    "runtime.kernels=eager",
]
"""Overrides for a run that takes a second: 64 images of 8×8 pixels, an eight-layer network, two epochs, no Numba."""


WARNINGS = (
    "default",
    # Of Matplotlib 3.8 with a newer pyparsing, and of PyTorch 2.6; our own programs use neither.
    "ignore::DeprecationWarning:matplotlib._fontconfig_pattern",
    "ignore::DeprecationWarning:matplotlib._mathtext",
    "ignore:Implicitly cleaning up:ResourceWarning:tempfile",
)
"""Shows all warnings of a program, as PYTHONWARNINGS, except those that the oldest dependencies cause themselves."""


def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores, because tests that start processes mostly wait for them."""
    return count_cores() + 1


def pytest_collection_finish() -> None:
    """Looks for garbage from here on, but not among what the imports and the collection have left."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips the tests marked `cuda` where torch finds no GPU."""
    import torch  # after OMP_NUM_THREADS is set

    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("cuda"):
                item.add_marker(pytest.mark.skip(reason="torch finds no GPU"))


def run_program(folder: Path, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs one of the project's scripts in `folder`, as if from a terminal."""
    return subprocess.run(
        [sys.executable, str(REPO_ROOT / script), *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONWARNINGS": ",".join(WARNINGS),
            "XDG_CACHE_HOME": str(folder / "cache"),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def program(tmp_path):
    """Runs one of the project's scripts in `tmp_path`, as if from a terminal, and returns the finished process."""
    return functools.partial(run_program, tmp_path)


# Matplotlib announces that it is building its font cache if that takes five seconds; here it does so immediately.
SLOW_FONTS = """
import threading
class Timer(threading.Timer):
    def __init__(self, seconds, call):
        super().__init__(0, call)
    def start(self):
        self.function()
    def cancel(self):
        pass
threading.Timer = Timer
"""


@pytest.fixture
def without_font_cache(program, tmp_path):
    """Runs a script like `program`, but Matplotlib has no font cache yet and takes long to build it."""

    def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "slow").mkdir()
        (tmp_path / "slow" / "sitecustomize.py").write_text(SLOW_FONTS)
        path = os.pathsep.join([str(tmp_path / "slow"), str(REPO_ROOT)])
        done = program(script, *arguments, PYTHONPATH=path, MPLCONFIGDIR=str(tmp_path / "matplotlib"))
        assert list((tmp_path / "matplotlib").glob("fontlist-*")), "Matplotlib built no font cache"
        return done

    return run


def called(program: Callable[[], object]) -> subprocess.CompletedProcess[str]:
    """The exit code and output of a program that runs in this process."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            program()
        except SystemExit as ended:
            code = ended.code
    return subprocess.CompletedProcess([], int(code or 0), out.getvalue(), err.getvalue())


class WorkerInThisProcess:
    """Takes the place of a worker's process: trains its run here, while it is waited for."""

    def __init__(self, command: list[str], stdout: BinaryIO | None = None, **options: object) -> None:
        self._command, self._log = command, stdout

    def wait(self, timeout: float | None = None) -> int:
        folder, parent, _, *arguments = self._command[3:]
        assert parent == "--parent"  # left out, because it would be this process's own
        done = work(RunDir(Path(folder)), *arguments)
        if self._log is None:
            print(done.stdout, end="")
            print(done.stderr, end="", file=sys.stderr)
        else:
            os.write(self._log.fileno(), (done.stdout + done.stderr).encode())
        return done.returncode


def _measure(command: list[str], input: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Takes the place of the process that measures a run for `runtime.dry_run=true`."""
    from cifar_resnet.training.measure import measure  # imported here, because torch takes seconds

    return subprocess.CompletedProcess(command, 0, json.dumps(measure(from_container(json.loads(input)))))


ONE_BY_ONE = "hydra.launcher.n_jobs=1"
"""Makes joblib train a sweep's runs in the main process, which `train_py` needs."""


@pytest.fixture
def train_py(tmp_path, monkeypatch):
    """Runs train.py in `tmp_path`, in this process, and so its workers; a sweep that trains needs `ONE_BY_ONE`."""
    workers = SimpleNamespace(
        Popen=WorkerInThisProcess, DEVNULL=subprocess.DEVNULL, TimeoutExpired=subprocess.TimeoutExpired
    )
    monkeypatch.setattr("cifar_resnet.sweep.control.subprocess", workers)
    monkeypatch.setattr("cifar_resnet.sweep.dry_run.subprocess", SimpleNamespace(run=_measure))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "")  # restored after the test; the script sets it
        try:
            with restored_signals():
                return called(lambda: runpy.run_path(str(REPO_ROOT / "train.py"), run_name="__main__"))
        finally:
            GlobalHydra.instance().clear()

    return run


@contextlib.contextmanager
def restored_signals() -> Iterator[None]:
    """Restores the handlers of SIGTERM and SIGINT, which the programs replace."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def work(run: RunDir, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Trains a run's folder like a worker process, but in this process."""
    from cifar_resnet.training import worker  # imported here, because torch takes seconds and only some tests need it

    try:
        with restored_signals():
            return called(lambda: sys.exit(worker.main([str(run.path), *arguments])))
    finally:
        for handler in list(worker.log.handlers):
            worker.log.removeHandler(handler)
            handler.close()


@functools.cache
def _composed(*overrides: str) -> DictConfig:
    search_path.set_up()
    with initialize_config_dir(str(REPO_ROOT / "conf"), version_base="1.3"):
        config = compose("config", overrides=list(overrides))
    return OmegaConf.masked_copy(config, [str(name) for name in config if name != "hydra"])


@functools.cache
def _resolved(*overrides: str) -> dict:
    # Hydra takes a tenth of a second to compose files, so each combination of files is composed only once.
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    values = [one for one in parsed if one.key_or_group in FIELDS and one.type is OverrideType.CHANGE]
    files = [str(one.input_line) for one in parsed if one not in values]
    config = copy.deepcopy(_composed(*files))
    for one in values:
        OmegaConf.update(config, one.key_or_group, one.value())
    return plain_config(config)


def compose_run(*overrides: str) -> dict:
    """A run's config from conf/, as plain dictionaries that the caller may change."""
    return copy.deepcopy(_resolved(*overrides))


@pytest.fixture
def composed():
    """Composes a run's config from conf/, as plain dictionaries."""
    return compose_run


def tree(folder: Path) -> list[str]:
    """All files under a folder, to check that nothing was written."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


EMPTY_ARCHIVE = b"PK\5\6" + bytes(18)
"""The shortest file that may be final.pt where nobody loads the weights."""


def wait_for(condition, seconds=90):
    """Waits for `condition` and returns its value; fails if it isn't true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it didn't happen in time"
        time.sleep(0.02)
    return found
