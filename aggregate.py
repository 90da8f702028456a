"""Turn run folders into tables, figures and a report.

python aggregate.py outputs/                          # all runs under outputs/; writes outputs/report/
python aggregate.py outputs/demo other/runs --out r   # several folders together; writes r/
"""

import sys

from cifar_resnet.__main__ import start

if __name__ == "__main__":
    sys.exit(start("aggregate"))
