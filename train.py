"""Train one network, or a sweep of them.

    python train.py                                                  # one run: ResNet-20, the lab's recipe
    python train.py -m model=plain,resnet,preact depth=20,56,110     # the nine runs of the paper, in parallel
    python train.py -m model=resnet depth=56 optim.lr=0.1,0.05 seed=0,1,2     # an ablation
    python train.py -m sweeps=demo                                   # a named sweep from sweeps/

Each run writes a folder under outputs/. `python aggregate.py outputs/` turns these folders into tables, figures and a
report.
"""

import os
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from cifar_resnet import __version__
from cifar_resnet.sweep.launch import launch
from cifar_resnet.sweep.messages import user_errors
from cifar_resnet.terminal import never_fail

# Makes Hydra raise the errors that it would print over several lines; `user_errors` prints them as one.
os.environ["HYDRA_FULL_ERROR"] = "1"


def options_in(folder: str) -> str:
    """The names of the YAML files in `folder` of this project, for the help text in conf/config.yaml."""
    return ", ".join(sorted(path.stem for path in (Path(__file__).parent / folder).glob("*.yaml")))


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> float | None:
    """Train one run. Hydra calls this for each run of a sweep; a search minimizes the returned value."""
    return launch(config)


if __name__ == "__main__":
    never_fail()
    if "--version" in sys.argv[1:]:  # Hydra's own option of this name prints Hydra's version
        print(f"cifar-resnet {__version__}")
        sys.exit()
    OmegaConf.register_new_resolver("options_in", options_in, replace=True)
    with user_errors():
        main()
