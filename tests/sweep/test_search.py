"""A search: its objective, that it loses no trial and counts none twice, and one-line messages for mistakes."""

import signal
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from cifar_resnet.errors import ConfigError
from cifar_resnet.run import locks
from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.files import digest
from cifar_resnet.run.find import find_runs
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State
from cifar_resnet.sweep import search
from cifar_resnet.sweep.control import STOPPING
from cifar_resnet.sweep.launch import objective
from tests.conftest import ONE_BY_ONE, TINY, WARNINGS, tree, wait_for

SEARCH = ["-m", "sweeps=search", "optim.weight_decay=1e-4", "optim.warmup=0", *TINY]
# With seed 0, Optuna draws both values in the first four trials.
DIVERGING = ["optim.lr=choice(0.02,1e30)", "optim.batch_size=8"]

HIDE_THE_EXTRA = (
    "import importlib.util\n"
    "find = importlib.util.find_spec\n"
    "importlib.util.find_spec = lambda name, *rest: None if 'optuna' in name else find(name, *rest)\n"
)

needs_the_extra = pytest.mark.skipif(not search.is_installed(), reason="the extra optuna isn't installed")


def trials(folder) -> list[tuple[str, float | None]]:
    """The state and value of each trial in the storage."""
    import optuna

    storage = f"sqlite:///{folder}/outputs/search.db"
    (study,) = optuna.get_all_study_summaries(storage)
    found = optuna.load_study(study_name=study.study_name, storage=storage).trials
    return [(trial.state.name, trial.value) for trial in found]


def test_without_the_extra_one_line_tells_what_to_install_and_nothing_is_written(program, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HIDE_THE_EXTRA)
    done = program("train.py", *SEARCH, PYTHONPATH=str(tmp_path), PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 2, done.stderr
    assert done.stderr.strip() == "error: sweeps=search needs the extra optuna: pip install -e '.[optuna]'"
    assert tree(tmp_path) == ["sitecustomize.py"]


def test_without_the_extra_hydra_finds_no_sweeper_and_raises_no_error():
    code = (
        "import sys\nsys.modules['hydra_plugins.hydra_optuna_sweeper'] = None\n"
        "import hydra_plugins.cifar_resnet_optuna as module\nassert not hasattr(module, 'TrialsSweeper')"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=REPO_ROOT, check=True)


@pytest.mark.parametrize(
    ("overrides", "images"),
    [([], 5000), (["data=digits"], 143), (["data.train_size=2000"], 200), (["data.holdout=7"], 7)],
)
def test_a_tenth_of_the_training_images_is_held_out_by_default(composed, overrides, images):
    assert composed("sweeps=search", *overrides)["data"]["holdout"] == images


@pytest.mark.parametrize(
    ("state", "outcome", "expected"),
    [
        (State.FINISHED, {"val_error": 12.5, "test_error": 50.0}, 12.5),
        (State.FINISHED, {"test_error": 50.0}, None),
        (State.DIVERGED, {}, 100.0),
        (State.FAILED, {}, None),
        (State.INTERRUPTED, {"val_error": 12.5}, None),
        (State.QUEUED, {}, None),
    ],
)
def test_the_objective_is_the_validation_error_of_a_finished_run(tmp_path, state, outcome, expected):
    run = RunDir(tmp_path)
    run.metrics.write_text("epoch\n")
    whole = digest(run.metrics) if state is State.FINISHED else None
    run.update_status(state=state, outcome=outcome, metrics_digest=whole)
    assert objective(run) == expected


@needs_the_extra
class TestWithTheExtra:
    def test_a_diverged_trial_is_the_worst_and_the_search_continues_from_its_storage(self, train_py, tmp_path):
        first = train_py(*SEARCH, *DIVERGING, ONE_BY_ONE, "hydra.sweeper.n_trials=4")
        assert first.returncode == 0, first.stdout + first.stderr
        assert first.stderr == ""
        assert sorted(run.verified_state() for run in find_runs([tmp_path / "outputs"])) == [
            State.DIVERGED,
            State.FINISHED,
        ]
        before = trials(tmp_path)
        assert {state for state, _ in before} == {"COMPLETE"}
        assert max(value for _, value in before) == 100
        best = min(value for _, value in before)
        line = f"best of 4 trials: final validation error {best:.2f} % with optim.lr=0.02\n"
        assert line in first.stdout
        assert "val error %" in first.stdout

        again = train_py(*SEARCH, *DIVERGING, ONE_BY_ONE, "hydra.sweeper.n_trials=4")
        assert again.returncode == 0, again.stdout + again.stderr
        assert "search: 4 of 4 trials done, 0 new" in again.stdout
        assert line in again.stdout
        assert trials(tmp_path) == before

        more = train_py(*SEARCH, *DIVERGING, ONE_BY_ONE, "hydra.sweeper.n_trials=6")
        assert "search: 4 of 6 trials done, 2 new" in more.stdout
        assert trials(tmp_path)[:4] == before
        assert len(trials(tmp_path)) == 6

    def test_a_stopped_search_counts_no_trial_and_the_same_command_retries_them(self, train_py, tmp_path):
        search = [*SEARCH, "hydra.sweeper.n_trials=2", "optim.epochs=40"]
        process = subprocess.Popen(
            [
                sys.executable,
                *(f"-W{one}" for one in WARNINGS),
                str(REPO_ROOT / "train.py"),
                *search,
                "hydra.launcher.n_jobs=2",
            ],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for(lambda: len(list(tmp_path.rglob("checkpoint.pt"))) == 2)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 1
        assert errors == f"\n{STOPPING}\n"  # and no warning
        assert "stopped; run the same command again to continue" in output
        assert trials(tmp_path) == [("RUNNING", None)] * 2

        done = train_py(*search, ONE_BY_ONE)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "search: 0 of 2 trials done, 2 to retry, 0 new" in done.stdout
        assert [run.verified_state() for run in find_runs([tmp_path / "outputs"])] == [State.FINISHED] * 2
        assert [state for state, _ in trials(tmp_path)] == ["FAIL"] * 2 + ["COMPLETE"] * 2

    def test_trials_that_failed_were_stopped_or_never_started_are_queued_once(self):
        import optuna
        from optuna.trial import TrialState

        study = optuna.create_study()
        space = {"lr": optuna.distributions.CategoricalDistribution([0.1, 0.2, 0.3, 0.5])}
        study.enqueue_trial({"lr": 0.5})
        study.tell(study.ask(space), 10.0)
        for lr in (0.1, 0.2, 0.5, 0.1):  # 0.5 already has a result
            study.enqueue_trial({"lr": lr})
            study.tell(study.ask(space), state=TrialState.FAIL)
        study.enqueue_trial({"lr": 0.3})
        study.ask(space)  # as if the process was killed
        study.enqueue_trial({"lr": 0.1})  # and before this one was started

        assert search._retry(study, 9) == (1, 3)
        assert [study.ask(space).params["lr"] for _ in range(3)] == [0.1, 0.2, 0.3]
        assert search._retry(study, 3) == (1, 2)

    @pytest.mark.parametrize(
        ("values", "shared"),
        [
            ((8.0, 9.0), ""),
            ((8.0, 8.0), " (the same as 1 other setting)"),
            ((8.0,) * 3, " (the same as 2 other settings)"),
        ],
    )
    def test_settings_as_good_as_the_best_are_counted(self, values, shared, tmp_path, monkeypatch, capsys):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study()
        parse = search.OverridesParser.create().parse_override
        space = [parse("optim.lr=interval(0.01,1)")]
        # The first two differ only in digits that are rounded, so they are one run.
        rates = [0.1, 0.1 + 1e-9, 0.2, 0.3]
        drawn = {"optim.lr": optuna.distributions.CategoricalDistribution(rates)}
        for rate, value in zip(rates, (values[0], *values), strict=False):
            study.enqueue_trial({"optim.lr": rate})
            study.tell(study.ask(drawn), value)
        monkeypatch.setattr(search, "_open", lambda config: study)
        monkeypatch.setattr(search, "_overrides", lambda config: ([], space))
        monkeypatch.setattr(search, "_compose", lambda *found: None)
        monkeypatch.setattr(search.compose, "run_dir", lambda config: RunDir(tmp_path))
        assert search.summarize(OmegaConf.create({"hydra": {"sweeper": {"n_trials": len(values) + 1}}}))
        assert f"final validation error 8.00 % with optim.lr=0.1{shared}\n" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials=0: expected an integer of 1 or more"),
            (["data.holdout=0"], "expected data.holdout=<images>"),
            (["optim.lr=0.1"], "expected a key to search"),
            (["optim.lr=tag(log,interval(0,1))"], "Optuna can't search over this: "),
            (["seed=0,1"], "a search would choose the luckiest"),
            (["model=glob(*)"], "Optuna can't search over this: "),
            (["optim.lr=choice(-1,-2)"], "expected a number above 0"),
        ],
    )
    def test_a_mistake_is_reported_in_one_line(self, train_py, tmp_path, arguments, message):
        self.check(train_py(*SEARCH, *arguments), message, tmp_path)

    def test_so_is_an_unusable_storage_which_only_the_start_of_the_search_reveals(self, train_py, tmp_path):
        self.check(train_py(*SEARCH, "hydra.sweeper.storage=file"), "hydra.sweeper.storage=file: ", tmp_path)

    def check(self, done, message, folder):
        assert done.returncode == 2, done.stdout + done.stderr
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
        assert not list(folder.rglob("run.json"))

    def test_matplotlib_does_not_announce_its_font_cache(self, without_font_cache):
        done = without_font_cache("train.py", *SEARCH, "seed=0,1")
        assert "a search would choose the luckiest" in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr

    def test_a_dry_run_shows_the_cost_of_one_trial(self, train_py, tmp_path):
        done = train_py(*SEARCH, "runtime.dry_run=true")
        assert done.returncode == 0, done.stderr
        assert "the search trains 30 runs like this one:" in done.stdout
        assert not (tmp_path / "outputs").exists()


def test_two_processes_cannot_search_in_the_same_folder(tmp_path):
    (tmp_path / ".search").mkdir()
    busy = pytest.raises(ConfigError, match="another process is searching")
    with locks.hold(tmp_path / ".search", 0), busy, search._exclusive(tmp_path):
        pass
    with search._exclusive(tmp_path):
        pass


def test_values_drawn_from_an_interval_are_rounded_to_three_digits():
    parse = search.OverridesParser.create().parse_override
    space = [parse("optim.lr=interval(0.01,1)"), parse("optim.warmup=interval(0,400)"), parse("seed=choice(1,2)")]
    drawn = ["optim.lr=0.0123456789", "optim.warmup=123456", "optim.momentum=0.98765", "sweeps=search"]
    assert search._rounded(drawn, space) == ["optim.lr=0.0123", *drawn[1:]]
