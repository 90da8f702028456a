"""The table of runs: their names, the contents of a row, and which rows are shown when not all of them fit."""

import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from cifar_resnet.run.defaults import overridden
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.identity import run_name
from cifar_resnet.run.states import State
from cifar_resnet.status import __main__ as status
from cifar_resnet.status.table import (
    Row,
    count_runs,
    duration,
    labels,
    last_lines,
    make_summary,
    make_table,
    read_row,
    total_left,
)
from tests.conftest import TINY, compose_run


def run_of(name):
    return RunDir(Path("outputs") / name)


def printed(table, width=200) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def cells(line) -> list[str]:
    return line.split()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["d/resnet-20/seed0-11111111"], ["resnet-20 seed0"]),
        (["d/resnet-20/seed0-1a", "d/plain-56/seed1-1b"], ["resnet-20 seed0", "plain-56 seed1"]),
        # An override is named unless all runs share it.
        (["d/r-20/seed0-epochs=2,lr=1-1a", "d/r-20/seed0-epochs=2-1b"], ["r-20 seed0 lr=1", "r-20 seed0"]),
        (["d/r-20/seed0-lr=1-1a", "e/r-20/seed0-lr=1-1b"], ["d r-20 seed0", "e r-20 seed0"]),
        # If everything else is equal, the hash distinguishes them.
        (["d/r-20/seed0-1a", "d/r-20/seed0-1b"], ["r-20 seed0 1a", "r-20 seed0 1b"]),
    ],
)
def test_runs_are_named_by_how_they_differ(names, expected):
    assert labels([run_of(name) for name in names]) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.0, "0 s"),
        (59.4, "59 s"),
        (60.0, "1:00 min"),
        (3599.0, "59:59 min"),
        (3600.0, "1:00 h"),
        (86399.0, "23:59 h"),
        (86400.0, "1.0 days"),
    ],
)
def test_durations_are_in_the_largest_unit_that_fits(seconds, text):
    assert duration(seconds) == text


def test_a_count_of_runs_has_the_right_plural():
    assert [count_runs(number) for number in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]


PROGRESS = {
    "step": 25,
    "steps": 100,
    "steps_per_epoch": 10,
    "seconds": 50.0,
    "pace": 1.5,
    "train_loss": 0.12345,
    "test_error": 12.345,
    "images_per_second": 678.9,
}


def test_a_row_has_the_values_of_run_json(tmp_path):
    run = RunDir(tmp_path)
    run.update_status(state=State.FAILED, reason="disk full", job="1_0", progress=PROGRESS)
    row = read_row(run, 20)
    assert (row.run, row.state, row.reason, row.job, row.depth) == (run, State.FAILED, "disk full", "1_0", 20)
    assert (row.step, row.steps, row.steps_per_epoch, row.seconds, row.pace) == (25, 100, 10, 50.0, 1.5)
    assert (row.train_loss, row.error, row.images_per_second, row.held_out) == (0.12345, 12.345, 678.9, False)
    run.update_status(progress={**PROGRESS, "val_error": 3.0})
    assert (read_row(run).error, read_row(run).held_out) == (3.0, True)


def test_a_run_that_has_not_started_has_an_empty_row(tmp_path):
    row = read_row(RunDir(tmp_path))
    assert row == Row(RunDir(tmp_path), State.PENDING)
    assert row.seconds_left is None


@pytest.mark.parametrize("file", ["metrics.csv", "checkpoint.pt"])
def test_a_run_that_has_started_but_lost_its_run_json_is_interrupted(tmp_path, file):
    (tmp_path / file).touch()
    run = RunDir(tmp_path)
    row = read_row(run, 20)
    assert (row.state, row.reason) == run.verify() == (State.INTERRUPTED, "its run.json is missing")
    run.update_status(state=State.QUEUED)
    assert run.read_status().keys() == {"state", "updated"}


def test_a_damaged_run_json_is_reported_as_the_reason(tmp_path):
    (tmp_path / "run.json").write_text("{")
    row = read_row(RunDir(tmp_path), 20)
    assert (row.state, row.depth) == (State.INTERRUPTED, 20)
    assert "run.json can't be read" in row.reason


def row(state=State.RUNNING, seed=0, **fields):
    known = {"step": 25, "steps": 95, "steps_per_epoch": 10, "pace": 2.0, "depth": 20, "train_loss": 0.12346}
    known |= {"error": 12.346, "images_per_second": 678.9}
    return Row(run_of(f"d/resnet-20/seed{seed}-1a"), state, **(known | fields))


@pytest.mark.parametrize(
    ("state", "epoch", "left"),
    [
        (State.RUNNING, "3/10", "2:20 min"),  # now training the third
        (State.INTERRUPTED, "2/10", "2:20 min"),
        (State.QUEUED, "2/10", "2:20 min"),
        (State.FAILED, "2/10", None),
        (State.DIVERGED, "2/10", None),
    ],
)
def test_a_row_shows_the_progress_of_its_run(state, epoch, left):
    _, line, *_ = printed(make_table([row(state)], 200, None))
    assert cells(line) == ["resnet-20", "seed0", str(state), epoch, "0.1235", "12.35", "679", *(left or "").split()]


@pytest.mark.parametrize(("step", "pace", "epoch"), [(95, 2.0, "10/10"), (90, 2.0, "10/10"), (0, None, "1/10")])
def test_the_epoch_never_exceeds_the_last_one(step, pace, epoch):
    assert epoch in cells(printed(make_table([row(step=step, pace=pace)], 200, None))[1])


def test_a_finished_run_has_no_time_left():
    assert row(State.FINISHED).seconds_left == 0.0
    assert row(steps=None).seconds_left is None
    assert row(pace=None).seconds_left is None
    assert row().seconds_left == 140.0


def test_a_run_without_progress_has_empty_cells():
    line = printed(make_table([Row(run_of("d/resnet-20/seed0-1a"), State.PENDING)], 200, None))[1]
    assert cells(line) == ["resnet-20", "seed0", "pending", "–"]


@pytest.mark.parametrize("height", [None, 20])
@pytest.mark.parametrize("state", State)
def test_the_reason_of_a_run_that_needs_attention_follows_the_table(state, height):
    rows = [Row(run_of("d/resnet-20/seed0-1a"), state, reason="no space [left]"), row(State.FAILED, 1)]
    lines = printed(make_table(rows, 200, height))
    more = {State.INTERRUPTED, State.QUEUED, State.FINISHED}  # finished, but something couldn't be added to it
    wanted = {State.FAILED, State.DIVERGED} | (more if height is None else set())
    assert lines[3:-1] == (["resnet-20 seed0: no space [left]"] if state in wanted else [])


def test_a_short_terminal_shows_some_reasons_each_in_one_line():
    rows = [Row(run_of(f"d/resnet-20/seed{seed}-1a"), State.FAILED, reason="x" * 300) for seed in range(9)]
    lines = printed(make_table(rows, 100, 12), 100)
    assert len(lines) <= 12
    assert [line[:23] for line in lines if "xxx" in line] == [f"resnet-20 seed{seed}: xxxxxx" for seed in range(3)]


@pytest.mark.parametrize(
    ("held_out", "heading"),
    [([False], "test err %"), ([True], "val err %"), ([True, False], " err %"), ([], "test err %")],
)
def test_the_heading_names_the_split_of_the_errors(held_out, heading):
    rows = [row(seed=seed, held_out=split) for seed, split in enumerate(held_out)] or [row(error=None, held_out=True)]
    first = printed(make_table(rows, 200, None))[0]
    assert heading in first
    assert ("test" in first, "val" in first) == ("test" in heading, "val" in heading)


def test_a_narrow_terminal_gets_short_headings():
    wide, narrow = (printed(make_table([row()], width, None), width)[0] for width in (100, 99))
    assert cells(wide) == ["run", "state", "epoch", "train", "loss", "test", "err", "%", "images/s", "left"]
    assert cells(narrow) == ["run", "state", "epoch", "loss", "err", "%", "img/s", "left"]


def test_names_are_left_aligned_and_numbers_right_aligned():
    headings, short, long = printed(make_table([row(step=5, error=1.0), row(State.INTERRUPTED, 1)], 200, None))[:3]
    for name in ("run", "state"):
        assert short[headings.index(name)] != " " and long[headings.index(name)] != " "
    for name in ("epoch", "test err %", "left"):
        end = headings.index(name) + len(name)
        assert short[end - 1] != " " and long[end - 1] != " "


def test_a_narrow_terminal_shortens_long_names_and_no_numbers():
    long = run_of("d/resnet-110/seed0-" + ",".join(f"key{number}=value" for number in range(9)) + "-1a")
    lines = printed(make_table([Row(long, State.RUNNING, step=25, steps=95, pace=2.0), row(seed=1)], 80, None), 80)
    assert max(map(len, lines)) <= 80
    name, _, rest = lines[1].partition("…")
    assert len(name) == 80 - 60 - 1
    assert cells(rest) == ["running", "26/95", "2:20", "min"]


def test_a_short_terminal_shows_the_most_urgent_runs_in_order():
    states = [State.FINISHED, State.PENDING, State.RUNNING, State.QUEUED, State.FAILED, State.RUNNING]
    rows = [row(state, seed) for seed, state in enumerate(states)]
    lines = printed(make_table(rows, 200, height=7))
    assert [cells(line)[1] for line in lines[1:-1]] == ["seed2", "seed4", "seed5"]
    assert lines[-1].startswith(
        "6 runs: 2 running, 1 failed, 1 queued, 1 pending, 1 finished, 3 of them not shown, about"
    )
    assert len(printed(make_table(rows, 200, height=1))) == 3 + 2  # at least three
    assert len(printed(make_table(rows, 200, height=10))) == 6 + 2
    assert len(printed(make_table(rows, 200, height=None))) == 6 + 2


@pytest.mark.parametrize(
    ("rows", "seconds"),
    [
        # Cost grows with depth: 2 s per step at 20 layers is 11 s per step at 110.
        ([row(), row(State.PENDING, 1, step=0, pace=None, steps=None, depth=110)], 11 * 95),
        ([row(State.FAILED), row(State.DIVERGED, 1)], 0.0),
        ([row(depth=None)], None),
        # A run that has just started hardly counts.
        ([row(step=94), row(step=1, pace=50.0, seed=1)], 94 * 50.0),
    ],
)
def test_the_time_left_covers_all_open_runs(rows, seconds):
    assert total_left(rows, at_a_time=2) == (None if seconds is None else pytest.approx(seconds))


def test_a_summary_gives_each_reason_once_and_the_last_log_lines_of_each_failed_run(tmp_path):
    runs = [RunDir(tmp_path / f"d/resnet-20/seed{seed}-1a") for seed in range(4)]
    states = [State.FINISHED, State.FAILED, State.DIVERGED, State.INTERRUPTED]
    rows = []
    for run, state in zip(runs, states, strict=True):
        run.path.mkdir(parents=True)
        run.log.write_text("".join(f"{state} line {number}\n" for number in range(5)) + "error: disk full\n\n")
        reason = "the loss is not finite" if state is State.DIVERGED else None
        rows.append(
            Row(run, state, reason=reason, step=1 if state is State.FINISHED else 0, seconds=95.0, error=12.3456)
        )
    lines = printed(make_summary(rows, {str(runs[1].path): "disk full", str(runs[2].path): "not this one"}), 300)
    assert cells(lines[0]) == ["run", "state", "test", "error", "%", "time", "why"]
    assert cells(lines[1]) == ["resnet-20", "seed0", "finished", "12.35", "1:35", "min"]
    assert cells(lines[2]) == ["resnet-20", "seed1", "failed", "12.35", "disk", "full"]
    assert lines[3].endswith("the loss is not finite")
    assert lines[5:] == [
        "",
        f"resnet-20 seed1: {runs[1].log}",
        *(f"    failed line {number}" for number in (2, 3, 4)),
        "",
        f"resnet-20 seed2: {runs[2].log}",
        *(f"    diverged line {number}" for number in (3, 4)),
        "    error: disk full",
    ]


def test_a_run_without_a_log_has_no_last_lines(tmp_path):
    assert last_lines(RunDir(tmp_path), "disk full") == []


@pytest.fixture
def two_runs(tmp_path):
    for depth, state in ((20, State.FINISHED), (56, State.QUEUED)):
        run = RunDir(tmp_path / f"d/resnet-{depth}/seed0-1a")
        run.write_config(compose_run(*TINY, f"depth={depth}"))
        run.update_status(state=state, progress={**PROGRESS, "step": 100} if state is State.FINISHED else {})
    return tmp_path


def test_status_counts_the_runs_and_estimates_the_time_left_from_their_depth(two_runs, capsys):
    assert status.main([str(two_runs)]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    # 1.5 s per step at 20 layers, 100 steps to go at 56 layers.
    assert last.strip() == "2 runs: 1 queued, 1 finished, about 7:00 min left"


def test_runs_with_each_others_names_are_marked_with_their_own(tmp_path, capsys):
    names = []
    for seed in (0, 1):
        config = compose_run(*TINY, f"seed={seed}")
        names.append(run_name(config, overridden(config)))
        run = RunDir(tmp_path / names[-1])
        run.write_config(config)
        run.update_status(state="finished")
    first, second = (tmp_path / name for name in names)
    assert status.main([str(tmp_path)]) == 0
    assert "misnamed" not in capsys.readouterr().out
    first.rename(tmp_path / "exp1")  # a name of the user's
    second.rename(first)
    other = tmp_path / "synthetic" / "plain-8" / second.name
    other.parent.mkdir()
    shutil.copytree(first, other)
    (tmp_path / "exp1").rename(tmp_path / "synthetic" / "exp1")
    assert status.main([str(tmp_path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.count("finished, misnamed") == 2
    assert shown.count(f"misnamed: by its config.yaml, the run is {names[1]}") == 2


def test_a_run_without_a_valid_config_is_shown_as_failed(two_runs, capsys):
    (two_runs / "d/resnet-56/seed0-1a/config.yaml").write_text("depth: deep\n")
    assert status.main([str(two_runs)]) == 0
    assert "2 runs: 1 failed, 1 finished" in capsys.readouterr().out


def test_status_refreshes_until_ctrl_c(two_runs, monkeypatch):
    shown = []

    class Table:
        def __init__(self, render):
            self.render = render

        def start(self):
            shown.append(printed(self.render(Console(file=io.StringIO(), width=120, height=30))))

        def stop(self):
            shown.append("stopped")

    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(status, "LiveTable", Table)
    monkeypatch.setattr(status.time, "sleep", interrupt)
    assert status.main([str(two_runs), "--watch"]) == 0
    assert shown[0][-1].startswith("2 runs: 1 queued, 1 finished") and shown[1] == "stopped"


def test_watching_a_folder_without_runs_is_refused(tmp_path, capsys):
    assert status.main([str(tmp_path), "--watch"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
