"""The live table of a sweep, redrawn by a thread of the main process."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rich.console import Console, RenderableType
from rich.live import Live

from cifar_resnet.terminal import make_console

_SECONDS = 1.0


class LiveTable:
    """Shows what `render` makes for a console, once a second, until `stop`."""

    def __init__(self, render: Callable[[Console], RenderableType]) -> None:
        self._render, self._console = render, make_console()
        self._done = threading.Event()
        # Printing by others must go through: joblib's own messages, and ours on stopping.
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stderr=False)
        self._thread = threading.Thread(target=self._draw, daemon=True)

    def start(self) -> None:
        """Shows the table from now on."""
        self._live.start()
        self._thread.start()

    def _draw(self) -> None:
        while True:
            self._live.update(self._render(self._console), refresh=True)
            if self._done.wait(_SECONDS):
                return

    def stop(self) -> None:
        """Removes the table; the summary takes its place."""
        self._done.set()
        self._thread.join()
        self._live.stop()
