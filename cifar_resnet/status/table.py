"""The table of runs: state, speed and time left of each, read only from the run folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cifar_resnet.errors import RunError
from cifar_resnet.printable import printable
from cifar_resnet.run.files import read_end
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State

# Which rows to keep first when the terminal is too small for all of them.
_BY_URGENCY = (
    State.RUNNING,
    State.FAILED,
    State.DIVERGED,
    State.INTERRUPTED,
    State.QUEUED,
    State.PENDING,
    State.FINISHED,
)
_STYLES = {
    State.RUNNING: "bold cyan",
    State.FINISHED: "green",
    State.FAILED: "bold red",
    State.DIVERGED: "bold red",
    State.INTERRUPTED: "yellow",
    State.QUEUED: "dim",
    State.PENDING: "dim",
}
# The greatest width of all columns except the run's name, including the gaps.
_OTHER_COLUMNS = 60
# Whose reasons are shown in a terminal, where only some fit, and where there is space for all.
_FAILED = (State.FAILED, State.DIVERGED)
_WITH_REASON = (*_FAILED, State.INTERRUPTED, State.QUEUED, State.FINISHED)
_MOST_REASONS = 3
_HEADINGS = ("run", "state", "epoch", "train loss", "err %", "images/s", "left")
_SHORT_HEADINGS = {"train loss": "loss", "images/s": "img/s"}


@dataclass(frozen=True)
class Row:
    """The progress of one run."""

    run: RunDir
    state: State
    reason: str | None = None
    step: int = 0
    steps: int | None = None
    steps_per_epoch: int = 1
    seconds: float = 0.0  # of training and evaluation so far
    pace: float | None = None  # recent seconds per step
    train_loss: float | None = None
    error: float | None = None  # percent, on the validation split if there is one, else on the test set
    images_per_second: float | None = None
    depth: int | None = None
    job: str | None = None  # id of the Slurm job
    held_out: bool = False  # whether `error` is that of a validation split
    true_name: str | None = None  # the run's name if its folder has that of another run

    @property
    def standing(self) -> Text:
        """The state as a table cell; a queued run shows its job as well, and a misnamed one that it is."""
        job = f" {self.job}" if self.state is State.QUEUED and self.job else ""
        return Text(f"{self.state}{job}{', misnamed' if self.true_name else ''}", style=_STYLES[self.state])

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the run ends at its own pace; None if the pace is not yet known."""
        if self.state is State.FINISHED:
            return 0.0
        if self.pace is None or self.steps is None:
            return None
        return self.pace * (self.steps - self.step)


def read_row(run: RunDir, depth: int | None = None) -> Row:
    """The row of a run; if run.json is unreadable, the reason says so."""
    try:
        status, state = run.read_status(), run.recorded_state()
    except RunError as error:
        return Row(run, State.INTERRUPTED, reason=str(error), depth=depth)
    progress = status.get("progress", {})
    step, seconds = progress.get("step", 0), progress.get("seconds", 0.0)
    return Row(
        run,
        state,
        status.get("reason"),
        step,
        progress.get("steps"),
        progress.get("steps_per_epoch", 1),
        seconds,
        # Runs from before the pace was recorded use the average over their whole training.
        progress.get("pace", seconds / step) if step else None,
        progress.get("train_loss"),
        progress.get("val_error", progress.get("test_error")),
        progress.get("images_per_second"),
        depth,
        status.get("job"),
        "val_error" in progress,
    )


def labels(runs: Sequence[RunDir]) -> list[str]:
    """A short name for each run: model, depth, seed, and the overrides that not all of the runs share."""
    split = [(run.path.parent.parent.name, run.path.parent.name, *_parts(run.path.name)) for run in runs]
    everywhere = Counter(item for *_, items, _ in split for item in items)
    several = len({data for data, *_ in split}) > 1
    names = []
    for data, model, seed, items, _ in split:
        own = [item for item in items if everywhere[item] < len(runs)]
        names.append(" ".join(filter(None, [data if several else "", model, seed, ",".join(own)])))
    same = Counter(names)
    unique = (f"{name} {hash8}" if same[name] > 1 else name for name, (*_, hash8) in zip(names, split, strict=True))
    return [printable(name) for name in unique]


def _parts(name: str) -> tuple[str, list[str], str]:
    """Seed, overrides and hash of a run folder's name.

    >>> _parts("seed0-epochs=12,lr=0.02-1a2b3c4d")
    ('seed0', ['epochs=12', 'lr=0.02'], '1a2b3c4d')
    >>> _parts("exp1")  # a folder that the user named
    ('exp1', [], '')
    """
    if "-" not in name:
        return name, [], ""
    rest, _, hash8 = name.rpartition("-")
    seed, _, overridden = rest.partition("-")
    return seed, [item for item in overridden.split(",") if item], hash8


def count_runs(number: int) -> str:
    """The number with its noun: 1 run, 2 runs."""
    return count(number, "run")


def count(number: int, noun: str) -> str:
    """A number with a regular noun.

    >>> count(1, "trial"), count(2, "trial")
    ('1 trial', '2 trials')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float | None) -> str:
    """Seconds in the largest unit that fits.

    >>> duration(3.2), duration(95), duration(7300), duration(200000), duration(None)
    ('3 s', '1:35 min', '2:01 h', '2.3 days', '–')
    """
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"
    if seconds < 86400:
        return f"{int(seconds) // 3600}:{int(seconds) % 3600 // 60:02d} h"
    return f"{timedelta(seconds=seconds) / timedelta(days=1):.1f} days"


def total_left(rows: Sequence[Row], at_a_time: int | None = None) -> float | None:
    """Seconds until the whole sweep ends; None until at least one run has a pace.

    Runs that have not started are estimated from the pace of the others, scaled by depth.

    Args:
        rows: the runs.
        at_a_time: runs in parallel; None: as many as are running now.
    """
    paced = [(row.step, row.pace, row.depth) for row in rows if row.pace is not None and row.depth]
    if not paced:
        return None
    # Weighted by steps, since the pace of a run that has just started is unreliable.
    seconds_per_layer = sum(step * pace for step, pace, _ in paced) / sum(step * depth for step, _, depth in paced)
    if at_a_time is None:
        at_a_time = max(1, sum(row.state is State.RUNNING for row in rows))
    steps = max((row.steps for row in rows if row.steps), default=0)
    left = []
    for row in rows:
        if row.state.is_open:
            own = row.seconds_left
            left.append(seconds_per_layer * steps * (row.depth or 0) if own is None else own)
    return max(sum(left) / at_a_time, max(left, default=0.0))


def _split(rows: Sequence[Row]) -> str:
    """Prefix of the error column's heading: the split, or nothing if the runs differ in it."""
    kinds = {row.held_out for row in rows if row.error is not None}
    return "" if len(kinds) == 2 else "val " if True in kinds else "test "


def _notes(row: Row, with_reason: Collection[State]) -> list[str]:
    """What the lines below the table say about a run."""
    reason = [row.reason] if row.reason and row.state in with_reason else []
    return [*reason, *([f"misnamed: by its config.yaml, the run is {row.true_name}"] if row.true_name else [])]


def make_table(rows: Sequence[Row], width: int, height: int | None, at_a_time: int | None = None) -> RenderableType:
    """The table of runs, followed by the reasons of runs that failed, and one line that summarizes the whole sweep.

    Args:
        rows: the runs, in order.
        width: width of the terminal in columns.
        height: height of the terminal in lines; the least urgent runs are left out to fit. None: show all.
        at_a_time: runs in parallel, for the time left; None: as many as are running now.
    """
    names = labels([row.run for row in rows])
    order = list(range(len(rows)))
    reasons = [
        Text(f"{name}: {reason}", no_wrap=height is not None, overflow="ellipsis")
        for row, name in zip(rows, names, strict=True)
        for reason in _notes(row, _WITH_REASON if height is None else _FAILED)
    ][: None if height is None else _MOST_REASONS]
    most = len(rows) if height is None else max(3, height - 4 - len(reasons))
    if len(rows) > most:
        order = sorted(sorted(order, key=lambda index: _BY_URGENCY.index(rows[index].state))[:most])
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    narrow = width < 100
    for heading in _HEADINGS:
        shown = _SHORT_HEADINGS.get(heading, heading) if narrow else heading
        if heading == "err %" and not narrow:
            shown = _split(rows) + heading
        table.add_column(
            shown,
            justify="left" if heading in ("run", "state") else "right",
            no_wrap=True,
            overflow="ellipsis",
            max_width=max(12, width - _OTHER_COLUMNS) if heading == "run" else None,
        )
    for index in order:
        row = rows[index]
        epochs = None if row.steps is None else -(-row.steps // row.steps_per_epoch)
        epoch = min(row.step // row.steps_per_epoch + (row.state is State.RUNNING), epochs or 0)
        left = "" if row.state in (State.FAILED, State.DIVERGED, State.FINISHED) else duration(row.seconds_left)
        table.add_row(
            Text(names[index]),
            row.standing,
            "" if epochs is None else f"{epoch}/{epochs}",
            "" if row.train_loss is None else f"{row.train_loss:.4f}",
            "" if row.error is None else f"{row.error:.2f}",
            "" if row.images_per_second is None else f"{row.images_per_second:.0f}",
            left,
        )
    counts = Counter(row.state for row in rows)
    parts = [f"{counts[state]} {state}" for state in _BY_URGENCY if counts[state]]
    if len(order) < len(rows):
        parts.append(f"{len(rows) - len(order)} of them not shown")
    left_over = total_left(rows, at_a_time)
    if left_over:
        parts.append(f"about {duration(left_over)} left")
    return Group(table, *reasons, Text(f"{count_runs(len(rows))}: " + ", ".join(parts), style="bold"))


def make_summary(rows: Sequence[Row], reasons: dict[str, str]) -> RenderableType:
    """The summary of a sweep: every run with its reason, then the log of each failed one and its last lines.

    Args:
        rows: the runs, in order.
        reasons: by run folder, reasons that could not be written to run.json.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    error_heading = f"{_split(rows)}error %"
    for heading in ("run", "state", error_heading, "time", "why"):
        right = heading in (error_heading, "time")
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading != "why", overflow="fold")
    lines = []
    for row, name in zip(rows, labels([row.run for row in rows]), strict=True):
        reason = row.reason or reasons.get(str(row.run.path)) or ""
        error = "" if row.error is None else f"{row.error:.2f}"
        table.add_row(Text(name), row.standing, error, duration(row.seconds) if row.step else "", Text(reason))
        if row.state in _FAILED:
            lines.append(Text(f"\n{name}: {printable(str(row.run.log))}", style="bold"))
            lines += [Text(f"    {line}", style="dim") for line in last_lines(row.run, reason)]
    return Group(table, *lines)


def last_lines(run: RunDir, reason: str, count: int = 3) -> list[str]:
    """The last printable lines of the run's log, without those that repeat the reason why it failed."""
    try:
        lines = map(printable, read_end(run.log).decode(errors="replace").rstrip().splitlines())
    except OSError:
        return []
    return [line for line in lines if not reason or reason not in line][-count:]
