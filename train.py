"""Trains one network or a sweep of them.

    python train.py                                                  # one run: ResNet-20, the lab's recipe
    python train.py -m model=plain,resnet,preact depth=20,56,110     # the nine runs of the paper, in parallel
    python train.py -m model=resnet depth=56 optim.lr=0.1,0.05 seed=0,1,2     # an ablation
    python train.py -m sweeps=demo                                   # a sweep by its name, out of sweeps/

Each run fills a folder under outputs/; `python aggregate.py outputs/` makes tables and figures of them.
"""

import os

import hydra
from omegaconf import DictConfig

from cifar_resnet.sweep.callbacks import user_errors
from cifar_resnet.sweep.launch import launch

# Hydra then raises what it would print over several lines, and `user_errors` says it in one.
os.environ["HYDRA_FULL_ERROR"] = "1"


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> float | None:
    """One run; Hydra calls it for each run of a sweep, and a search goes by what it returns."""
    return launch(config)


if __name__ == "__main__":
    with user_errors():
        main()
