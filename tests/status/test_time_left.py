"""The time left: of one run at its recent pace, and of all runs in parallel."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State
from cifar_resnet.status.table import Row, make_table, read_row, total_left


def row(state=State.RUNNING, step=10, pace=2.0, depth=20) -> Row:
    return Row(
        RunDir(Path("outputs/digits/resnet-20/seed0-1a2b3c4d")), state, step=step, steps=100, pace=pace, depth=depth
    )


def test_a_run_is_estimated_from_its_recent_pace(tmp_path):
    run = RunDir(tmp_path)
    run.update_status(state="interrupted", progress={"step": 50, "steps": 100, "seconds": 80.0, "pace": 0.5})
    assert read_row(run).seconds_left == 25.0


def test_an_older_run_without_a_pace_is_estimated_from_its_average(tmp_path):
    run = RunDir(tmp_path)
    run.update_status(state="interrupted", progress={"step": 50, "steps": 100, "seconds": 80.0})
    assert read_row(run).seconds_left == 80.0


@pytest.mark.parametrize(
    ("rows", "at_a_time", "seconds"),
    [
        ([row(), row()], None, 180),  # both are running
        ([row(), row(State.INTERRUPTED)], None, 360),
        ([row(State.INTERRUPTED), row(State.INTERRUPTED)], None, 360),
        ([row(), row()], 1, 360),
        ([row(), row(step=90)], 2, 180),  # never less than the longest run needs
        ([row(), row(State.PENDING, step=0, pace=None, depth=110)], 1, 180 + 1100),
        ([row(), row(State.FINISHED, step=100)], 1, 180),
        ([row(State.PENDING, step=0, pace=None)], 1, None),
    ],
)
def test_the_sweep_ends_with_its_last_run(rows, at_a_time, seconds):
    assert total_left(rows, at_a_time) == seconds


def test_the_table_shows_the_time_left_of_each_run_and_of_all():
    console = Console(file=io.StringIO(), width=120)
    console.print(make_table([row(), row()], console.width, height=None))
    lines = console.file.getvalue().splitlines()
    assert lines[1].rstrip().endswith("3:00 min")
    assert lines[-1] == "2 runs: 2 running, about 3:00 min left"
