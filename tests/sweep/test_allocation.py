"""What a job on Slurm does with the runs it was given, in this process and without Slurm."""

import os
import signal
from types import SimpleNamespace

import pytest

from cifar_resnet.errors import BusyError
from cifar_resnet.run.files import digest
from cifar_resnet.run.folder import JOB_VARIABLE, RunDir, State
from cifar_resnet.sweep import launch
from cifar_resnet.sweep.control import Control
from cifar_resnet.sweep.slurm import is_installed
from tests.conftest import TINY

if not is_installed():
    pytest.skip("the extra slurm isn't installed", allow_module_level=True)

from submitit.core.utils import UncompletedJobError

from cifar_resnet.sweep import allocation
from cifar_resnet.sweep.allocation import Allocation, Assignment, mark_queued

NEAR_THE_END = signal.SIGUSR2


@pytest.fixture
def assignments(tmp_path, composed):
    """Three runs of a sweep, the fifth to the seventh."""
    return [
        Assignment(tmp_path / f"seed{seed}", composed(*TINY, f"seed={seed}", "runtime.threads=null"), 4 + seed)
        for seed in range(3)
    ]


@pytest.fixture(autouse=True)
def job(monkeypatch):
    """Job 12_1 of a node with two cores. Afterwards signals and the environment are as before."""
    numbers = (signal.SIGINT, signal.SIGTERM, NEAR_THE_END)
    before = {number: signal.getsignal(number) for number in numbers}
    monkeypatch.setattr(allocation, "JobEnvironment", lambda: SimpleNamespace(job_id="12_1"))
    monkeypatch.setattr(allocation.queue, "job_state", lambda job: "RUNNING")
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE", "LOKY_MAX_CPU_COUNT", JOB_VARIABLE):
        monkeypatch.setenv(name, "")  # so that it is put back, whatever the job sets it to
        monkeypatch.delenv(name)
    monkeypatch.setattr(allocation, "default_n_jobs", lambda device, runs_per_gpu: 2)
    yield "12_1"
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def trained(monkeypatch):
    """Replaces training: what each call of `train` was given. Each leaves its run in `state`, and then calls `then`."""

    class Trained(list):
        state, then = State.FINISHED, staticmethod(lambda control: None)

    calls = Trained()

    def train(run, values, control, index, patience):
        calls.append((run, values, index, patience))
        run.metrics.write_text("epoch\n")
        run.update_status(state=calls.state, metrics_digest=digest(run.metrics))
        calls.then(control)

    monkeypatch.setattr(allocation, "train", train)
    return calls


def test_every_run_of_a_job_is_trained_with_its_share_of_the_machine(assignments, trained, monkeypatch):
    monkeypatch.setattr(launch, "count_cores", lambda: 6)
    assert Allocation()(assignments) == ["finished"] * 3
    for assignment in assignments:
        ((_, values, index, patience),) = [call for call in trained if call[0].path == assignment.folder]
        assert index == assignment.index
        assert values["runtime"]["threads"] == 3  # six cores for two runs at a time
        assert patience == 10  # a submitter may hold the folder for a moment
        assert RunDir(assignment.folder).read_config() == assignment.values


def test_a_jobs_runs_know_their_job_before_they_are_trained(assignments, trained, job):
    known = []

    def look(control):
        known.append((RunDir(assignments[0].folder).read_status()["job"], os.environ[JOB_VARIABLE]))

    trained.then = look
    Allocation()(assignments[:1])
    assert known == [(job, job)]


@pytest.mark.parametrize(
    ("given", "cores"),
    [({"SLURM_CPUS_ON_NODE": "64"}, "64"), ({"SLURM_CPUS_ON_NODE": "64", "SLURM_CPUS_PER_TASK": "4"}, "4")],
)
def test_a_job_counts_the_cores_that_slurm_gave_it(assignments, trained, monkeypatch, given, cores):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    Allocation()(assignments)
    assert os.environ["LOKY_MAX_CPU_COUNT"] == cores


@pytest.mark.parametrize("submitted_from_a_sweep", [True, False])
def test_runs_are_numbered_among_those_of_the_whole_sweep(assignments, trained, monkeypatch, submitted_from_a_sweep):
    sizes = []
    trained.then = lambda control: sizes.append((control.size, control.live))
    sweep = Control.begin(9, live=True) if submitted_from_a_sweep else None
    Allocation()(assignments[:1])
    assert sizes == [(9 if submitted_from_a_sweep else 1, False)]
    if sweep is not None:
        sweep.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, NEAR_THE_END])
def test_each_signal_asks_the_runs_for_their_checkpoint_however_often_it_comes(assignments, trained, number):
    seen = []

    def stop_twice(control):
        for _ in range(2):
            os.kill(os.getpid(), number)
        # Python handles a signal in the main thread, and this one trains.
        while not control.stops():
            os.sched_yield()
        seen.append(control.stops_now())

    trained.then = stop_twice
    Allocation()(assignments[:1])
    assert seen == [False]


def test_workers_do_not_inherit_the_signal_that_ends_them(assignments, trained):
    blocked = []
    trained.then = lambda control: blocked.append(NEAR_THE_END in signal.pthread_sigmask(signal.SIG_BLOCK, []))
    Allocation()(assignments[:1])
    assert blocked == [True]
    assert NEAR_THE_END not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.fixture
def queued_again(monkeypatch):
    """Signals that submitit was asked to answer by having Slurm queue the job again."""
    asked = []
    monkeypatch.setattr(signal, "getsignal", lambda number: lambda *arguments: asked.append(arguments))
    return asked


def test_a_job_stopped_before_its_runs_have_ended_is_queued_again(assignments, trained, queued_again):
    trained.state, trained.then = State.INTERRUPTED, lambda control: control.stop()
    assert Allocation()(assignments[:1]) == ["queued"]
    assert queued_again == [(NEAR_THE_END, None)]
    assert "queued again" in RunDir(assignments[0].folder).read_status()["reason"]


@pytest.mark.parametrize(
    ("state", "stopped", "slurm_says"),
    [
        (State.FINISHED, True, "RUNNING"),
        (State.FAILED, True, "RUNNING"),
        (State.INTERRUPTED, False, "RUNNING"),
        (State.INTERRUPTED, True, "COMPLETING"),  # after scancel
    ],
)
def test_else_it_is_not_queued_again(assignments, trained, queued_again, monkeypatch, state, stopped, slurm_says):
    monkeypatch.setattr(allocation.queue, "job_state", lambda job: slurm_says)
    trained.state = state
    if stopped:
        trained.then = lambda control: control.stop()
    assert Allocation()(assignments[:1]) == [state.value]
    assert queued_again == []


def test_a_job_that_slurm_may_not_queue_again_leaves_its_runs_interrupted_and_says_why(
    assignments, trained, monkeypatch
):
    def refuse(*arguments):
        raise UncompletedJobError("timed out too often")

    monkeypatch.setattr(signal, "getsignal", lambda number: refuse)
    trained.state, trained.then = State.INTERRUPTED, lambda control: control.stop()
    assert Allocation()(assignments[:1]) == ["interrupted"]
    reason = RunDir(assignments[0].folder).read_status()["reason"]
    assert reason == "timed out too often (hydra.launcher.max_num_timeout)"


def test_a_job_leaves_nothing_of_its_sweep(assignments, trained):
    folders = []
    trained.then = lambda control: folders.append(control.folder)
    Allocation()(assignments[:1])
    assert Control.current() is None
    assert not folders[0].exists()


def test_a_job_that_is_queued_again_does_the_same_again(assignments):
    again = Allocation().checkpoint(assignments)
    assert (type(again.function), again.args) == (Allocation, (assignments,))


@pytest.mark.parametrize(
    ("status", "queued"),
    [
        ({}, True),
        ({"state": "interrupted", "job": "7"}, True),
        ({"state": "running", "job": "12_1"}, False),  # the job was there before its submitter
        ({"state": "diverged", "job": "7"}, False),
        ({"state": "finished", "job": "7"}, False),
    ],
)
def test_a_run_is_marked_as_queued_unless_its_job_has_begun_it_or_it_has_ended(assignments, job, status, queued):
    run = RunDir(assignments[0].folder)
    run.path.mkdir()
    run.metrics.write_text("epoch\n")
    if status:
        run.update_status(**status, reason="before", metrics_digest=digest(run.metrics))
    mark_queued(assignments[0], job)
    after = run.read_status()
    if queued:
        assert (after["state"], after["job"], after["reason"]) == (State.QUEUED, job, None)
        assert run.read_config() == assignments[0].values
    else:
        assert (after["state"], after["job"]) == (status["state"], status["job"])
        assert not run.config.exists()


def test_a_run_that_another_process_holds_is_not_marked(assignments, job, monkeypatch):
    def busy(self, timeout):
        assert timeout == 10
        raise BusyError

    monkeypatch.setattr(RunDir, "lock", busy)
    mark_queued(assignments[0], job)
    assert not RunDir(assignments[0].folder).status.exists()
