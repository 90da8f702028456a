"""Where the runs of a sweep are trained: on this machine or by the jobs of a Slurm cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from omegaconf import DictConfig

from cifar_resnet.devices import count_cores, count_slots
from cifar_resnet.errors import ConfigError
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.schema import Config
from cifar_resnet.sweep import checks, compose, slots
from cifar_resnet.sweep.control import LEAVING, STOPPING
from cifar_resnet.sweep.slurm import submit


class ThisMachine:
    """Trains the runs in processes of this machine."""

    trains_here = True
    on_stop = STOPPING
    after_stop = "stopped; run the same command again to continue"

    def __init__(self, config: DictConfig) -> None:
        self._n_jobs = config.hydra.launcher.get("n_jobs", 1)
        self._runtime = config.runtime

    def check_single_run(self) -> None:
        """A single run can be trained here."""

    def check_launcher(self) -> None:
        """Raises ConfigError if the launcher's settings are invalid."""
        n_jobs = self._n_jobs
        if not isinstance(n_jobs, int) or n_jobs == 0 or n_jobs < -1:
            raise ConfigError(f"hydra.launcher.n_jobs={n_jobs}: expected an integer of 1 or more, or -1 for all cores")

    def check_runs(self, configs: Sequence[Config], by_run: Mapping[RunDir, Config]) -> None:
        """Raises a CifarResnetError if this machine lacks something that the runs need."""
        # One check per kind of run: a sweep may have many runs, and the driver is slow to answer.
        kinds = {(one.runtime.device, one.runtime.kernels, one.precision): one for one in configs}
        for config in kinds.values():
            checks.check_device(config)
        for config in configs[:1]:
            checks.check_extras(config)
        checks.check_images(by_run)
        if count_slots(self._runtime.device, self._runtime.runs_per_gpu):
            slots.own_folder()

    @cached_property
    def runs_at_a_time(self) -> int:
        """Runs in parallel: as many as jobs and GPUs allow."""
        at_a_time = count_cores() if self._n_jobs == -1 else int(self._n_jobs)
        most = count_slots(self._runtime.device, self._runtime.runs_per_gpu)
        return min(at_a_time, most) if most else at_a_time

    def attached(self, runs: Sequence[RunDir]) -> dict[Path, str]:
        """No run is in a job."""
        return {}


class SlurmCluster:
    """Submits the runs as jobs; this machine, perhaps a login node, needs neither a GPU nor the images."""

    trains_here = False
    on_stop = LEAVING
    after_stop = "the jobs keep running; run the same command again to wait for them"

    def __init__(self, config: DictConfig) -> None:
        self._config = config

    def check_single_run(self) -> None:
        """Raises ConfigError: only sweeps are submitted."""
        raise ConfigError("hydra/launcher=slurm submits the runs of a sweep: expected -m, also for one run")

    def check_launcher(self) -> None:
        """Raises ConfigError if jobs can't be submitted from here or the launcher's settings are invalid."""
        if self._config.runtime.stop_after is not None:
            raise ConfigError("runtime.stop_after: on Slurm, hydra.launcher.timeout_min limits the time of each job")
        submit.check(self._config)

    def check_runs(self, configs: Sequence[Config], by_run: Mapping[RunDir, Config]) -> None:
        """Whatever the runs need is checked by their jobs."""

    @cached_property
    def runs_at_a_time(self) -> int:
        """Runs in parallel if the cluster has space for as many jobs as are allowed."""
        return int(self._config.hydra.launcher.array_parallelism * self._config.runtime.runs_per_job)

    def attached(self, runs: Sequence[RunDir]) -> dict[Path, str]:
        """The runs that are in a queued or running job, and which job that is, in words."""
        return submit.attached(runs)


_MACHINES: dict[str, type[ThisMachine | SlurmCluster]] = {
    "BasicLauncher": ThisMachine,
    "JoblibLauncher": ThisMachine,
    "RunsLauncher": SlurmCluster,
}
"""Class of a launcher → the machine that it uses."""


def choose(config: DictConfig) -> ThisMachine | SlurmCluster:
    """The machine that the composed config's launcher uses.

    Raises:
        ConfigError: the launcher is unknown.
    """
    return compose.plugin_for(config, "launcher", _MACHINES)(config)
