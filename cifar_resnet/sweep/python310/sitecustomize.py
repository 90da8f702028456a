"""Imported by Python 3.10 when it starts: nothing comes from the working folder, as with PYTHONSAFEPATH since 3.11."""

import contextlib
import os
import sys
from typing import Any


class _Empty:
    """Finds no module in a folder."""

    def find_spec(self, name: str, target: Any = None) -> None:
        """There is none."""

    def invalidate_caches(self) -> None:
        """Nothing is cached."""


# ruff: noqa: PTH109, PTH120 (pathlib would make every start slower)
with contextlib.suppress(OSError):
    # Python is about to put the working folder on the path; if it is there already, the user has put it there.
    if os.getcwd() not in sys.path:
        sys.path_importer_cache[os.getcwd()] = _Empty()

# This module hides one of the same name that the environment may have.
sys.path.remove(os.path.dirname(__file__))
_this = sys.modules.pop(__name__)
try:
    import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
except ImportError:
    sys.modules[__name__] = _this
