"""Sweeps on a real Slurm: the nine runs, the faults of a cluster, and runs that end as on a single machine."""

import json
import os
import signal

import pandas as pd
import psutil
import pytest
import torch

from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State
from cifar_resnet.sweep import search
from tests.conftest import TINY
from tests.integration.slurm.conftest import wait_for

pytestmark = pytest.mark.integration

SLURM = ["hydra/launcher=slurm_cpu", "hydra.launcher.mem_gb=null", "hydra.launcher.timeout_min=30"]
# Long enough to be interrupted during training, and short enough to be repeated for comparison.
LONG = [*TINY, "optim.batch_size=8", "optim.lr=0.001", "optim.epochs=300", "runtime.checkpoint_seconds=0.5"]
ENDLESS = [*LONG, "optim.epochs=100000"]
TWO = ["model=plain,resnet"]
NINE = [
    *("model=plain,resnet,preact", "depth=20,56,110", "data=digits", "data.train_size=96", "data.test_size=48"),
    *("optim.epochs=1", "optim.batch_size=16", "optim.lr=0.02", "runtime.threads=1"),
]
TIMES = ["seconds", "images_per_second", "train_seconds", "test_seconds"]


def weights(run: RunDir) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in torch.load(run.final, weights_only=True).items()}


def started(site, count: int) -> list[RunDir]:
    """The runs that are training and have a checkpoint, once there are `count`."""
    found = [run for run in site.runs() if run.verified_state() is State.RUNNING and run.checkpoint.exists()]
    return found if len(found) >= count else []


def reason(run: RunDir) -> str:
    return run.read_status()["reason"] or ""


def test_the_nine_runs_and_their_report_are_the_same_as_with_joblib(site):
    code, output = site.train(*NINE, *SLURM)
    assert code == 0, output
    code, output = site.train(*NINE, "out=local")
    assert code == 0, output
    assert site.states() == ["finished"] * 9
    assert len({run.read_status()["job"].partition("_")[0] for run in site.runs()}) == 1  # one array
    for run in site.runs():
        twin = RunDir(site.folder / "local" / run.path.relative_to(site.folder / "outputs"))
        assert twin.read_status()["job"] is None
        assert weights(run) == weights(twin)
    reports = []
    for folder in ("outputs", "local"):
        site.program(str(REPO_ROOT / "aggregate.py"), folder)
        (table,) = (site.folder / folder).rglob("comparison.csv")
        frame = pd.read_csv(table)
        reports.append(frame.drop(columns=[name for name in frame if any(time in name for time in TIMES)]))
    assert len(reports[0])
    pd.testing.assert_frame_equal(*reports)


def test_several_runs_in_a_job_are_trained_as_on_a_single_machine(site):
    code, output = site.train(*TWO, "seed=0,1", *TINY, "optim.lr=0.01", *SLURM, "runtime.runs_per_job=2")
    assert code == 0, output
    jobs = [site.job(run) for run in site.runs()]
    assert len(jobs) == 4
    assert len(set(jobs)) == 2
    with_diagnostics = [
        *TWO,
        "seed=0,1",
        *TINY,
        "optim.lr=0.01",
        *SLURM,
        "runtime.runs_per_job=2",
        "diagnostics.enabled=true",
    ]
    code, output = site.train(*with_diagnostics)
    assert code == 0, output
    assert "4 finished without diagnostics" in output
    assert all(run.diagnostics.exists() for run in site.runs())
    assert site.states() == ["finished"] * 4


def test_a_killed_worker_is_one_failed_run_which_the_same_command_continues(site):
    sweep = site.start(*TWO, *LONG, *SLURM)
    victim = wait_for(lambda: started(site, 2))[0]
    os.kill(victim.read_status()["pid"], signal.SIGKILL)
    output, _ = sweep.communicate(timeout=600)
    assert sweep.returncode == 1
    assert sorted(site.states()) == ["failed", "finished"]
    assert "killed by signal 9: out of memory?" in output
    code, output = site.train(*TWO, *LONG, *SLURM)
    assert code == 0, output
    assert "continues at step" in victim.log.read_text()


def test_a_killed_job_fails_its_run_with_the_reason_from_slurm(site):
    sweep = site.start(*TWO, *LONG, *SLURM)
    victim = wait_for(lambda: started(site, 2))[0]
    job_process = psutil.Process(victim.read_status()["pid"]).parent()
    assert "submitit" in " ".join(job_process.cmdline())
    job_process.kill()
    output, _ = sweep.communicate(timeout=600)
    assert sweep.returncode == 1
    assert sorted(site.states()) == ["failed", "finished"]
    assert f"Slurm reports FAILED, exit code 137:0, for job {site.job(victim)}" in output, output


def test_a_run_over_its_memory_limit_is_the_only_one_to_fail(site):
    big = ["model.width=1,512", *TINY, "data.train_size=2048", "data.image_size=32", "optim.batch_size=2048"]
    limit = f"hydra.launcher.setup=['ulimit -v {6 * 2**20}']"
    code, output = site.train(*big, "optim.lr=0.001", "optim.epochs=1", *SLURM, limit)
    assert code == 1
    assert sorted(site.states()) == ["failed", "finished"]
    assert "memory" in output


def test_a_run_requeued_at_its_time_limit_and_then_by_hand_ends_bit_for_bit_the_same(site):
    sweep = site.start("model=resnet", *LONG, *SLURM)
    (run,) = wait_for(lambda: started(site, 1))
    job = site.job(run)
    # Slurm sends this signal before the time limit, to all processes of the job.
    site.cluster.ask("scancel", "--signal=USR2", job)
    wait_for(lambda: run.verified_state() is State.QUEUED)
    assert f"queued {job}" in site.status_program()
    assert "queued again" in reason(run)
    site.restart(job)
    wait_for(lambda: started(site, 1))
    site.scontrol("requeue", job)
    wait_for(lambda: run.verified_state() is State.QUEUED)
    site.restart(job)
    output, _ = sweep.communicate(timeout=600)
    assert sweep.returncode == 0, output
    assert run.log.read_text().count("continues at step") == 2
    code, output = site.train("model=resnet", *LONG, "out=local")
    assert code == 0, output
    (twin,) = (site.folder / "local").rglob("final.pt")
    assert weights(RunDir(twin.parent)) == weights(run)


def test_at_a_real_time_limit_the_job_is_requeued_and_the_run_continues(site):
    limit = ["hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=30"]
    site.start("model=plain", *ENDLESS, *SLURM, *limit)
    (run,) = wait_for(lambda: started(site, 1))
    wait_for(lambda: run.verified_state() is State.QUEUED)
    site.restart(site.job(run))
    wait_for(lambda: "continues at step" in run.log.read_text())


def test_scancel_interrupts_runs_which_the_same_command_continues(site):
    sweep = site.start(*TWO, *LONG, *SLURM)
    runs = wait_for(lambda: started(site, 2))
    for run in runs:
        site.cluster.ask("scancel", site.job(run))
    output, _ = sweep.communicate(timeout=600)
    assert sweep.returncode == 1
    assert site.states() == ["interrupted"] * 2
    assert "SIGTERM" in output
    code, output = site.train(*TWO, *LONG, *SLURM)
    assert code == 0, output
    assert "continues at step" in runs[0].log.read_text()


def test_a_job_that_is_canceled_before_it_starts_interrupts_its_run(site):
    sweep = site.start("model=plain", *TINY, *SLURM, "+hydra.launcher.additional_parameters.hold=true")
    (run,) = wait_for(lambda: [run for run in site.runs() if run.verified_state() is State.QUEUED])
    assert f"queued {site.job(run)}" in site.status_program()
    site.cluster.ask("scancel", site.job(run))
    output, _ = sweep.communicate(timeout=600)
    assert sweep.returncode == 1
    assert "its job was canceled (scancel); Slurm reports CANCELLED" in output


def test_the_same_command_attaches_to_the_jobs_after_the_terminal_was_closed(site):
    command = ["model=plain,resnet,preact", "seed=0,1", *LONG, *SLURM]
    first = site.start(*command)
    wait_for(lambda: started(site, 1))
    os.killpg(first.pid, signal.SIGHUP)
    first.communicate(timeout=60)
    jobs = {run.path: site.job(run) for run in site.runs()}
    assert len(jobs) == 6
    assert "6 runs" in site.status_program()
    code, output = site.train(*command)
    assert code == 0, output
    assert "0 to train" in output
    assert {run.path: site.job(run) for run in site.runs()} == jobs
    for run in site.runs():
        assert run.log.read_text().count("epoch 1/300") == 1


def test_the_same_command_twice_at_once_submits_every_run_once(site):
    sweeps = [site.start(*TWO, *TINY, "optim.lr=0.01", *SLURM) for _ in range(2)]
    outputs = [sweep.communicate(timeout=600)[0] for sweep in sweeps]
    assert [sweep.returncode for sweep in sweeps] == [0, 0], outputs
    # One folder per job, and one per array.
    folders = [path.name for path in (site.folder / "outputs" / ".submitit").glob("[0-9]*_*")]
    assert sorted(folders) == sorted(site.job(run) for run in site.runs())


def test_ctrl_c_does_not_affect_the_jobs(site):
    sweep = site.start("model=plain", *ENDLESS, *SLURM)
    (run,) = wait_for(lambda: started(site, 1))
    os.kill(sweep.pid, signal.SIGINT)
    output, _ = sweep.communicate(timeout=60)
    assert "the jobs keep running; run the same command again to wait for them" in output
    assert site.states() == ["running"]
    assert json.loads(run.status.read_text())["state"] == "running"


@pytest.mark.skipif(not search.is_installed(), reason="the extra optuna isn't installed")
def test_a_search_attaches_to_the_jobs_that_it_left_running_and_ends_with_the_best_trial(site):
    command = ["sweeps=search", "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=2", *LONG, *SLURM]
    command += ["optim.lr=choice(0.001,0.002)", "optim.weight_decay=interval(0.0,0.001)"]
    sweep = site.start(*command)
    wait_for(lambda: started(site, 1))
    os.kill(sweep.pid, signal.SIGINT)
    output, _ = sweep.communicate(timeout=60)
    assert "the jobs keep running; run the same command again to wait for them" in output
    jobs = {run.path: site.job(run) for run in site.runs()}
    assert len(jobs) == 2
    code, output = site.train(*command)
    assert code == 0, output
    assert "search: 0 of 3 trials done, 2 to retry, 1 new" in output
    assert "best of 3 trials: final validation error " in output
    assert {path: site.job(RunDir(path)) for path in jobs} == jobs
    assert len(site.runs()) == 3
