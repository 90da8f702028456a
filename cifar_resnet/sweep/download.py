"""Downloads the images before the first worker starts, where they can be downloaded and aren't there yet."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from cifar_resnet.datasets import DATASETS
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.schema import Config
from cifar_resnet.sweep.assignment import needs_training
from cifar_resnet.sweep.worker_process import import_path


def download(configs: Mapping[RunDir, Config], created: Iterable[Path]) -> None:
    """Downloads what the runs that will be trained need; exits with the code of a download that fails.

    Args:
        configs: the runs.
        created: folders that were created for them, which are removed if a download fails, the innermost first.

    Workers would download it themselves, one of them while the others wait, but nobody would see how far it has come,
    and without a network, each of them would fail on its own.
    """
    needed = {
        (config.data.kind, os.path.expanduser(str(config.data.root)))
        for run, config in configs.items()
        if DATASETS[config.data.kind].is_absent and needs_training(run, config)
    }
    for kind, root in sorted(needed):
        is_absent = DATASETS[kind].is_absent
        if is_absent and is_absent(Path(root)):
            # In a process of its own, because torch takes seconds to import and a sweep does without it. In a session
            # of its own, because Ctrl-C would have it print a traceback; `run` kills it instead.
            command = [sys.executable, "-m", "cifar_resnet.training.data.download", kind, root]
            done = subprocess.run(command, env={**os.environ, **import_path()}, check=False, start_new_session=True)
            if done.returncode:
                for folder in created:
                    with contextlib.suppress(OSError):  # another process uses it by now
                        folder.rmdir()
                sys.exit(done.returncode)
