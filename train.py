"""Train one network, or a sweep of them.

    python train.py                                                  # one run: ResNet-20, the lab's recipe
    python train.py -m model=plain,resnet,preact depth=20,56,110     # the nine runs of the lab, in parallel
    python train.py -m model=resnet depth=56 optim.lr=0.1,0.05 seed=0,1,2     # an ablation
    python train.py -m sweeps=demo                                   # a named sweep from sweeps/

Each run writes a folder under outputs/. `python aggregate.py outputs/` turns these folders into tables, figures and a
report.
"""

import sys

from cifar_resnet.__main__ import start

if __name__ == "__main__":
    sys.exit(start("train"))
