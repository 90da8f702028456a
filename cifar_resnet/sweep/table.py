"""The table of runs: where each stands, how fast it goes and how long it will take; out of their folders alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cifar_resnet.errors import RunError
from cifar_resnet.run.folder import RunDir, State

# Rows of these states come first where there is no room for all.
_URGENT = (
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
# The widest that all columns but the run's name get, with their spaces.
_OTHER_COLUMNS = 60
_HEADS = ("run", "state", "epoch", "train loss", "err %", "images/s", "left")


@dataclass(frozen=True)
class Row:
    """Where one run stands."""

    run: RunDir
    state: State
    reason: str | None = None
    step: int = 0
    steps: int | None = None
    steps_per_epoch: int = 1
    seconds: float = 0.0  # of training and evaluation so far
    pace: float | None = None  # seconds a step, of late
    train_loss: float | None = None
    error: float | None = None  # percent, on the split that is watched
    images_per_second: float | None = None
    depth: int | None = None
    job: str | None = None  # of Slurm
    held_out: bool = False  # whether the split that is watched is one held out, and not the test set

    @property
    def standing(self) -> Text:
        """The state as a cell; of a queued run with the job that it waits in."""
        job = f" {self.job}" if self.state is State.QUEUED and self.job else ""
        return Text(f"{self.state}{job}", style=_STYLES[self.state])

    @property
    def seconds_left(self) -> float | None:
        """Until the run's end, at its own pace; None where it has none yet."""
        if self.state is State.FINISHED:
            return 0.0
        if self.pace is None or self.steps is None:
            return None
        return self.pace * (self.steps - self.step)


def read_row(run: RunDir, depth: int | None = None) -> Row:
    """The row of a run; an unreadable run.json is its reason."""
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
        # Runs from before it was written have that of their whole training.
        progress.get("pace", seconds / step) if step else None,
        progress.get("train_loss"),
        progress.get("val_error", progress.get("test_error")),
        progress.get("images_per_second"),
        depth,
        status.get("job"),
        "val_error" in progress,
    )


def labels(runs: Sequence[RunDir]) -> list[str]:
    """A short name for each run: model, depth, seed, and what of its folder's name not all runs share."""
    split = [(run.path.parent.parent.name, run.path.parent.name, *_parts(run.path.name)) for run in runs]
    everywhere = Counter(item for *_, items, _ in split for item in items)
    several = len({data for data, *_ in split}) > 1
    names = []
    for data, model, seed, items, _ in split:
        own = [item for item in items if everywhere[item] < len(runs)]
        names.append(" ".join(filter(None, [data if several else "", model, seed, ",".join(own)])))
    same = Counter(names)
    return [f"{name} {hash8}" if same[name] > 1 else name for name, (*_, hash8) in zip(names, split, strict=True)]


def _parts(name: str) -> tuple[str, list[str], str]:
    """seed, what was overridden, hash.

    >>> _parts("seed0-epochs=12,lr=0.02-1a2b3c4d")
    ('seed0', ['epochs=12', 'lr=0.02'], '1a2b3c4d')
    """
    rest, _, hash8 = name.rpartition("-")
    seed, _, overridden = rest.partition("-")
    return seed, [item for item in overridden.split(",") if item], hash8


def count_runs(number: int) -> str:
    """1 run, 2 runs."""
    return f"{number} run" if number == 1 else f"{number} runs"


def duration(seconds: float | None) -> str:
    """Seconds as a person reads them.

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
    """Seconds until the whole sweep's end.

    Runs that haven't begun are taken at the pace of the others, cost growing with depth; None until one has a pace.
    Without `at_a_time` as many go on side by side as do now.
    """
    paced = [(row.step, row.pace, row.depth) for row in rows if row.pace is not None and row.depth]
    if not paced:
        return None
    # A run that has just begun hardly knows its pace.
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
    """The split that the errors are of, as a column's head begins; empty where it isn't the same for all runs."""
    kinds = {row.held_out for row in rows if row.error is not None}
    return "" if len(kinds) == 2 else "val " if True in kinds else "test "


def make_table(rows: Sequence[Row], width: int, height: int | None, at_a_time: int | None = None) -> RenderableType:
    """The table of runs with a line on the whole sweep under it.

    Args:
        rows: the runs, in their order.
        width: columns of the terminal.
        height: lines that it has; the runs that matter least at the moment are left out to fit. None: all.
        at_a_time: runs side by side, for the time left; None: as many as there are now.
    """
    names = labels([row.run for row in rows])
    order = list(range(len(rows)))
    room = len(rows) if height is None else max(3, height - 4)
    if len(rows) > room:
        order = sorted(sorted(order, key=lambda index: _URGENT.index(rows[index].state))[:room])
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    narrow = width < 100
    for head in _HEADS:
        short = {"train loss": "loss", "images/s": "img/s"}.get(head, head) if narrow else head
        if head == "err %" and not narrow:
            short = _split(rows) + head
        right = head not in ("run", "state")
        table.add_column(
            short,
            justify="right" if right else "left",
            no_wrap=True,
            overflow="ellipsis",
            max_width=max(12, width - _OTHER_COLUMNS) if head == "run" else None,
        )
    for index in order:
        row = rows[index]
        epochs = None if row.steps is None else -(-row.steps // row.steps_per_epoch)
        epoch = min(row.step // row.steps_per_epoch + (row.state is State.RUNNING), epochs or 0)
        left = "" if row.state in (State.FAILED, State.DIVERGED, State.FINISHED) else duration(row.seconds_left)
        table.add_row(
            names[index],
            row.standing,
            "" if epochs is None else f"{epoch}/{epochs}",
            "" if row.train_loss is None else f"{row.train_loss:.4f}",
            "" if row.error is None else f"{row.error:.2f}",
            "" if row.images_per_second is None else f"{row.images_per_second:.0f}",
            left,
        )
    counts = Counter(row.state for row in rows)
    parts = [f"{counts[state]} {state}" for state in _URGENT if counts[state]]
    if len(order) < len(rows):
        parts.append(f"{len(rows) - len(order)} of them not shown")
    left_over = total_left(rows, at_a_time)
    if left_over:
        parts.append(f"about {duration(left_over)} left")
    return Group(table, Text(f"{count_runs(len(rows))}: " + ", ".join(parts), style="bold"))


def make_summary(rows: Sequence[Row], reasons: dict[str, str]) -> RenderableType:
    """The end of a sweep: every run; and of each that failed the reason, the log and its last lines."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    error_heading = f"{_split(rows)}error %"
    for heading in ("run", "state", error_heading, "time", "why"):
        right = heading in (error_heading, "time")
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading != "why", overflow="fold")
    lines = []
    for row, name in zip(rows, labels([row.run for row in rows]), strict=True):
        reason = row.reason or reasons.get(str(row.run.path)) or ""
        error = "" if row.error is None else f"{row.error:.2f}"
        table.add_row(name, row.standing, error, duration(row.seconds) if row.step else "", Text(reason))
        if row.state in (State.FAILED, State.DIVERGED):
            lines.append(Text(f"\n{name}: {reason}\n  {row.run.log}", style="bold"))
            lines += [Text(f"    {line}", style="dim") for line in last_lines(row.run)]
    return Group(table, *lines)


def last_lines(run: RunDir, count: int = 3) -> list[str]:
    """The end of what the run said."""
    try:
        return run.log.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()[-count:]
    except OSError:
        return []
