"""Every named sweep composes, and its head says how it is started, what it costs and what it should show."""

import itertools
import re

import pytest
import yaml

from cifar_resnet.run.config import from_container
from cifar_resnet.run.defaults import REPO_ROOT, overridden
from cifar_resnet.run.identity import run_name

SWEEPS = sorted((REPO_ROOT / "sweeps").glob("*.yaml"))
# A search has no list of runs.
LISTS = [path for path in SWEEPS if path.stem != "search"]


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_every_run_composes_to_a_folder_of_its_own(path, composed):
    params = yaml.safe_load(path.read_text())["hydra"]["sweeper"]["params"]
    lists = [[f"{key}={value}" for value in str(values).split(",")] for key, values in params.items()]
    runs = [composed(*choice) for choice in itertools.product(*lists)]
    for run in runs:
        from_container(run)
    assert len({run_name(run, overridden(run)) for run in runs}) == len(runs) > 1
    stated = re.search(r"Cost: (\d+) runs", path.read_text())
    assert stated is None or int(stated[1]) == len(runs)


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_the_head_has_the_command_the_cost_and_what_it_should_show(path):
    first, *lines = path.read_text().splitlines()
    head = "\n".join(itertools.takewhile(lambda line: line.startswith("#"), lines))
    assert first == "# @package _global_"
    assert re.search(rf"^#   python train\.py -m sweeps={path.stem}\b", head, re.MULTILINE)
    assert re.search(r"^# Cost", head, re.MULTILINE)
    assert re.search(r"^# Should show:", head, re.MULTILINE)
