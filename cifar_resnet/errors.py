"""The project's exceptions, each a one-line message with the problem and its solution, and the exit codes."""

from enum import IntEnum

from cifar_resnet.printable import printable


class ExitCode(IntEnum):
    """The exit code of a worker or a program."""

    FINISHED = 0
    FAILED = 1
    USER = 2  # a user error, explained in one line
    INTERRUPTED = 3
    BUSY = 4  # another process has the run


class CifarResnetError(Exception):
    """An error that the user can fix; shown as one line, never as a traceback."""

    def __str__(self) -> str:
        """The message, which may quote files and names of unknown origin, as one printable line."""
        return printable(super().__str__())


class ConfigError(CifarResnetError):
    """The configuration asks for something impossible."""


class DataError(CifarResnetError):
    """The data set is missing, damaged, or not what the configuration describes."""


class RunError(CifarResnetError):
    """A run folder is damaged or busy, or doesn't match the request."""


class BusyError(RunError):
    """Another process holds the run, so it is skipped."""
