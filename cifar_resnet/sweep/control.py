"""What a sweep's main process and the processes of its jobs tell each other: who is main, when to stop, what was left.

A folder of small files, as the jobs run in processes that joblib starts; its name is in the environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from cifar_resnet.run.folder import RunDir

_VARIABLE = "CIFAR_RESNET_SWEEP"
STOPPING = "stopping: each run writes its checkpoint and ends (Ctrl-C again: now)"
LEAVING = "leaving: the jobs go on; the same command shows them again, scancel stops them"


@dataclass(frozen=True)
class Control:
    """The sweep that this process belongs to."""

    folder: Path
    main: int  # process id
    size: int  # runs in the sweep, 0 where another sweeper chooses as it goes
    live: bool  # whether a live table shows the runs, so that their lines aren't wanted
    on_stop: str = STOPPING  # what the user is told on Ctrl-C

    @classmethod
    def begin(cls, size: int, live: bool, on_stop: str = STOPPING) -> Control:
        """Makes this process the main one of a sweep."""
        folder = Path(tempfile.mkdtemp(prefix="cifar-resnet-sweep-"))
        os.environ[_VARIABLE] = json.dumps([str(folder), os.getpid(), size, live, on_stop])
        return cls(folder, os.getpid(), size, live, on_stop)

    @classmethod
    def current(cls) -> Control | None:
        """The sweep that this process was started in, if any."""
        if _VARIABLE not in os.environ:
            return None
        folder, *rest = json.loads(os.environ[_VARIABLE])
        return cls(Path(folder), *rest)

    def end(self) -> None:
        """Removes what the sweep's processes shared."""
        os.environ.pop(_VARIABLE, None)
        shutil.rmtree(self.folder, ignore_errors=True)

    def main_is_alive(self) -> bool:
        """Whether there is still somebody to train for."""
        try:
            # One that has ended stays on as a zombie until its own parent has looked.
            return bool(psutil.Process(self.main).status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def listen(self) -> None:
        """From now on Ctrl-C and SIGTERM stop the sweep: once, after a checkpoint of each run; twice, now."""

        def receive(number: int, frame: FrameType | None) -> None:
            again = self.stops()
            (self.folder / ("now" if again else "stop")).touch()
            # The live table says it by itself, and would be torn by a line in between.
            if not again and not self.live:
                os.write(2, f"\n{self.on_stop}\n".encode())

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, receive)

    def stop(self) -> None:
        """Asks the runs to write their checkpoint and end; harmless when the sweep is over."""
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "stop").touch()

    def stops(self) -> bool:
        """Whether the runs are to write their checkpoint and end."""
        return (self.folder / "stop").exists()

    def stops_now(self) -> bool:
        """Whether the runs are to end without a checkpoint."""
        return (self.folder / "now").exists()

    def note(self, run: RunDir, **fields: Any) -> None:
        """Tells the main process of a run what its folder may not be able to hold.

        Either the `reason` of a failure, or that it was `busy`, with the config that this sweep wanted trained.
        """
        with (self.folder / "notes").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"run": str(run.path), **fields}) + "\n")

    def notes(self) -> Iterator[tuple[RunDir, dict[str, Any]]]:
        """What was noted, in order."""
        file = self.folder / "notes"
        for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
            fields = json.loads(line)
            yield RunDir(Path(fields.pop("run"))), fields
