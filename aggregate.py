"""Makes tables and figures of run folders.

python aggregate.py outputs/                          # every run under outputs/, into outputs/report/
python aggregate.py outputs/demo other/runs --out r   # several folders together, into r/
"""

import sys

from cifar_resnet.report.command import main

if __name__ == "__main__":
    sys.exit(main())
