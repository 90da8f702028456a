"""The terminal: output that can't fail, and a console for tables as wide as the terminal, if there is one."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_WIDE = 250
# What is printed where the output's encoding lacks a character that our messages and tables use.
_PLAIN = {"±": "+/-", "×": "x", "–": "-", "−": "-", "→": "->", "…": "...", "·": "|", "≥": ">=", "≤": "<="}


class _Output(io.FileIO):
    """An output that drops what can't be written: to a full disk, or to a pipe or terminal that has been closed."""

    def write(self, data: object) -> int:
        """Writes as much as possible; returns the number of bytes in `data`, so that nothing is tried again."""
        size = memoryview(data).nbytes  # type: ignore[arg-type]
        with contextlib.suppress(OSError):
            written = super().write(data)  # type: ignore[arg-type]
            return size if written is None else written
        return size


def never_fail() -> None:
    """From now on, nothing that this process prints can fail, so output never changes what a program does or returns.

    A standard stream that is closed becomes the null device, also for the processes that this one starts. Streams that
    have been replaced, as in a notebook or a test, stay as they are. Harmless when repeated.
    """
    codecs.register_error("plain", _in_plain_characters)
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is not getattr(sys, f"__{name}__"):
            continue
        if stream is None:
            # Otherwise, the next file that is opened would be taken for this stream.
            _open_null_as(descriptor)
        if name != "stdin":
            with contextlib.suppress(OSError, AttributeError):
                stream.flush()
            raw = _Output(descriptor, "w", closefd=False)
            encoding, flushes_lines = getattr(stream, "encoding", "utf-8"), name == "stderr" or raw.isatty()
            file = io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors="plain", line_buffering=flushes_lines)
            setattr(sys, name, file)


def _open_null_as(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)
    os.set_inheritable(descriptor, True)


def _in_plain_characters(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    characters = error.object[error.start : error.end]
    text = "".join(_PLAIN.get(character, character) for character in characters)
    return text.encode("ascii", errors="backslashreplace").decode(), error.end


def make_console() -> Console:
    """A console on standard output; in a file or pipe, lines are as long as they need to be."""
    # Imported here so that --help is answered at once.
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDE)
