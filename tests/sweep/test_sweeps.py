"""Every named sweep composes, and its header gives its command, its cost and its expected outcome."""

import itertools
import re

import pytest
import yaml

from cifar_resnet.run.config import from_container
from cifar_resnet.run.defaults import REPO_ROOT, overridden
from cifar_resnet.run.identity import run_name

SWEEPS = sorted((REPO_ROOT / "sweeps").glob("*.yaml"))
# A search doesn't list its runs.
LISTS = [path for path in SWEEPS if path.stem != "search"]


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_every_run_has_its_own_folder(path, composed):
    params = yaml.safe_load(path.read_text())["hydra"]["sweeper"]["params"]
    lists = [[f"{key}={value}" for value in str(values).split(",")] for key, values in params.items()]
    runs = [composed(*choice) for choice in itertools.product(*lists)]
    for run in runs:
        from_container(run)
    assert len({run_name(run, overridden(run)) for run in runs}) == len(runs) > 1
    stated = re.search(r"Cost: (\d+) runs", path.read_text())
    assert stated is None or int(stated[1]) == len(runs)


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_the_header_gives_the_command_the_cost_and_the_expected_outcome(path):
    first, *lines = path.read_text().splitlines()
    header = "\n".join(itertools.takewhile(lambda line: line.startswith("#"), lines))
    assert first == "# @package _global_"
    assert re.search(rf"^#   python train\.py -m sweeps={path.stem}\b", header, re.MULTILINE)
    assert re.search(r"^# Cost", header, re.MULTILINE)
    assert re.search(r"^# Should show:", header, re.MULTILINE)
