"""Starts runs, one process each, under Hydra; never imports training.

Importing this room registers the schema and the resolvers that conf/ uses, also in joblib's processes.
"""

import sys

from cifar_resnet.errors import ExitCode
from cifar_resnet.sweep.resolvers import register

if sys.platform == "win32":
    # How GPUs are shared and runs are stopped is POSIX's; reports are made anywhere.
    print("error: runs need Linux or macOS; on Windows, start the same command within WSL", file=sys.stderr)
    sys.exit(ExitCode.USER)

register()
