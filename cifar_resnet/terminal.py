"""Where tables are printed: the width of a terminal, or no limit where there is none."""

from __future__ import annotations

from rich.console import Console

_WIDE = 250


def make_console() -> Console:
    """A console on standard output; into a file or pipe lines are as long as they need to be."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDE)
