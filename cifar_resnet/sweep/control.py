"""How the main process of a sweep and the processes of its runs communicate: when to stop, and what was left undone.

They share a folder of small files, since joblib starts the runs' processes; its name is in the environment. A run
without a sweep has a null control instead, with the same methods.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
from joblib.externals.loky.backend import resource_tracker as loky_tracker

from cifar_resnet.errors import ExitCode, RunError
from cifar_resnet.run.files import open_to_append
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import stopped_by
from cifar_resnet.sweep import control_folder
from cifar_resnet.sweep.assignment import Assignment, describe_ending
from cifar_resnet.terminal import never_fail

STOPPING = "stopping: each run writes its checkpoint and ends (press Ctrl-C again to stop at once)"
LEAVING = "leaving: the jobs keep running; run the same command to see them again, scancel to stop them"
_VARIABLE = "CIFAR_RESNET_SWEEP"
_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 1.0
_STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class SingleRun:
    """The null control of a run without a sweep, whose worker shares the terminal and reports its own progress."""

    size: None = None
    live: bool = False

    def join(self) -> bool:
        """Whether the run may be trained."""
        return True

    def main_is_alive(self) -> bool:
        """Whether the main process is running: it is this one."""
        return True

    def is_stopping(self) -> bool:
        """Whether the run is to stop; Ctrl-C reaches its worker directly."""
        return False

    def why_stopping(self) -> None:
        """Why the run is to stop, which its worker knows itself."""

    def note(self, run: RunDir, **fields: Any) -> None:
        """Nobody reads notes about a single run."""

    def report(self, assignment: Assignment, text: str) -> None:
        """Prints a line about the run."""
        print(f"{assignment.name}: {text}", flush=True)

    def report_start(self, assignment: Assignment) -> None:
        """The worker prints this itself."""

    def report_end(self, assignment: Assignment) -> None:
        """The worker prints this itself."""

    def fail(self, assignment: Assignment, reason: str) -> int:
        """Raises RunError: the run can't be trained."""
        raise RunError(f"{assignment.run.path}: {reason}")

    def code_if_untrained(self, code: ExitCode) -> int:
        """The exit code for a run that was not trained."""
        return code

    def run_worker(self, command: list[str], log: Path, **options: Any) -> int:
        """Starts the worker in this terminal and waits for its exit code; passes SIGTERM and Ctrl-C on to it."""
        worker: subprocess.Popen[bytes] | None = None
        is_stopping = False

        def receive(number: int, frame: FrameType | None) -> None:
            nonlocal is_stopping
            is_stopping = True
            if worker is not None:
                worker.terminate()

        # Without it, this process would end at once, and with it a container, before the checkpoint is written.
        before = {signal.SIGTERM: signal.signal(signal.SIGTERM, receive)}
        # A shell's background processes inherit that it is ignored.
        before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            worker = subprocess.Popen(command, **options)
            if is_stopping:
                worker.terminate()
            return self.wait(worker)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def wait(self, worker: subprocess.Popen[bytes]) -> int:
        """The worker's exit code, once it has ended; passes Ctrl-C on to it."""
        patience = None
        while True:
            try:
                return worker.wait(timeout=patience)
            except KeyboardInterrupt:
                # A terminal sends Ctrl-C to the worker, too, which writes its checkpoint and ends.
                patience = _PATIENCE_SECONDS
            except subprocess.TimeoutExpired:
                # The stop button of an editor, for example, sends it to this process only.
                worker.terminate()
                patience = None


@dataclass(frozen=True)
class Control:
    """The sweep that this process belongs to."""

    folder: Path
    main: int  # process id of the main process
    size: int  # number of runs; 0 if unknown, when a sweeper chooses them one after another
    live: bool  # whether a live table shows the runs, which makes lines about them unwanted
    on_stop: str = STOPPING  # what to print on Ctrl-C

    @classmethod
    def begin(cls, size: int, live: bool, on_stop: str = STOPPING) -> Control:
        """Makes this process the main process of a new sweep."""
        folder = control_folder.create()
        os.environ[_VARIABLE] = json.dumps([str(folder), os.getpid(), size, live, on_stop])
        return cls(folder, os.getpid(), size, live, on_stop)

    @classmethod
    def current(cls) -> Control | SingleRun:
        """The sweep that this process was started in; the null control if there is none."""
        if _VARIABLE not in os.environ:
            return SingleRun()
        folder, *rest = json.loads(os.environ[_VARIABLE])
        return cls(Path(folder), *rest)

    def end(self) -> None:
        """Removes the files that the sweep's processes shared."""
        os.environ.pop(_VARIABLE, None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING_SIGNALS)
        control_folder.remove(self.folder)

    def join(self) -> bool:
        """Makes this process one of the sweep; returns whether the sweep still wants runs trained.

        Ends this process if the main one is gone.
        """
        if os.getpid() != self.main:
            never_fail()
            # Ctrl-C reaches every process of the terminal, and SIGTERM may, too (`timeout` sends it to all), but only
            # the main process acts on them. Workers would inherit SIG_IGN, and are stopped with SIGTERM.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, lambda number, frame: None)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        if not self.main_is_alive():
            os._exit(ExitCode.INTERRUPTED)
        return not self.is_stopping()

    def main_is_alive(self) -> bool:
        """Whether the main process is running."""
        try:
            # A process that has ended remains as a zombie until its parent has collected its exit code.
            return bool(psutil.Process(self.main).status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def listen(self) -> None:
        """Lets Ctrl-C and SIGTERM stop the sweep: the first after each run's checkpoint, the second at once."""

        def receive(number: int, frame: FrameType | None) -> None:
            again = self.is_stopping()
            if again:
                (self.folder / "now").touch()
            else:
                self.stop(stopped_by(number))
            # A live table shows the message itself, and a line in between would break it.
            if not again and not self.live:
                with contextlib.suppress(OSError):
                    os.write(2, f"\n{self.on_stop}\n".encode())

        for number in _STOPPING_SIGNALS:
            signal.signal(number, receive)
        _shield_new_processes()

    def stop(self, reason: str = "") -> None:
        """Asks the runs to write their checkpoints and end, for this reason; harmless when the sweep is over."""
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "stop").write_text(reason, encoding="utf-8")

    def why_stopping(self) -> str | None:
        """Why the runs are to end; None if they aren't, or if each knows that itself."""
        try:
            return (self.folder / "stop").read_text(encoding="utf-8") or None
        except FileNotFoundError:
            return None

    def is_stopping(self) -> bool:
        """Whether the runs are to write their checkpoints and end."""
        return (self.folder / "stop").exists()

    def is_stopping_now(self) -> bool:
        """Whether the runs are to end without a checkpoint."""
        return (self.folder / "now").exists()

    def note(self, run: RunDir, **fields: Any) -> None:
        """Records something about a run for the main process.

        Args:
            run: the run.
            fields: the `reason` of a failure, which the run folder may not be able to hold; that another process was
                training it (`busy`, with the config wanted by this sweep); or the `depth` of a run that a search chose.
        """
        with (self.folder / "notes").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"run": str(run.path), **fields}) + "\n")

    def notes(self, field: str) -> dict[RunDir, Any]:
        """The latest value of a field by run, in the order of the runs' first notes."""
        file, found = self.folder / "notes", {}
        for line in file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []:
            # The last line may still be in writing.
            fields = json.loads(line) if line.endswith("\n") else {}
            if field in fields:
                found[RunDir(Path(fields["run"]))] = fields[field]
        return found

    def report(self, assignment: Assignment, text: str) -> None:
        """Prints a line about a run with its number, unless a live table shows the runs."""
        if not self.live:
            print(f"[{assignment.index + 1}/{self.size or '?'}] {assignment.name}: {text}", flush=True)

    def report_start(self, assignment: Assignment) -> None:
        """Reports that a run starts from scratch."""
        self.report(assignment, "started")

    def report_end(self, assignment: Assignment) -> None:
        """Reports how a run ended."""
        self.report(assignment, describe_ending(assignment.run))

    def fail(self, assignment: Assignment, reason: str) -> int:
        """Records and reports a run that can't be trained; returns its exit code."""
        self.note(assignment.run, reason=reason)
        self.report(assignment, f"failed: {reason}")
        return ExitCode.FAILED

    def code_if_untrained(self, code: ExitCode) -> int:
        """The exit code for a run that was not trained: the end of the sweep deals with it."""
        return ExitCode.FINISHED

    def run_worker(self, command: list[str], log: Path, **options: Any) -> int:
        """Starts the worker with its output in the log and waits for its exit code."""
        with open_to_append(log) as output:
            # In a session of its own, so that Ctrl-C reaches it through this process and not from the terminal.
            worker = subprocess.Popen(
                [*command, "--quiet"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **options,
            )
            return self.wait(worker)

    def wait(self, worker: subprocess.Popen[bytes]) -> int:
        """The worker's exit code, once it has ended; it is stopped when the sweep is.

        Ends this process, after the worker, if the main one is gone.
        """
        asked_to_stop = False
        while True:
            try:
                return worker.wait(timeout=_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                alive = self.main_is_alive()
                if not asked_to_stop and (self.is_stopping() or not alive):
                    worker.terminate()
                    asked_to_stop = True
                if self.is_stopping_now():
                    worker.kill()
                if not alive:
                    worker.wait()
                    os._exit(ExitCode.INTERRUPTED)


def _shield_new_processes() -> None:
    """Keeps Ctrl-C and SIGTERM, sent to all processes of the sweep, from those that this one starts.

    Otherwise they would kill joblib's processes before they `join`, with a traceback. They inherit which signals this
    thread blocks. Another thread takes the signals instead, and Python still calls the handler in this one.
    """
    for tracker in (resource_tracker, loky_tracker):
        tracker.ensure_running()  # joblib does so, too, and in older versions unblocks the signal
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING_SIGNALS)
