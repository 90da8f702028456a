"""The exceptions of the project: each says in one line what was wrong, what was expected and what to do."""


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
