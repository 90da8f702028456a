"""The exceptions of the project, each one line on what was wrong and what to do, and what processes exit with."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a worker or a program ended."""

    FINISHED = 0
    FAILED = 1
    USER = 2  # the user's mistake, named in one line
    INTERRUPTED = 3
    BUSY = 4  # another process has the run


class CifarResnetError(Exception):
    """A fault that a user can mend; shown as one line, never as a traceback."""


class ConfigError(CifarResnetError):
    """The configuration asks for something that can't be."""


class DataError(CifarResnetError):
    """The data set is absent, damaged or not what the configuration says."""


class RunError(CifarResnetError):
    """A run folder is damaged, busy or doesn't fit what is asked of it."""


class BusyError(RunError):
    """Another process is at the run; it is left alone."""
