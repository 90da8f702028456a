"""Records in the folder why a run failed or diverged."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from cifar_resnet.errors import CifarResnetError, ExitCode
from cifar_resnet.run.files import FULL_DISK
from cifar_resnet.run.folder import RunDir, now
from cifar_resnet.run.states import State, not_added
from cifar_resnet.training.loop import Diverged

log = logging.getLogger("cifar_resnet")


def in_words(error: Exception) -> str:
    """Why a run failed, in plain words."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        return f"no space left on device while writing {Path(str(error.filename or 'a file')).name}"
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
        return f"out of memory: {text}"[:300]
    return f"{type(error).__name__}: {text}"[:300]


@contextlib.contextmanager
def recorded(run: RunDir) -> Iterator[None]:
    """Records the state and reason of a run that ends with an exception.

    Exits with code 1 after any other exception than user errors and divergence, which propagate: it is a bug, and its
    traceback goes to run.log.
    """
    try:
        yield
    except Diverged as error:
        run.update_status(state=State.DIVERGED, reason=str(error), finished=now())
        raise
    except CifarResnetError as error:
        _record_failure(run, str(error))
        raise
    except Exception as error:
        log.exception("the run failed")
        with contextlib.suppress(OSError):
            _record_failure(run, in_words(error))
        sys.exit(ExitCode.FAILED)


def _record_failure(run: RunDir, reason: str) -> None:
    """Records why a run failed; a finished run to which something was to be added remains finished."""
    state = State.FAILED
    if run.has_results():
        state, reason = State.FINISHED, not_added(reason)
    run.update_status(state=state, reason=reason, finished=now())
