"""Trains the run of one folder in a separate process: `python -m cifar_resnet.training.worker RUN_DIR`.

Reads the folder's config.yaml and writes the results to the folder; continues from its checkpoint if there is one.
Exit codes: 0 finished, 1 failed or diverged, 2 user error, 3 interrupted, 4 another process has the run.
"""

from __future__ import annotations

import gc

if __name__ == "__main__":
    # Imports leave next to no garbage, but looking for it would take a seventh of the time until training starts.
    gc.disable()

import argparse
import io
import logging
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

from cifar_resnet.devices import require_tensorboard
from cifar_resnet.errors import BusyError, CifarResnetError, DataError, ExitCode, RunError
from cifar_resnet.run.config import check_batches, from_container
from cifar_resnet.run.files import READ_ONLY, digest, open_to_append
from cifar_resnet.run.folder import JOB_VARIABLE, RunDir, now
from cifar_resnet.run.identity import config_hash
from cifar_resnet.run.schema import Config
from cifar_resnet.run.states import State
from cifar_resnet.terminal import never_fail
from cifar_resnet.training import checkpoint, diagnostics, metrics, predictions, tensorboard
from cifar_resnet.training.backend import set_up
from cifar_resnet.training.data import Dataset, load, other_images
from cifar_resnet.training.describe import HISTORY, describe_run, earlier
from cifar_resnet.training.failure import recorded
from cifar_resnet.training.loop import Diverged, Training, final_weights
from cifar_resnet.training.progress import Bar, describe_progress, epoch_line
from cifar_resnet.training.stop_request import StopRequest

log = logging.getLogger("cifar_resnet")


def train(run: RunDir, config: Config, quiet: bool, stop: StopRequest) -> State:
    """Trains until the run finishes or is stopped; checkpoints every `runtime.checkpoint_seconds` and at the end."""
    if config.runtime.tensorboard:
        require_tensorboard()
    device, threads = set_up(config)
    show_bar = config.runtime.progress and not quiet and sys.stderr.isatty()
    dataset = load(config.data, config.seed, progress=show_bar)
    check_batches(config, *dataset.train.images.shape[:3])
    training = Training(config, dataset, device)
    origin = _take_up(run, config, dataset, training)
    described = describe_run(config, dataset, training, threads)
    known = run.read_status()
    if training.finished and "device" in known:
        # This process takes no step, so the run was trained as it is recorded.
        described |= {key: known[key] for key in HISTORY if key in known}
    else:
        described["earlier"] = earlier(known, described, training.begun_with) if training.step > 0 else []
    # With its progress, which a damaged run.json has lost, and which a finished run doesn't record again.
    run.update_status(**described, progress=describe_progress(training), **origin)
    status = run.read_status()  # as plain values
    kept = {"fingerprint": dataset.fingerprint, "record": {key: status[key] for key in HISTORY if key in status}}

    saved = time.monotonic()

    def save() -> None:
        nonlocal saved
        checkpoint.save(run, {**training.state(), **kept})
        run.update_status(progress=describe_progress(training))
        saved = time.monotonic()

    def is_due() -> bool:
        return time.monotonic() - saved >= config.runtime.checkpoint_seconds

    with Bar(f"{config.model.name}-{config.depth}", training, show_bar) as bar:

        def after_step() -> bool:
            bar.step()
            if stop.wanted():
                return True
            if is_due():
                save()
            return False

        while not training.finished:
            completed = training.train_epoch(after_step)
            stopped = not completed or stop.wanted()
            # Not after each epoch: on a GPU, one may take a second.
            if stopped or training.finished or is_due():
                save()
            else:
                run.update_status(progress=describe_progress(training))
            if not completed:
                return State.INTERRUPTED
            _write_tables(run, training)
            log.debug(epoch_line(training.history[-1], training.schedule.epochs))
            if stopped and not training.finished:
                return State.INTERRUPTED
    final_digest = checkpoint.save_weights(run.final, final_weights(training.network))
    predictions.write(run.predictions, training.evaluator.predict(training.splits["test"]))
    seconds = sum(row["train_seconds"] + row["test_seconds"] for row in training.history)
    run.update_status(
        outcome=metrics.outcome(training.history),
        seconds=round(seconds, 3),
        metrics_digest=digest(run.metrics),
        diagnostics_digest=digest(run.diagnostics),
        predictions_digest=digest(run.predictions),
        final_digest=final_digest,
    )
    return State.FINISHED


def _write_tables(run: RunDir, training: Training) -> None:
    """Writes metrics.csv, and diagnostics.csv if there are diagnostics, from the checkpointed state."""
    metrics.write(run.metrics, training.history, "val" in training.splits)
    if training.diagnostics:
        diagnostics.write(run.diagnostics, training.diagnostics)
    if training.config.runtime.tensorboard:
        tensorboard.write(run.tensorboard, training.history)


def _take_up(run: RunDir, config: Config, dataset: Dataset, training: Training) -> dict[str, Any]:
    """Loads the run's checkpoint, or the weights of `init_from`; returns what run.json records about the latter.

    Raises:
        DataError: the images aren't those that the checkpoint was trained on.
        RunError: the checkpoint, or the run in `init_from`, is damaged or has another network.
    """
    state = checkpoint.load(run, training.device)
    if state is None:
        # These files were left by something else and don't belong to this run.
        for path in (run.metrics, run.diagnostics, run.predictions):
            path.unlink(missing_ok=True)
        origin = {}
        if config.init_from is not None:
            origin = {"init_from": load_weights(training, RunDir(Path(config.init_from)))}
        training.diagnose()
        return origin
    known, record = state.pop("fingerprint", None), state.pop("record", None)
    if known != dataset.fingerprint:
        raise DataError(
            f"the images of data={config.data.name} have changed since the run began "
            f"{other_images(config.data, known, dataset.fingerprint)}: restore the old images, name the new "
            f"ones with data.name=<name>, or delete {run.path} to train on them"
        )
    if not state.get("diagnostics") and config.init_from is None:
        # Diagnostics were enabled only now; the network is still as it was when the run began.
        training.diagnose()
    training.load(state)
    training.diagnose()
    if "device" not in run.read_status():  # it was damaged
        if record is None:
            log.warning("its checkpoint, from an older version, doesn't say what has trained the run so far")
        run.update_status(**(record or {}))
    # The previous process may have died after writing its checkpoint but before writing its metrics.
    _write_tables(run, training)
    log.info("continues at step %d of %d", training.step, training.schedule.total_steps)
    return {}


def load_weights(training: Training, source: RunDir) -> dict[str, Any]:
    """Loads another run's final weights into `training`'s network; returns what run.json records about that run.

    Raises:
        RunError: that run has no final weights, or they belong to another network.
    """
    try:
        weights = checkpoint.Weights(source)
        training.network.load_state_dict(weights.load(training.network, training.device))
    except (OSError, *checkpoint.UNREADABLE) as error:
        raise RunError(
            f"init_from={source.path}: its final.pt can't be loaded ({str(error).splitlines()[0]}); expected a "
            "finished run of the same model, depth, shortcut, width and number of classes; if the file is damaged, "
            f"{checkpoint.remedy(source)}"
        ) from error
    return {
        "folder": str(source.path.resolve()),
        "hash": config_hash(source.checked_config()),
        # Identifies the training: it has the times of all epochs, and doesn't change when final.pt is written again.
        "metrics": source.recorded("metrics_digest"),
    }


def run_folder(run: RunDir, quiet: bool, parent: int | None = None) -> int:
    """Trains the run of a folder under its lock and records how it ended; returns the process's exit code."""
    stop, begin = StopRequest(parent), time.monotonic()
    run.checked_config()  # before the lock, which makes a folder where there is none
    with run.lock(timeout=2):
        values = run.checked_config()
        config = from_container(values)
        if run.verified_state(values) is State.FINISHED:
            log.info("finished before; skipped")
            return ExitCode.FINISHED
        if config.runtime.stop_after is not None and not quiet:  # of a sweep's time, the sweep takes care
            stop.set_limit(config.runtime.stop_after, begin)
        run.remove_leftovers()
        handler = _log_to(run.log)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        log.addHandler(handler)
        run.update_status(
            state=State.RUNNING,
            reason=None,
            started=_started(run),
            finished=None,
            pid=os.getpid(),
            host=socket.gethostname(),
            job=os.environ.get(JOB_VARIABLE),
            hash=config_hash(values),
        )
        with recorded(run):
            state = train(run, config, quiet, stop)
        run.update_status(state=state, reason=stop.reason if state is State.INTERRUPTED else None, finished=now())
        if state is State.INTERRUPTED:
            log.info("interrupted: %s; the same command continues it", stop.reason)
            return ExitCode.FINISHED if stop.is_as_planned else ExitCode.INTERRUPTED
        log.info(_closing_line(run))
        return ExitCode.FINISHED


def _log_to(path: Path) -> logging.Handler:
    try:
        return logging.StreamHandler(io.TextIOWrapper(open_to_append(path), encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path} can't be written to: {error.strerror}") from error


def _started(run: RunDir) -> str:
    """When the run was first started; now if its run.json is damaged or doesn't record it."""
    try:
        return str(run.read_status().get("started") or now())
    except RunError as error:
        log.warning("%s; it is made again from the checkpoint", error)
        return now()


def _closing_line(run: RunDir) -> str:
    status = run.read_status()
    result = status["outcome"]
    best = "val" if "best_val_error" in result else "test"
    return (
        f"final test error {result['test_error']:.2f} %, best {best} error {result[f'best_{best}_error']:.2f} % "
        f"(epoch {result['best_epoch']}), {status['seconds']:.1f} s, {run.path}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Entry of the process; returns the exit code."""
    never_fail()
    parser = argparse.ArgumentParser(prog="python -m cifar_resnet.training.worker", description=__doc__)
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="folder with a config.yaml")
    parser.add_argument("--quiet", action="store_true", help="write only to the folder's run.log")
    parser.add_argument("--parent", type=int, metavar="PID", help="stop if this is no longer the parent process")
    options = parser.parse_args(arguments)
    log.setLevel(logging.DEBUG)
    if not options.quiet:
        console = logging.StreamHandler(sys.stdout)
        # In a terminal, the bar replaces the epochs' lines, which are debug messages.
        console.setLevel(logging.INFO if sys.stderr.isatty() else logging.DEBUG)
        console.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(console)
    try:
        return run_folder(RunDir(options.run_dir), options.quiet, options.parent)
    except Diverged as error:
        print(f"diverged: {error}", file=sys.stderr)
        return ExitCode.FAILED
    except BusyError as error:
        print(error, file=sys.stderr)
        return ExitCode.BUSY
    except CifarResnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.USER
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        print(f"error: {options.run_dir} can't be written to ({error.strerror}); copy it to train it", file=sys.stderr)
        return ExitCode.USER


if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    sys.exit(main())
