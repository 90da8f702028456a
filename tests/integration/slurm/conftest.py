"""A cluster that the tests share, and our programs as a user runs them on it."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys

import pytest

from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.find import find_runs
from cifar_resnet.run.folder import RunDir
from cifar_resnet.sweep.slurm.submit import is_installed
from tests import conftest
from tests.integration.slurm.cluster import MISSING, Cluster


@pytest.fixture(scope="session")
def cluster():
    if MISSING:
        pytest.skip(f"no {', '.join(MISSING)}: apt-get install slurmctld slurmd slurm-client munge")
    if not is_installed():
        pytest.skip("the extra isn't installed: pip install -e '.[slurm]'")
    running = Cluster()
    yield running
    running.stop()


class Site:
    """A user's folder on the cluster."""

    def __init__(self, cluster: Cluster, folder) -> None:
        self.cluster, self.folder, self.started = cluster, folder, []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts train.py in a session of its own, like a terminal."""
        process = subprocess.Popen(
            [sys.executable, str(REPO_ROOT / "train.py"), "-m", *arguments],
            cwd=self.folder,
            env=self.cluster.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # Closing a terminal ends the program even if the tests were started by nohup, which ignores the signal.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )
        self.started.append(process)
        return process

    def train(self, *arguments: str) -> tuple[int, str]:
        """The exit code and output of train.py."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=600)
        print(output)
        return process.returncode, output

    def program(self, *arguments: str) -> str:
        """The output of another program."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**self.cluster.environment, "PYTHONPATH": str(REPO_ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def runs(self) -> list[RunDir]:
        """The run folders in the order of their names."""
        return find_runs([self.folder / "outputs"]) if any(self.folder.glob("outputs/*/*/*/config.yaml")) else []

    def states(self) -> list[str]:
        return [run.verified_state().value for run in self.runs()]

    def status_program(self) -> str:
        return self.program("-m", "cifar_resnet.status", "outputs")

    def scontrol(self, *arguments: str) -> str:
        return self.cluster.ask("scontrol", *arguments)

    def job(self, run: RunDir) -> str:
        return run.read_status()["job"]

    def restart(self, job: str) -> None:
        """Starts a requeued job soon, where Slurm would wait for two minutes.

        Not at once: a node rejects a job whose credential is from the second in which its first execution ended.
        """
        wait_for(lambda: "PENDING" in self.cluster.ask("squeue", "--noheader", f"--jobs={job}", "--format=%T"))
        self.scontrol("update", f"jobid={job}", "starttime=now+3")

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        self.cluster.cancel_all()


@pytest.fixture
def site(cluster, tmp_path):
    here = Site(cluster, tmp_path)
    yield here
    here.close()


wait_for = functools.partial(conftest.wait_for, seconds=300)
