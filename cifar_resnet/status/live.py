"""A table that a thread of this process redraws in the terminal."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import ClassVar

from rich.console import Console, RenderableType
from rich.live import Live

from cifar_resnet.terminal import make_console

_REFRESH_SECONDS = 1.0


class LiveTable:
    """Shows what `render` returns for a console, once a second, until `stop`."""

    # A terminal has one live table at a time, which must be removed before an error is printed.
    _shown: ClassVar[LiveTable | None] = None

    def __init__(self, render: Callable[[Console], RenderableType]) -> None:
        self._render, self._console = render, make_console()
        self._done = threading.Event()
        # Other output must still get through: joblib's messages and our own about stopping.
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stderr=False)
        self._thread = threading.Thread(target=self._draw, daemon=True)

    def start(self) -> None:
        """Shows the table from now on."""
        LiveTable._shown = self
        self._live.start()
        self._thread.start()

    def _draw(self) -> None:
        while True:
            self._live.update(self._render(self._console), refresh=True)
            if self._done.wait(_REFRESH_SECONDS):
                return

    def stop(self) -> None:
        """Removes the table from the terminal; harmless when repeated."""
        LiveTable._shown = None
        self._done.set()
        self._thread.join()
        self._live.stop()

    @classmethod
    def stop_shown(cls) -> None:
        """Removes the table that this process shows, if it shows one."""
        if cls._shown is not None:
            cls._shown.stop()
