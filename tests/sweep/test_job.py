"""What a Slurm job does with its runs, in this process and without Slurm."""

import os
import signal
from types import SimpleNamespace

import pytest

from cifar_resnet.errors import BusyError
from cifar_resnet.run.files import digest
from cifar_resnet.run.folder import JOB_VARIABLE, RunDir
from cifar_resnet.run.states import State
from cifar_resnet.sweep import worker_process
from cifar_resnet.sweep.assignment import Assignment
from cifar_resnet.sweep.control import Control, SingleRun
from cifar_resnet.sweep.slurm.submit import is_installed
from tests.conftest import TINY

if not is_installed():
    pytest.skip("the extra slurm isn't installed", allow_module_level=True)

from submitit.core.utils import UncompletedJobError

from cifar_resnet.sweep.slurm import job as job_module
from cifar_resnet.sweep.slurm.job import Job, mark_queued

BEFORE_TIME_LIMIT = signal.SIGUSR2


@pytest.fixture
def assignments(tmp_path, composed):
    """The fifth to the seventh run of a sweep."""
    return [
        Assignment(RunDir(tmp_path / f"seed{seed}"), composed(*TINY, f"seed={seed}", "runtime.threads=null"), 4 + seed)
        for seed in range(3)
    ]


@pytest.fixture(autouse=True)
def job(monkeypatch):
    """Makes this process job 12_1 on a node with two cores; restores signals and environment afterwards."""
    numbers = (signal.SIGINT, signal.SIGTERM, BEFORE_TIME_LIMIT)
    before = {number: signal.getsignal(number) for number in numbers}
    monkeypatch.setattr(job_module, "JobEnvironment", lambda: SimpleNamespace(job_id="12_1"))
    monkeypatch.setattr(job_module.squeue, "job_state", lambda job: "RUNNING")
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE", "LOKY_MAX_CPU_COUNT", JOB_VARIABLE):
        monkeypatch.setenv(name, "")  # so that it is restored, whatever the job sets
        monkeypatch.delenv(name)
    monkeypatch.setattr(job_module, "default_n_jobs", lambda device, runs_per_gpu: 2)
    yield "12_1"
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def trained(monkeypatch):
    """Replaces `train` and records its arguments; each call leaves its run in `state`, and then calls `then`."""

    class Trained(list):
        state, then = State.FINISHED, staticmethod(lambda control: None)

    calls = Trained()

    def train(assignment, control, patience):
        calls.append((assignment, patience))
        run = assignment.run
        run.metrics.write_text("epoch\n")
        run.update_status(state=calls.state, metrics_digest=digest(run.metrics))
        calls.then(control)

    monkeypatch.setattr(job_module, "train", train)
    return calls


def test_a_job_trains_each_run_with_its_share_of_the_machine(assignments, trained, monkeypatch):
    monkeypatch.setattr(worker_process, "count_cores", lambda: 6)
    assert Job()(assignments) == ["finished"] * 3
    for assignment in assignments:
        ((given, patience),) = [call for call in trained if call[0].run == assignment.run]
        assert given.index == assignment.index
        assert given.config["runtime"]["threads"] == 3  # six cores for two runs in parallel
        assert patience == 10  # the submitter may hold the folder for a moment
        assert assignment.run.read_config() == assignment.config


def test_runs_are_assigned_to_their_job_before_they_are_trained(assignments, trained, job):
    known = []

    def look(control):
        known.append((assignments[0].run.read_status()["job"], os.environ[JOB_VARIABLE]))

    trained.then = look
    Job()(assignments[:1])
    assert known == [(job, job)]


@pytest.mark.parametrize(
    ("given", "cores"),
    [({"SLURM_CPUS_ON_NODE": "64"}, "64"), ({"SLURM_CPUS_ON_NODE": "64", "SLURM_CPUS_PER_TASK": "4"}, "4")],
)
def test_a_job_uses_the_cores_that_slurm_gave_it(assignments, trained, monkeypatch, given, cores):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    Job()(assignments)
    assert os.environ["LOKY_MAX_CPU_COUNT"] == cores


@pytest.mark.parametrize("submitted_from_a_sweep", [True, False])
def test_runs_are_numbered_within_the_whole_sweep(assignments, trained, monkeypatch, submitted_from_a_sweep):
    sizes = []
    trained.then = lambda control: sizes.append((control.size, control.live))
    sweep = Control.begin(9, live=True) if submitted_from_a_sweep else SingleRun()
    Job()(assignments[:1])
    assert sizes == [(9 if submitted_from_a_sweep else 1, False)]
    if submitted_from_a_sweep:
        sweep.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, BEFORE_TIME_LIMIT])
def test_each_signal_asks_the_runs_for_a_checkpoint_however_often_it_arrives(assignments, trained, number):
    seen = []

    def stop_twice(control):
        for _ in range(2):
            os.kill(os.getpid(), number)
        # Python handles signals in the main thread, and this is another one.
        while not control.is_stopping():
            os.sched_yield()
        seen.append(control.is_stopping_now())

    trained.then = stop_twice
    Job()(assignments[:1])
    assert seen == [False]


def test_workers_are_protected_from_the_signal_before_the_time_limit(assignments, trained):
    blocked = []
    trained.then = lambda control: blocked.append(BEFORE_TIME_LIMIT in signal.pthread_sigmask(signal.SIG_BLOCK, []))
    Job()(assignments[:1])
    assert blocked == [True]
    assert BEFORE_TIME_LIMIT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.fixture
def requeued(monkeypatch):
    """Records the calls of submitit's handler, which has Slurm requeue the job."""
    asked = []
    monkeypatch.setattr(signal, "getsignal", lambda number: lambda *arguments: asked.append(arguments))
    return asked


def test_a_job_stopped_before_its_runs_have_ended_is_requeued(assignments, trained, requeued):
    trained.state, trained.then = State.INTERRUPTED, lambda control: control.stop()
    assert Job()(assignments[:1]) == ["queued"]
    assert requeued == [(BEFORE_TIME_LIMIT, None)]
    assert "queued again" in assignments[0].run.read_status()["reason"]


@pytest.mark.parametrize(
    ("state", "is_stopped", "slurm_state"),
    [
        (State.FINISHED, True, "RUNNING"),
        (State.FAILED, True, "RUNNING"),
        (State.INTERRUPTED, False, "RUNNING"),
        (State.INTERRUPTED, True, "COMPLETING"),  # after scancel
    ],
)
def test_any_other_job_is_not_requeued(assignments, trained, requeued, monkeypatch, state, is_stopped, slurm_state):
    monkeypatch.setattr(job_module.squeue, "job_state", lambda job: slurm_state)
    trained.state = state
    if is_stopped:
        trained.then = lambda control: control.stop()
    assert Job()(assignments[:1]) == [state.value]
    assert requeued == []


def test_a_job_that_may_not_be_requeued_leaves_its_runs_interrupted_with_a_reason(assignments, trained, monkeypatch):
    def refuse(*arguments):
        raise UncompletedJobError("timed out too often")

    monkeypatch.setattr(signal, "getsignal", lambda number: refuse)
    trained.state, trained.then = State.INTERRUPTED, lambda control: control.stop()
    assert Job()(assignments[:1]) == ["interrupted"]
    reason = assignments[0].run.read_status()["reason"]
    assert reason == "timed out too often (hydra.launcher.max_num_timeout)"


def test_a_job_removes_the_files_of_its_sweep(assignments, trained):
    folders = []
    trained.then = lambda control: folders.append(control.folder)
    Job()(assignments[:1])
    assert Control.current() == SingleRun()
    assert not folders[0].exists()


def test_a_requeued_job_does_the_same_again(assignments):
    again = Job().checkpoint(assignments)
    assert (type(again.function), again.args) == (Job, (assignments,))


@pytest.mark.parametrize(
    ("status", "is_marked"),
    [
        ({}, True),
        ({"state": "interrupted", "job": "7"}, True),
        ({"state": "running", "job": "12_1"}, False),  # the job was faster than its submitter
        ({"state": "diverged", "job": "7"}, False),
        ({"state": "finished", "job": "7"}, False),
    ],
)
def test_a_run_is_marked_as_queued_unless_its_job_has_started_it_or_it_has_ended(assignments, job, status, is_marked):
    run = assignments[0].run
    run.path.mkdir()
    run.metrics.write_text("epoch\n")
    if status:
        run.update_status(**status, reason="before", metrics_digest=digest(run.metrics))
    mark_queued(assignments[0], job)
    after = run.read_status()
    if is_marked:
        assert (after["state"], after["job"], after["reason"]) == (State.QUEUED, job, None)
        assert run.read_config() == assignments[0].config
    else:
        assert (after["state"], after["job"]) == (status["state"], status["job"])
        assert not run.config.exists()


def test_a_run_that_another_process_holds_is_not_marked(assignments, job, monkeypatch):
    def busy(self, timeout):
        assert timeout == 10
        raise BusyError

    monkeypatch.setattr(RunDir, "lock", busy)
    mark_queued(assignments[0], job)
    assert not assignments[0].run.status.exists()
