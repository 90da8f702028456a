"""A progress bar that appears only for work that takes a while."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

# Seconds; for anything faster, a bar would only flicker.
_PATIENCE = 1.0


class Bar:
    """A context in which work is shown once it has taken `patience` seconds; removes the bar on exit."""

    def __init__(self, console: Console | None = None, patience: float = _PATIENCE) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=console or Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)
        self._patience = patience
        self._begun = time.monotonic()

    def __enter__(self) -> Bar:
        return self

    def __call__(self, words: str, done: int, count: int) -> None:
        """Shows `words`, and that `done` of `count` is done; 0 means that `count` is unknown."""
        self._progress.update(self._task, description=words, completed=done, total=count or None)
        if not self._progress.live.is_started and time.monotonic() - self._begun >= self._patience:
            self._progress.start()

    def __exit__(self, *error: object) -> None:
        self._progress.stop()
