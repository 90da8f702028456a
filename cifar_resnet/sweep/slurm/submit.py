"""The submitting side of a sweep on Slurm: checks the launcher's settings and submits the runs in job arrays."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cifar_resnet.errors import ConfigError, RunError
from cifar_resnet.programs import install
from cifar_resnet.run import locks
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State
from cifar_resnet.sweep.assignment import Assignment
from cifar_resnet.sweep.compose import run_dir
from cifar_resnet.sweep.launch import objective
from cifar_resnet.sweep.resolvers import plain_config
from cifar_resnet.sweep.slurm import squeue
from cifar_resnet.sweep.slurm.watch import wait

# As many as Slurm allows by default (MaxArraySize).
_JOBS_PER_ARRAY = 1000


def is_installed() -> bool:
    """Whether the extra `slurm` is installed."""
    return None not in (find_spec("submitit"), find_spec("hydra_plugins.hydra_submitit_launcher"))


def check(config: DictConfig) -> None:
    """Raises ConfigError if jobs can't be submitted from this machine or the launcher's settings are invalid."""
    if not is_installed():
        raise ConfigError(f"hydra/launcher=slurm needs the extra slurm: {install('slurm')}")
    if shutil.which("sbatch") is None:
        raise ConfigError(
            "hydra/launcher=slurm: sbatch was not found; expected a machine that can submit jobs (a login node), "
            "or hydra/launcher=joblib to train on this machine"
        )
    from hydra_plugins.hydra_submitit_launcher.config import SlurmQueueConf

    try:
        OmegaConf.to_container(OmegaConf.merge(OmegaConf.structured(SlurmQueueConf), config.hydra.launcher))
    except OmegaConfBaseException as error:
        line = str(error).splitlines()[0]
        raise ConfigError(f"hydra.launcher.{getattr(error, 'full_key', None) or '?'}: {line}") from error
    _check_own(_place_of_jobs(config.hydra.launcher))
    if config.hydra.launcher.array_parallelism < 1:
        value = config.hydra.launcher.array_parallelism
        raise ConfigError(f"hydra.launcher.array_parallelism={value}: expected 1 or more jobs at a time")


def _place_of_jobs(parameters: Mapping[str, Any]) -> Path:
    """The folder with the jobs' folders, which hold what the jobs run."""
    folder = Path(parameters["submitit_folder"])
    # In a job's folder, submitit replaces %j by the job's id.
    return next(path for path in (folder, *folder.parents) if "%" not in str(path))


def _check_own(place: Path) -> None:
    """Raises ConfigError if another user could put code where this user's jobs run it."""
    try:
        found = place.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise ConfigError(
            f"{place}: other users can write to it, and your jobs would run what they put there; expected a folder of "
            "your own: chmod go-w, or set hydra.launcher.submitit_folder"
        )


def attached(runs: Sequence[RunDir]) -> dict[Path, str]:
    """The runs in a queued or running job, which are not submitted again; by folder, which job that is, in words."""
    live = squeue.live_jobs() or {}
    found = {}
    for run in runs:
        with contextlib.suppress(RunError):
            status = run.read_status()
            if status.get("job") in live and State(status["state"]).is_open:
                found[run.path] = f"in job {status['job']} ({live[status['job']].state.lower()}); waiting for it"
    return found


def submit_and_wait(launcher: Any, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """Submits the runs that need training and are in no job yet, and waits for all runs.

    Args:
        launcher: Hydra's launcher, set up.
        job_overrides: the overrides of each run.
        first: position of the first run in the sweep.

    Raises:
        ConfigError: sbatch rejects the jobs.
    """
    loader = launcher.hydra_context.config_loader
    configs = [loader.load_sweep_config(launcher.config, list(overrides)) for overrides in job_overrides]
    runs = [run_dir(config) for config in configs]
    assignments = [
        Assignment(run, plain_config(config), index)
        for index, (run, config) in enumerate(zip(runs, configs, strict=True), first)
    ]
    # Of two such commands at the same time, the second one finds the jobs of the first.
    with locks.fill_alone(_place_of_jobs(launcher.params).parent, "submission"):
        wanted = {one.run: one for one in assignments if one.reason_to_skip() is None}
        in_jobs = attached(runs)
        new = [one for run, one in wanted.items() if run.path not in in_jobs and not run.is_locked()]
        _submit(launcher.params, new, launcher.config.runtime.runs_per_job)
    wait(list(wanted))
    return [
        JobReturn(
            overrides=overrides,
            cfg=config,
            working_dir=str(run.path),
            status=JobStatus.COMPLETED,
            _return_value=objective(run),
        )
        for overrides, config, run in zip(job_overrides, configs, runs, strict=True)
    ]


def _submit(parameters: Mapping[str, Any], assignments: Sequence[Assignment], runs_per_job: int) -> None:
    """Submits job arrays, and records each run's job in its folder."""
    from cifar_resnet.sweep.slurm.job import Job, mark_queued  # needs submitit

    packs = [list(assignments[begin : begin + runs_per_job]) for begin in range(0, len(assignments), runs_per_job)]
    for begin in range(0, len(packs), _JOBS_PER_ARRAY):
        some = packs[begin : begin + _JOBS_PER_ARRAY]
        for job, pack in zip(_submit_array(parameters, Job(), some), some, strict=True):
            for assignment in pack:
                mark_queued(assignment, job)


def _submit_array(parameters: Mapping[str, Any], call: Any, packs: Sequence[Any]) -> list[str]:
    """Submits one job array and returns the ids of its jobs, one per pack of runs."""
    import submitit

    place = _place_of_jobs(parameters)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.mkdir(mode=0o700, exist_ok=True)
    _check_own(place)
    own = {"_target_", "submitit_folder", "max_num_timeout"}
    generic = {"name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node"}
    generic.add("stderr_to_stdout")
    settings = {key if key in generic else f"slurm_{key}": value for key, value in parameters.items() if key not in own}
    # Since Slurm 22.05, srun no longer inherits this option from sbatch.
    line = "export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}"
    settings["slurm_setup"] = [*(parameters.get("setup") or []), line]
    executor = submitit.AutoExecutor(
        parameters["submitit_folder"], cluster="slurm", slurm_max_num_timeout=parameters["max_num_timeout"]
    )
    try:
        # submitit also prints what sbatch reports, which our own line repeats.
        with contextlib.redirect_stderr(io.StringIO()):
            executor.update_parameters(**settings)
            return [job.job_id for job in executor.map_array(call, packs)]
    except submitit.core.utils.FailedJobError as error:
        raise ConfigError(f"Slurm rejected the jobs: {' '.join(str(error).split())}; see hydra.launcher") from error
    except ValueError as error:
        raise ConfigError(f"hydra.launcher: {' '.join(str(error).split())}") from error
