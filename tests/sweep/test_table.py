"""The time left: of a run at its pace of late, and of all runs side by side."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from cifar_resnet.run.folder import RunDir, State
from cifar_resnet.sweep.table import Row, make_table, read_row, total_left


def row(state=State.RUNNING, step=10, pace=2.0, depth=20) -> Row:
    return Row(
        RunDir(Path("outputs/digits/resnet-20/seed0-1a2b3c4d")), state, step=step, steps=100, pace=pace, depth=depth
    )


def test_a_run_goes_on_at_its_pace_of_late(tmp_path):
    run = RunDir(tmp_path)
    run.update_status(state="interrupted", progress={"step": 50, "steps": 100, "seconds": 80.0, "pace": 0.5})
    assert read_row(run).seconds_left == 25.0


def test_a_run_of_before_goes_on_at_that_of_its_whole_training(tmp_path):
    run = RunDir(tmp_path)
    run.update_status(state="interrupted", progress={"step": 50, "steps": 100, "seconds": 80.0})
    assert read_row(run).seconds_left == 80.0


@pytest.mark.parametrize(
    ("rows", "at_a_time", "seconds"),
    [
        ([row(), row()], None, 180),  # both run now
        ([row(), row(State.INTERRUPTED)], None, 360),
        ([row(State.INTERRUPTED), row(State.INTERRUPTED)], None, 360),
        ([row(), row()], 1, 360),
        ([row(), row(step=90)], 2, 180),  # none ends sooner than its longest run
        ([row(), row(State.PENDING, step=0, pace=None, depth=110)], 1, 180 + 1100),
        ([row(), row(State.FINISHED, step=100)], 1, 180),
        ([row(State.PENDING, step=0, pace=None)], 1, None),
    ],
)
def test_the_sweep_ends_when_all_runs_have(rows, at_a_time, seconds):
    assert total_left(rows, at_a_time) == seconds


def test_the_table_says_both():
    console = Console(file=io.StringIO(), width=120)
    console.print(make_table([row(), row()], console.width, height=None))
    lines = console.file.getvalue().splitlines()
    assert lines[1].rstrip().endswith("3:00 min")
    assert lines[-1] == "2 runs: 2 running, about 3:00 min left"
