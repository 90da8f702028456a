"""The console for tables: as wide as the terminal, or nearly unlimited if there is none."""

from __future__ import annotations

from rich.console import Console

_WIDE = 250


def make_console() -> Console:
    """A console on standard output; in a file or pipe, lines are as long as they need to be."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDE)
