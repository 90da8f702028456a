"""A sweep on Slurm, from the submitting machine: what is submitted, what is only waited for, and which jobs are gone.

Jobs do without this process: it may end at any time, and the same command takes its place.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cifar_resnet.errors import BusyError, ConfigError, RunError
from cifar_resnet.run import locks
from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.folder import PARENT_GONE, RunDir, State, now
from cifar_resnet.sweep import queue
from cifar_resnet.sweep.control import Control
from cifar_resnet.sweep.launch import objective, why_left
from cifar_resnet.sweep.resolvers import plain_config

_POLL_SECONDS = 2.0
_SQUEUE_SECONDS = 15.0  # more often would be a burden on the cluster
# Slurm's default for MaxArraySize takes this many.
_JOBS_PER_ARRAY = 1000


def is_chosen(config: DictConfig) -> bool:
    """Whether the composed config's launcher is the one for Slurm."""
    return str(config.hydra.launcher._target_).endswith("cifar_resnet_slurm.RunsLauncher")


def is_installed() -> bool:
    """Whether the extra `slurm` is."""
    return None not in (find_spec("submitit"), find_spec("hydra_plugins.hydra_submitit_launcher"))


def check(config: DictConfig) -> None:
    """Raises ConfigError unless runs can be submitted from here, and the launcher's settings can be."""
    if not is_installed():
        raise ConfigError("hydra/launcher=slurm needs the extra of that name: pip install -e '.[slurm]'")
    if shutil.which("sbatch") is None:
        raise ConfigError(
            "hydra/launcher=slurm: there is no sbatch here; expected a machine that submits to Slurm (a login node), "
            "or hydra/launcher=joblib to train on this machine"
        )
    from hydra_plugins.hydra_submitit_launcher.config import SlurmQueueConf

    try:
        OmegaConf.to_container(OmegaConf.merge(OmegaConf.structured(SlurmQueueConf), config.hydra.launcher))
    except OmegaConfBaseException as error:
        line = str(error).splitlines()[0]
        raise ConfigError(f"hydra.launcher.{getattr(error, 'full_key', None) or '?'}: {line}") from error
    if config.hydra.launcher.array_parallelism < 1:
        value = config.hydra.launcher.array_parallelism
        raise ConfigError(f"hydra.launcher.array_parallelism={value}: expected 1 or more jobs at a time")


def runs_at_a_time(config: DictConfig) -> int:
    """Runs side by side if the cluster has room for all the jobs that are allowed."""
    return int(config.hydra.launcher.array_parallelism * config.runtime.runs_per_job)


def attached(runs: Sequence[RunDir]) -> dict[Path, str]:
    """The runs that are with a job that lives, so that they are waited for and not submitted; how, in words."""
    live = queue.live_jobs() or {}
    found = {}
    for run in runs:
        with contextlib.suppress(RunError):
            status = run.read_status()
            if status.get("job") in live and State(status["state"]).is_open:
                found[run.path] = f"with job {status['job']} ({live[status['job']].state.lower()}); waited for"
    return found


def launch(launcher: Any, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """What the launcher does: submits the runs that nobody has, and waits for all.

    Raises:
        ConfigError: sbatch refuses the jobs.
    """
    from cifar_resnet.sweep.allocation import Assignment
    from cifar_resnet.sweep.compose import run_dir

    loader = launcher.hydra_context.config_loader
    configs = [loader.load_sweep_config(launcher.config, list(overrides)) for overrides in job_overrides]
    runs = [run_dir(config) for config in configs]
    wanted = {
        run.path: Assignment(run.path, values, number)
        for number, (run, values) in enumerate(zip(runs, map(plain_config, configs), strict=True), first)
        if why_left(run, run.verified_state(values), values["runtime"]["retry_failed"]) is None
    }
    others = attached(runs)
    new = [item for path, item in wanted.items() if path not in others and not RunDir(path).is_locked()]
    _submit(launcher.params, new, launcher.config.runtime.runs_per_job)
    wait([RunDir(path) for path in wanted])
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


def _submit(parameters: Mapping[str, Any], runs: Sequence[Any], runs_per_job: int) -> None:
    """Submits job arrays, and writes each run's job into its folder."""
    from cifar_resnet.sweep.allocation import Allocation, mark_queued

    # The package is found from any folder, installed or not: sbatch hands the environment on.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(REPO_ROOT), os.environ.get("PYTHONPATH")]))
    packs = [list(runs[begin : begin + runs_per_job]) for begin in range(0, len(runs), runs_per_job)]
    for begin in range(0, len(packs), _JOBS_PER_ARRAY):
        some = packs[begin : begin + _JOBS_PER_ARRAY]
        for job, pack in zip(_submit_array(parameters, Allocation(), some), some, strict=True):
            for run in pack:
                mark_queued(run, job)


def _submit_array(parameters: Mapping[str, Any], call: Any, packs: Sequence[Any]) -> list[str]:
    """The ids of the jobs, one a pack."""
    import submitit

    own = {"_target_", "submitit_folder", "max_num_timeout"}
    generic = {"name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node"}
    generic.add("stderr_to_stdout")
    settings = {key if key in generic else f"slurm_{key}": value for key, value in parameters.items() if key not in own}
    # From Slurm 22.05 on, srun no longer takes over what sbatch was told.
    line = "export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}"
    settings["slurm_setup"] = [*(parameters.get("setup") or []), line]
    executor = submitit.AutoExecutor(
        parameters["submitit_folder"], cluster="slurm", slurm_max_num_timeout=parameters["max_num_timeout"]
    )
    try:
        # What sbatch says it prints, too; our line says it once.
        with contextlib.redirect_stderr(io.StringIO()):
            executor.update_parameters(**settings)
            return [job.job_id for job in executor.map_array(call, packs)]
    except submitit.core.utils.FailedJobError as error:
        raise ConfigError(f"Slurm refuses the jobs: {' '.join(str(error).split())}; see hydra.launcher") from error
    except ValueError as error:
        raise ConfigError(f"hydra.launcher: {' '.join(str(error).split())}") from error


def wait(runs: Sequence[RunDir]) -> None:
    """Waits until each run has ended, or its job has; returns early where the user asks to leave."""
    control = Control.current()
    waiting = {run.path: run for run in runs}
    asked = -_SQUEUE_SECONDS
    while waiting and not (control is not None and control.stops()):
        live = None
        if time.monotonic() - asked >= _SQUEUE_SECONDS:
            # Before the folders are read: what a job that is gone had to say is in them by then.
            live, asked = queue.live_jobs(), time.monotonic()
        waiting = {path: run for path, run in waiting.items() if not has_ended(run, live)}
        if waiting:
            time.sleep(_POLL_SECONDS)


def has_ended(run: RunDir, live: Mapping[str, queue.Job] | None) -> bool:
    """Whether nothing more will come of the run; writes why where its job is gone and could not."""
    try:
        status = run.read_status()
    except RunError:
        status = {"state": State.INTERRUPTED.value}
    if not State(status["state"]).is_open:
        return True
    if live is None:
        return False
    job = str(status.get("job"))
    if job not in live:
        return _settle(run, status.get("job"))
    if live[job].state == "PENDING":
        _note_waiting(run, status, live[job])
    return False


def _note_waiting(run: RunDir, status: Mapping[str, Any], job: queue.Job) -> None:
    """Writes of a run whose job waits that it is queued, and of one that may wait for ever, why."""
    reason = status.get("reason")
    if status["state"] != State.QUEUED:
        reason = "its job was stopped and is queued again; it continues then"
    if job.may_be_stuck:
        reason = f"its job waits; Slurm says why: {job.reason}"
    if reason == status.get("reason"):
        return
    with contextlib.suppress(BusyError), run.lock():
        run.update_status(state=State.QUEUED, reason=reason)
        control = Control.current()
        if job.may_be_stuck and not (control is not None and control.live):
            print(f"{run.path.parent.name} {run.path.name}: {reason}", flush=True)


def _settle(run: RunDir, job: str | None) -> bool:
    """Writes how a run ended whose job is gone; False where somebody is at it all the same."""
    # On a shared disk, what another machine wrote is seen after this at the latest.
    with contextlib.suppress(OSError):
        os.utime(run.path)
    if job is not None:
        locks.break_soft(run.path)
    try:
        with run.lock():
            status = run.read_status()
            unsaid = status["state"] in (State.QUEUED, State.RUNNING) or status.get("reason") == PARENT_GONE
            if unsaid and job is not None:
                state, reason = queue.how_it_ended(job)
                run.update_status(state=state, reason=reason, finished=now())
    except BusyError:
        return False
    except RunError:
        return True
    return True
