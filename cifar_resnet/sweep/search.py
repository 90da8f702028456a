"""A search with hydra-optuna-sweeper that continues where it was stopped and reports what it found.

The sweeper asks Optuna for a batch of trials, has the launcher train them, and passes the results to Optuna. This
module adds what it lacks: `n_trials` counts trials over all starts, interrupted trials are retried, and trials of a
batch with the same config are one run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from omegaconf import DictConfig

from cifar_resnet.errors import BusyError, ConfigError, DataError, RunError
from cifar_resnet.programs import install
from cifar_resnet.run import locks
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.identity import config_hash
from cifar_resnet.status.table import count
from cifar_resnet.sweep import checks, compose, same_inputs
from cifar_resnet.sweep.control import Control
from cifar_resnet.sweep.launch import WORST_ERROR
from cifar_resnet.sweep.resolvers import plain_config

_IMAGES = "images"  # the attribute of a study that identifies them


class _StoppedError(Exception):
    """The user stopped the search; the batch's trials stay open in the storage, and the next start retries them."""


def is_installed() -> bool:
    """Whether the extra `optuna` is installed."""
    return None not in (find_spec("optuna"), find_spec("hydra_plugins.hydra_optuna_sweeper"))


def compose_base(config: DictConfig) -> DictConfig:
    """The composed config that every trial is a variant of.

    Raises:
        ConfigError: the search is impossible.
    """
    if not is_installed():
        raise ConfigError(f"sweeps=search needs the extra optuna: {install('optuna')}")
    for key, least in (("n_trials", 1), ("n_jobs", 1), ("seed", 0), ("n_startup_trials", 0)):
        value = config.hydra.sweeper[key]
        if not isinstance(value, int) or value < least:
            raise ConfigError(f"hydra.sweeper.{key}={value}: expected an integer of {least} or more")
    fixed, space = _overrides(config)
    if not space:
        raise ConfigError("hydra.sweeper.params: expected a key to search, such as optim.lr: tag(log,interval(0.01,1))")
    base = _compose(config, fixed)
    if checks.check_run(base).data.holdout == 0:
        raise ConfigError("data.holdout=0: a search needs a validation split; expected data.holdout=<images>")
    # Optuna 2 needs SQLAlchemy 1.4, which warns about its newer version.
    os.environ.setdefault("SQLALCHEMY_SILENCE_UBER_WARNING", "1")
    from hydra_plugins.hydra_optuna_sweeper._impl import create_optuna_distribution_from_override

    for override in space:
        if override.get_key_element() == "seed":
            raise ConfigError(f"{override.input_line}: a search would choose the luckiest seed; expected one value")
        try:
            create_optuna_distribution_from_override(override)
        except (AssertionError, NotImplementedError, ValueError) as error:
            reason = str(error) or "expected a choice, a range or an interval"
            raise ConfigError(f"{override.input_line}: Optuna can't search over this: {reason}") from error
    return base


def run_search(impl: Any) -> None:
    """Trains what is missing from the search's `n_trials`.

    Args:
        impl: the plugin's own sweeper, set up by Hydra.

    Raises:
        ConfigError: the storage is unusable, another process is searching here, or a trial's config is invalid.
        DataError: earlier trials were trained on other images.
        RunError: the storage fails.
    """
    from optuna.exceptions import StorageInternalError
    from optuna.samplers import TPESampler

    # The plugin warns that the result of a failed trial isn't a number; the table shows why it failed.
    logging.getLogger("hydra_plugins.hydra_optuna_sweeper").setLevel(logging.CRITICAL)
    config = impl.config
    fixed, space = _overrides(config)
    with _exclusive(Path(config.hydra.sweep.dir)):
        study = _open(config)
        _check_images(study, config)
        done, again = _retry(study, impl.n_trials)
        to_go = max(0, impl.n_trials - done)
        retried = f"{again} to retry, " if again else ""
        print(f"search: {done} of {count(impl.n_trials, 'trial')} done, {retried}{to_go - again} new", flush=True)
        settings = config.hydra.sweeper
        # With the same seed, the sampler would draw its first values again.
        impl.sampler = TPESampler(seed=settings.seed + len(study.trials), n_startup_trials=settings.n_startup_trials)
        impl.study_name, impl.params = study.study_name, None
        impl.n_trials, impl.job_idx = to_go, done
        impl.launcher = _Launcher(impl.launcher, config)
        try:
            impl.sweep([override.input_line for override in [*fixed, *space]])
        except _StoppedError:
            pass
        except StorageInternalError as error:
            raise RunError(f"hydra.sweeper.storage={impl.storage}: {_first_line(error)}") from error
        except ValueError as error:
            # The sweeper asks for the best trial at its end, and there is none if all have failed.
            if "No trials are completed" not in str(error):
                raise


def summarize(config: DictConfig) -> bool:
    """Prints the best trial; returns whether the search has all its trials."""
    study, n_trials = _open(config), int(config.hydra.sweeper.n_trials)
    done = len(_completed(study))
    best = study.best_trial if done else None
    if best is None or best.value >= WORST_ERROR:
        print(f"search: of {count(n_trials, 'trial')}, none has finished so far")
        return False
    overrides, run = _best_run(study, config)
    others = {*_with_value(study, _overrides(config)[1], best.value)} - {tuple(overrides)}
    same = f" (the same as {count(len(others), 'other setting')})" if others else ""
    trials = count(n_trials, "trial")
    so_far = count(done, "trial") if done >= n_trials else f"{done} of {trials}"
    print(f"best of {so_far}: final validation error {best.value:.2f} % with {' '.join(overrides)}{same}")
    print(f"  {run.path}")
    return done >= n_trials


def _best_run(study: Any, config: DictConfig) -> tuple[list[str], RunDir]:
    """The overrides of a study's best trial, and its run."""
    fixed, space = _overrides(config)
    overrides = _rounded_params(study.best_trial.params, space)
    return overrides, compose.run_dir(_compose(config, fixed, overrides))


class _Launcher:
    """Wraps the chosen launcher for the sweeper: notes the runs of each batch, and raises if the batch was stopped."""

    def __init__(self, launcher: Any, config: DictConfig) -> None:
        self._launcher, self._config = launcher, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Trains a batch of trials and returns one result per trial; trials with the same config are one run."""
        _, space = _overrides(self._config)
        distinct: dict[Path, list[str]] = {}
        control, folders = Control.current(), []
        for overrides in job_overrides:
            rounded = _rounded(overrides, space)
            config = self._launcher.hydra_context.config_loader.load_sweep_config(self._config, rounded)
            checked, run = checks.check_run(config), compose.run_dir(config)
            same_inputs.check([(run, checked)])
            folders.append(run.path)
            distinct[run.path] = rounded
            control.note(run, depth=checked.depth)
        results = []
        if not control.is_stopping():
            results = self._launcher.launch(list(distinct.values()), initial_job_idx=initial_job_idx)
        if control.is_stopping():
            raise _StoppedError
        by_folder = dict(zip(distinct, results, strict=True))
        return [by_folder[folder] for folder in folders]


def _overrides(config: DictConfig) -> tuple[list[Override], list[Override]]:
    """The overrides that all trials share, and those that span the search space; of a repeated key the last counts."""
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parsed = OverridesParser.create().parse_overrides([*params, *config.hydra.overrides.task])
    last = {override.get_key_element(): override for override in parsed}.values()
    return (
        [override for override in last if not override.is_sweep_override()],
        [override for override in last if override.is_sweep_override()],
    )


def _compose(config: DictConfig, fixed: Sequence[Override], more: Sequence[str] = ()) -> DictConfig:
    loader = GlobalHydra.instance().config_loader()
    return loader.load_sweep_config(config, [*(str(override.input_line) for override in fixed), *more])


def _rounded(overrides: Sequence[str], space: Sequence[Override]) -> list[str]:
    """A trial's overrides with real numbers rounded to three digits; more wouldn't matter and would lengthen names."""
    real = {override.get_key_element() for override in space if override.is_interval_sweep()}
    split = [override.partition("=") for override in overrides]
    return [
        f"{key}={float(value):.3g}" if key in real and not value.lstrip("-").isdigit() else f"{key}={value}"
        for key, _, value in split
    ]


def _rounded_params(params: Mapping[str, Any], space: Sequence[Override]) -> list[str]:
    """The overrides that a trial of these parameters was trained with."""
    return _rounded([f"{name}={value}" for name, value in params.items()], space)


def _with_value(study: Any, space: Sequence[Override], value: float) -> Iterator[tuple[str, ...]]:
    """The overrides of each trial with this result."""
    from optuna.trial import TrialState

    for trial in study.trials:
        if trial.state is TrialState.COMPLETE and trial.value == value:
            yield tuple(_rounded_params(trial.params, space))


@contextlib.contextmanager
def _exclusive(out: Path) -> Iterator[None]:
    """Lets only this process search in the folder, so that every open trial in the storage is its own."""
    folder = out / ".search"
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locks.hold(folder, timeout=2))
        except BusyError as error:
            raise ConfigError(
                f"out={out}: another process is searching in this folder; wait until it ends, or set another out"
            ) from error
        yield


def _open(config: DictConfig) -> Any:
    """The study of this search; other networks, recipes, data sets and spaces have their own in the same storage."""
    import optuna

    optuna.logging.set_verbosity(logging.WARNING)
    fixed, space = _overrides(config)
    searched = sorted(str(override.input_line) for override in space)
    identity = [config_hash(plain_config(_compose(config, fixed))), *searched]
    name = f"search-{hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:8]}"
    storage = config.hydra.sweeper.storage
    try:
        return optuna.create_study(study_name=name, storage=storage, direction="minimize", load_if_exists=True)
    except Exception as error:  # SQLAlchemy, its drivers and Optuna share no base class
        raise ConfigError(f"hydra.sweeper.storage={storage}: {_first_line(error)}") from error


def _check_images(study: Any, config: DictConfig) -> None:
    """Raises DataError if the study's trials were trained on other images; notes in it on which they are.

    A study from before this was noted has those that its best trial recorded, if any.
    """
    data = _compose(config, _overrides(config)[0]).data
    images = same_inputs.identify(data.kind, data.root)
    known = study.user_attrs.get(_IMAGES)
    if known is None and _completed(study):
        known = same_inputs.recorded_images(_best_run(study, config)[1])
    if images is not None and known not in (None, images):
        raise DataError(
            f"data.root={data.root}: these are not the images of the search in {config.hydra.sweeper.storage}, whose "
            f"data have the same name; name these with data.name=<name>, or set data.root to the others"
        )
    if study.user_attrs.get(_IMAGES) is None and (known or images) is not None:
        study.set_user_attr(_IMAGES, known or images)


def _completed(study: Any) -> list[dict[str, Any]]:
    """The parameters of each trial with a result."""
    from optuna.trial import TrialState

    return [trial.params for trial in study.trials if trial.state is TrialState.COMPLETE]


def _retry(study: Any, n_trials: int) -> tuple[int, int]:
    """Queues trials again that failed or never ended; returns how many are done and how many are queued again."""
    from optuna.trial import TrialState

    for trial in study.trials:
        if trial.state is TrialState.WAITING:
            # Optuna 4 ends only trials that have begun; `ask` begins those that wait.
            study.tell(study.ask().number, state=TrialState.FAIL)
        elif trial.state is TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
    done = _completed(study)
    again: list[dict[str, Any]] = []
    for trial in study.trials:
        if trial.state is TrialState.FAIL and trial.params and trial.params not in [*done, *again]:
            again.append(trial.params)
    again = again[: max(0, n_trials - len(done))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that enqueue_trial is experimental
        for params in again:
            study.enqueue_trial(params)
    return len(done), len(again)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or ['?'])[0]}"
