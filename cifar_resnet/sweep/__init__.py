"""Starts runs under Hydra, each in a process of its own; never imports training.

Importing this package, also in joblib's processes, registers the schema and the resolvers that conf/ uses.
"""

import sys

from cifar_resnet.errors import ExitCode
from cifar_resnet.sweep.resolvers import register

if sys.platform == "win32":
    # Sharing GPUs and stopping runs need POSIX; the report works everywhere.
    print("error: training needs Linux or macOS; on Windows, run the same command in WSL", file=sys.stderr)
    sys.exit(ExitCode.USER)

register()
