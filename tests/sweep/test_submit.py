"""What a sweep submits to Slurm, with a fake submitit: which runs, in how many jobs, with which settings."""

from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from cifar_resnet.errors import ConfigError
from cifar_resnet.run import locks
from cifar_resnet.run.files import digest, umask
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State
from cifar_resnet.sweep.assignment import Assignment
from cifar_resnet.sweep.control import Control
from cifar_resnet.sweep.slurm import squeue, submit, watch
from tests.conftest import TINY

if not submit.is_installed():
    pytest.skip("the extra slurm isn't installed", allow_module_level=True)

import submitit

from cifar_resnet.sweep.slurm.job import Job

SETTINGS = {
    "_target_": "hydra_plugins.cifar_resnet_slurm.RunsLauncher",
    "submitit_folder": "jobs",
    "max_num_timeout": 7,
    "name": "cifar-resnet",
    "timeout_min": 240,
    "mem_gb": 16,
    "cpus_per_task": 4,
    "gpus_per_node": 1,
    "stderr_to_stdout": True,
    "partition": "night",
    "array_parallelism": 64,
    "setup": ["module load cuda"],
}


@pytest.fixture
def arrays(monkeypatch):
    """Replaces submitit: records the packs of each submitted array, and the executor's settings."""

    class Executor:
        def __init__(self, folder, **options):
            found.folder, found.options = folder, options

        def update_parameters(self, **settings):
            found.settings = settings

        def map_array(self, call, packs):
            assert isinstance(call, Job)
            found.append(packs)
            return [SimpleNamespace(job_id=f"{len(found)}_{number}") for number in range(len(packs))]

    class Arrays(list):
        folder, options, settings = None, None, None

    found = Arrays()
    monkeypatch.setattr(submitit, "AutoExecutor", Executor)
    return found


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The working folder, in which the jobs' folders are made."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def assignments(tmp_path, composed):
    config = composed(*TINY)
    return [Assignment(RunDir(tmp_path / str(number)), config, number) for number in range(11)]


def jobs(assignments) -> list[str]:
    return [one.run.read_status()["job"] for one in assignments]


def test_jobs_beyond_the_limit_of_an_array_go_into_further_arrays(arrays, assignments, monkeypatch):
    monkeypatch.setattr(submit, "_JOBS_PER_ARRAY", 2)
    submit._submit(SETTINGS, assignments, runs_per_job=2)
    assert [[len(pack) for pack in packs] for packs in arrays] == [[2, 2], [2, 2], [2, 1]]
    assert [run for packs in arrays for pack in packs for run in pack] == assignments
    assert jobs(assignments) == ["1_0", "1_0", "1_1", "1_1", "2_0", "2_0", "2_1", "2_1", "3_0", "3_0", "3_1"]


def test_an_array_has_at_most_as_many_jobs_as_slurm_allows_by_default():
    assert submit._JOBS_PER_ARRAY == 1000  # MaxArraySize is 1001, one more than the largest index


def test_nothing_to_train_submits_nothing(arrays):
    submit._submit(SETTINGS, [], runs_per_job=1)
    assert arrays == []


@pytest.mark.parametrize("folder", ["outputs/.submitit/%j", "outputs/.submitit/%A/%j", "outputs/.submitit"])
def test_nobody_else_can_write_where_jobs_find_what_they_run(arrays, assignments, place, folder):
    submit._submit(SETTINGS | {"submitit_folder": folder}, assignments[:1], 1)
    modes = {name: (place / name).stat().st_mode & 0o777 for name in ("outputs", "outputs/.submitit")}
    assert modes == {"outputs": 0o777 & ~umask(), "outputs/.submitit": 0o700}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: folder.chmod(0o770),
        lambda folder: folder.rename("elsewhere") and folder.symlink_to("elsewhere"),
        lambda folder: folder.rmdir() or folder.write_text(""),
    ],
    ids=["group", "link", "file"],
)
def test_a_folder_of_jobs_that_others_can_change_is_refused(place, spoil):
    (place / "jobs").mkdir(mode=0o700)
    submit._check_own(place / "jobs")
    spoil(place / "jobs")
    with pytest.raises(ConfigError, match="jobs: other users can write to it"):
        submit._check_own(place / "jobs")


def test_another_users_folder_of_jobs_is_refused(place, monkeypatch):
    monkeypatch.setattr(submit.os, "getuid", lambda: place.stat().st_uid + 1)
    with pytest.raises(ConfigError, match="other users can write to it"):
        submit._check_own(place)


def test_settings_of_slurm_are_passed_to_submitit_with_a_prefix(arrays, assignments):
    submit._submit(SETTINGS, assignments[:1], 1)
    assert (arrays.folder, arrays.options) == ("jobs", {"cluster": "slurm", "slurm_max_num_timeout": 7})
    assert arrays.settings == {
        "name": "cifar-resnet",
        "timeout_min": 240,
        "mem_gb": 16,
        "cpus_per_task": 4,
        "gpus_per_node": 1,
        "stderr_to_stdout": True,
        "slurm_partition": "night",
        "slurm_array_parallelism": 64,
        "slurm_setup": ["module load cuda", "export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}"],
    }


def test_a_setting_that_submitit_rejects_is_reported_in_one_line(arrays, assignments, monkeypatch):
    def refuse(self, **settings):
        raise ValueError("mem_gb must be\n  an int")

    monkeypatch.setattr(submitit.AutoExecutor, "update_parameters", refuse)
    with pytest.raises(ConfigError, match=r"^hydra\.launcher: mem_gb must be an int$"):
        submit._submit(SETTINGS, assignments[:1], 1)


@pytest.fixture
def launcher(tmp_path, composed):
    """The launcher of a sweep as Hydra sets it up; a run's overrides are the name of its folder, then config keys."""

    def load_sweep_config(config, overrides):
        hydra = {"sweep": {"dir": str(tmp_path), "subdir": overrides[0]}}
        return OmegaConf.merge(config, {"hydra": hydra}, OmegaConf.from_dotlist(overrides[1:]))

    config = composed(*TINY, "runtime.runs_per_job=2", "runtime.retry_failed=false")
    context = SimpleNamespace(config_loader=SimpleNamespace(load_sweep_config=load_sweep_config))
    return SimpleNamespace(hydra_context=context, config=OmegaConf.create(config), params=SETTINGS)


@pytest.fixture
def submitted(monkeypatch):
    """Records what is submitted and waited for, and does neither."""
    calls = SimpleNamespace(assignments=[], runs_per_job=None, waited=[], live={})
    monkeypatch.setattr(squeue, "live_jobs", lambda: calls.live)
    monkeypatch.setattr(
        submit,
        "_submit",
        lambda parameters, assignments, runs_per_job: vars(calls).update(
            assignments=assignments, runs_per_job=runs_per_job
        ),
    )
    monkeypatch.setattr(submit, "wait", lambda runs: calls.waited.extend(runs))
    return calls


def test_new_runs_are_submitted_and_all_runs_that_have_not_ended_are_waited_for(launcher, submitted, tmp_path):
    runs = {}
    for name, state in (("new", None), ("failed", "failed"), ("finished", "finished"), ("diverged", "diverged")):
        runs[name] = RunDir(tmp_path / name)
        runs[name].path.mkdir()
        if state:
            runs[name].metrics.write_text("epoch\n")
            runs[name].update_status(state=state, metrics_digest=digest(runs[name].metrics), outcome={"val_error": 5})
    for name in ("queued", "locked", "gone"):
        runs[name] = RunDir(tmp_path / name)
        runs[name].path.mkdir()
        runs[name].update_status(state=State.QUEUED, job={"queued": "1_0"}.get(name, "9_9"))
    submitted.live = {"1_0": squeue.QueuedJob("PENDING")}
    with runs["locked"].lock():
        returned = submit.submit_and_wait(launcher, [[name] for name in runs], 5)
    assert [(one.run, one.index) for one in submitted.assignments] == [(runs["new"], 5), (runs["gone"], 11)]
    assert submitted.runs_per_job == 2
    assert submitted.waited == [runs[name] for name in ("new", "queued", "locked", "gone")]
    assert [(one.overrides, one.working_dir) for one in returned] == [([name], str(runs[name].path)) for name in runs]
    values = dict(zip(runs, (one.return_value for one in returned), strict=True))
    assert (values["finished"], values["diverged"], values["new"]) == (5.0, 100.0, None)


def test_a_submitted_run_keeps_its_config(launcher, submitted):
    submit.submit_and_wait(launcher, [["a", "optim.lr=0.5"]], 0)
    assert submitted.assignments[0].config["optim"]["lr"] == 0.5
    assert "hydra" not in submitted.assignments[0].config


def test_failed_runs_are_submitted_again_if_they_are_to_be_retried(launcher, submitted, tmp_path):
    (tmp_path / "a").mkdir()
    RunDir(tmp_path / "a").update_status(state=State.FAILED)
    submit.submit_and_wait(launcher, [["a", "runtime.retry_failed=true"]], 0)
    assert len(submitted.assignments) == 1


@pytest.fixture
def clock(monkeypatch):
    """A clock that only advances by sleeping, and the times at which Slurm was asked for its jobs."""
    time = SimpleNamespace(now=100.0, asked=[], live={"1_0": squeue.QueuedJob("RUNNING")})

    def sleep(seconds):
        time.now += seconds
        if time.now > 1000:
            raise AssertionError("it waits forever")

    def live_jobs():
        time.asked.append(time.now)
        return time.live

    monkeypatch.setattr(watch, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: time.now))
    monkeypatch.setattr(squeue, "live_jobs", live_jobs)
    return time


def test_slurm_is_asked_immediately_and_then_every_fifteen_seconds(clock, tmp_path, monkeypatch):
    run = RunDir(tmp_path)
    run.update_status(state=State.RUNNING, job="1_0")
    ended = watch.has_ended
    monkeypatch.setattr(watch, "has_ended", lambda run, live: ended(run, live) or clock.now >= 150)
    watch.wait([run])
    assert clock.asked == [100.0, 116.0, 132.0, 148.0]  # folders are read every two seconds
    assert clock.now == 150.0


def test_runs_that_have_ended_are_not_waited_for(clock, tmp_path):
    run = RunDir(tmp_path)
    run.update_status(state=State.FAILED, job="1_0")
    watch.wait([run])
    assert clock.now == 100.0


def test_ctrl_c_ends_the_waiting(clock, tmp_path):
    run = RunDir(tmp_path)
    run.update_status(state=State.RUNNING, job="1_0")
    control = Control.begin(1, live=False)
    control.stop()
    watch.wait([run])
    control.end()
    assert clock.asked == []


@pytest.fixture
def ending(monkeypatch):
    """What Slurm reports about a job that is gone."""
    found = squeue.Ending(State.INTERRUPTED, "its job is gone")
    monkeypatch.setattr(squeue, "how_it_ended", lambda job: found)
    return found


def test_a_locked_run_is_waited_for_even_if_its_job_is_gone(tmp_path, ending):
    run = RunDir(tmp_path)
    run.update_status(state=State.RUNNING, job="1_0")
    with run.lock():
        assert not watch.has_ended(run, {})


@pytest.mark.parametrize(("is_known", "is_own", "is_broken"), [(True, False, True), (False, True, True), (False,) * 3])
def test_the_soft_lock_of_a_job_that_is_gone_is_broken(tmp_path, monkeypatch, is_known, is_own, is_broken):
    # A job that Slurm doesn't know may be another user's, which Slurm may hide.
    ending = squeue.Ending(State.INTERRUPTED, "job 1_0 is gone", is_known)
    monkeypatch.setenv("CIFAR_RESNET_LOCK", "soft")
    monkeypatch.setattr(squeue, "how_it_ended", lambda job: ending)
    monkeypatch.setattr(locks.os, "getuid", lambda: tmp_path.stat().st_uid + (not is_own))
    run = RunDir(tmp_path)
    run.update_status(state=State.RUNNING, job="1_0")
    (tmp_path / "run.softlock").write_text("1\nanother-machine\n")
    assert watch.has_ended(run, {}) == is_broken
    status = run.read_status()
    expected = ("interrupted", "job 1_0 is gone") if is_broken else ("running", None)
    assert (status["state"], status.get("reason")) == expected
    assert ("finished" in status) == is_broken


def test_the_soft_lock_of_a_run_without_a_job_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("CIFAR_RESNET_LOCK", "soft")
    run = RunDir(tmp_path)
    run.update_status(state=State.RUNNING)
    (tmp_path / "run.softlock").write_text("1\nanother-machine\n")
    assert not watch.has_ended(run, {})


def test_a_recorded_reason_is_kept(tmp_path, ending):
    run = RunDir(tmp_path)
    run.update_status(state=State.INTERRUPTED, job="1_0", reason="stopped by SIGTERM")
    assert watch.has_ended(run, {})
    assert run.read_status()["reason"] == "stopped by SIGTERM"


def test_a_run_with_a_damaged_run_json_ends_with_its_job(tmp_path):
    run = RunDir(tmp_path)
    run.status.write_text("{")
    assert watch.has_ended(run, {})
    assert not watch.has_ended(run, None)
