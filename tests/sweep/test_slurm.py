"""The launcher for Slurm without a cluster, and how it interprets Slurm's answers; tests/integration has a real one."""

import os
import subprocess
import sys

import pytest

from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.files import digest
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import PARENT_GONE, State
from cifar_resnet.status.table import read_row
from cifar_resnet.sweep.slurm import squeue, submit, watch
from tests.conftest import TINY, tree

SWEEP = ["-m", "hydra/launcher=slurm", "model=plain,resnet", *TINY]


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Replaces a command with a shell script, which comes first in PATH."""
    folder = tmp_path / "commands"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def put(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return put


@pytest.fixture
def run(tmp_path):
    return _run(tmp_path / "run")


def _run(folder) -> RunDir:
    folder.mkdir()
    return RunDir(folder)


def scontrol(commands, state: str, code: str = "0:0") -> None:
    commands("scontrol", f"echo 'JobId=3 ArrayJobId=1 JobState={state} Reason=None ExitCode={code} RunTime=0'")


HIDE_THE_EXTRA = (
    "import importlib.util\n"
    "find = importlib.util.find_spec\n"
    "importlib.util.find_spec = lambda name, *rest: None if 'submitit' in name else find(name, *rest)\n"
)


def test_without_the_extra_one_line_tells_what_to_install_and_nothing_is_written(program, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HIDE_THE_EXTRA)
    done = program("train.py", *SWEEP, PYTHONPATH=str(tmp_path), PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 2, done.stderr
    assert done.stderr.strip() == "error: hydra/launcher=slurm needs the extra slurm: pip install -e '.[slurm]'"
    assert tree(tmp_path) == ["sitecustomize.py"]


def test_without_the_extra_hydra_finds_no_launcher_and_raises_no_error(tmp_path):
    code = (
        "import sys\nsys.modules['hydra_plugins.hydra_submitit_launcher'] = None\n"
        "import hydra_plugins.cifar_resnet_slurm as module\nassert not hasattr(module, 'RunsLauncher')"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=REPO_ROOT, check=True)


@pytest.mark.skipif(not submit.is_installed(), reason="the extra slurm isn't installed")
class TestWithTheExtra:
    def test_without_sbatch_one_line_reports_it_and_nothing_is_written(self, train_py, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", os.path.dirname(sys.executable))  # noqa: PTH120
        done = train_py(*SWEEP)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("error: hydra/launcher=slurm: sbatch was not found;")
        assert done.stderr.count("\n") == 1
        assert tree(tmp_path) == []

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ("hydra.launcher.mem_gb=much", "hydra.launcher.mem_gb: "),
            ("+hydra.launcher.color=red", "hydra.launcher.color: "),
            ("runtime.runs_per_job=0", "runtime.runs_per_job=0: expected an integer of 1 or more"),
            ("hydra.launcher.array_parallelism=0", "hydra.launcher.array_parallelism=0: expected 1 or more"),
        ],
    )
    def test_a_wrong_setting_is_named(self, train_py, commands, setting, message):
        commands("sbatch", "exit 1")
        done = train_py(*SWEEP, setting)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert done.stderr.count("\n") == 1

    def test_what_sbatch_rejects_is_reported_in_one_line(self, train_py, commands):
        for name in ("srun", "squeue"):
            commands(name, "exit 0")
        commands("sbatch", "echo 'sbatch: error: invalid partition specified: night' >&2; exit 1")
        done = train_py(*SWEEP)
        assert done.returncode == 2, done.stderr
        assert "error: Slurm rejected the jobs: sbatch: error: invalid partition specified: night;" in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_single_run_needs_dash_m(train_py, tmp_path):
    done = train_py("hydra/launcher=slurm", *TINY)
    assert done.returncode == 2
    assert "expected -m" in done.stderr
    assert tree(tmp_path) == []


def test_live_jobs_are_identified_by_array_and_number(commands):
    commands(
        "squeue", "echo '12_0 RUNNING None'; echo '12_1 PENDING launch failed requeued held'; echo '13 COMPLETING None'"
    )
    assert squeue.live_jobs() == {
        "12_0": squeue.QueuedJob("RUNNING"),
        "12_1": squeue.QueuedJob("PENDING", "launch failed requeued held"),
        "13": squeue.QueuedJob("COMPLETING"),
    }


def test_no_run_ends_while_slurm_does_not_answer(commands, run):
    commands("squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    run.update_status(state=State.QUEUED, job="12_0")
    assert squeue.live_jobs() is None
    assert not watch.has_ended(run, squeue.live_jobs())
    assert run.verified_state() is State.QUEUED


@pytest.mark.parametrize(
    ("job_state", "code", "state", "reason"),
    [
        ("CANCELLED", "0:15", State.INTERRUPTED, "scancel"),
        ("NODE_FAIL", "0:0", State.INTERRUPTED, "node failed"),
        ("PREEMPTED", "0:0", State.INTERRUPTED, "preempted"),
        ("TIMEOUT", "0:0", State.INTERRUPTED, "time limit"),
        ("OUT_OF_MEMORY", "0:125", State.FAILED, "out of memory"),
        ("FAILED", "137:0", State.FAILED, "was killed: out of memory?"),
        ("FAILED", "0:9", State.FAILED, "was killed: out of memory?"),
        ("FAILED", "1:0", State.FAILED, "ended early"),
        ("COMPLETED", "0:0", State.FAILED, "ended early"),
    ],
)
@pytest.mark.parametrize("before", [State.QUEUED, State.RUNNING])
def test_a_run_whose_job_is_gone_ends_with_the_reason_from_slurm(commands, run, before, job_state, code, state, reason):
    scontrol(commands, job_state, code)
    run.update_status(state=before, job="1_0")
    assert watch.has_ended(run, {"1_1": squeue.QueuedJob("RUNNING")})
    status = run.read_status()
    assert status["state"] == state
    assert reason in status["reason"]
    assert job_state in status["reason"]


@pytest.mark.parametrize("lock", ["", "soft"])
@pytest.mark.parametrize("state", ["RUNNING", "PENDING", "COMPLETING", "SUSPENDED", "REQUEUED", "A_NEW_STATE", None])
def test_the_run_of_a_job_that_slurm_does_not_report_as_ended_is_left_alone(commands, run, monkeypatch, lock, state):
    monkeypatch.setenv("CIFAR_RESNET_LOCK", lock)
    scontrol(commands, state)
    if state is None:
        commands("scontrol", "echo 'Unable to contact slurm controller' >&2; exit 1")
    run.update_status(state=State.RUNNING, job="1_0")
    (run.path / "run.softlock").write_text("1\nanother-machine\n")
    assert not watch.has_ended(run, {})  # squeue lists only this user's jobs
    assert run.read_status()["state"] == State.RUNNING
    assert (run.path / "run.softlock").exists()


def test_a_job_that_slurm_has_forgotten_interrupts_its_run(commands, run):
    commands("scontrol", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    run.update_status(state=State.QUEUED, job="1_0")
    assert watch.has_ended(run, {})
    assert run.verified_state() is State.INTERRUPTED
    assert "no longer knows" in run.read_status()["reason"]


def test_a_reason_recorded_by_the_run_is_kept(commands, run):
    scontrol(commands, "FAILED", "0:9")
    run.update_status(state=State.INTERRUPTED, job="1_0", reason="stopped by SIGTERM")
    assert watch.has_ended(run, {})
    assert run.read_status()["reason"] == "stopped by SIGTERM"


def test_a_run_whose_job_slurm_requeues_is_queued(run):
    run.update_status(state=State.INTERRUPTED, job="1_0", reason="stopped by SIGTERM")
    assert not watch.has_ended(run, {"1_0": squeue.QueuedJob("PENDING", "BeginTime")})
    assert run.verified_state() is State.QUEUED


def test_a_job_that_may_wait_forever_is_reported_once(run, capsys):
    run.update_status(state=State.QUEUED, job="1_0")
    for _ in range(2):
        assert not watch.has_ended(run, {"1_0": squeue.QueuedJob("PENDING", "PartitionTimeLimit")})
    assert run.read_status()["reason"] == "its job may wait forever; reason reported by Slurm: PartitionTimeLimit"
    assert capsys.readouterr().out.count("PartitionTimeLimit") == 1


def test_slurm_gives_the_reason_for_a_worker_that_outlived_its_job(commands, run):
    scontrol(commands, "FAILED", "137:0")
    run.update_status(state=State.INTERRUPTED, job="1_0", reason=PARENT_GONE)
    assert watch.has_ended(run, {})
    assert run.verified_state() is State.FAILED


def test_runs_in_a_live_job_are_attached_to_unless_they_have_failed(commands, tmp_path):
    commands("squeue", "echo '1_0 RUNNING None'; echo '1_1 PENDING None'; echo '1_2 RUNNING None'")
    runs = [_run(tmp_path / str(number)) for number in range(5)]
    states = [State.RUNNING, State.QUEUED, State.FAILED, State.QUEUED]
    for number, state in enumerate(states):
        runs[number].update_status(state=state, job=f"1_{number}")
    assert list(submit.attached(runs)) == [runs[0].path, runs[1].path]


def test_the_table_shows_the_job_of_a_queued_run(run):
    run.update_status(state=State.QUEUED, job="12_3")
    assert read_row(run).standing.plain == "queued 12_3"


def test_a_run_that_could_not_be_given_what_it_lacks_is_noted(commands, tmp_path, sweep):
    commands("squeue", "exit 0")
    runs = [_run(tmp_path / name) for name in ("failed", "added", "refused")]
    for run, state, reason in zip(
        runs, (State.FINISHED, State.FINISHED, State.FAILED), ("disk full", None, "no GPU"), strict=True
    ):
        run.metrics.write_text("")
        run.update_status(state=state, reason=reason, metrics_digest=digest(run.metrics))
    watch.wait(runs)
    assert sweep.notes("reason") == {runs[0]: "disk full"}  # failed runs fail the sweep by their state
