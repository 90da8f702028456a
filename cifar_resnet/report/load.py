"""Reads run folders into two tables, a row a run and a row an epoch; judges nothing."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cifar_resnet.errors import RunError
from cifar_resnet.run_dir import RunDir, State, config_hash, find_runs, flatten, identity

# The columns of metrics.csv that every run has.
_NUMBERS = ("train_loss", "train_error", "test_loss", "test_error", "images_per_second")
# What every table shows anyway, and what names a run; all else that differs between runs is their setting.
_SHOWN = {"data.name", "data.kind", "model.name", "depth", "seed"}


@dataclass(frozen=True)
class Runs:
    """All runs that were found.

    runs: a row a run, whatever its state; errors in percent, seconds of training and evaluation.
    epochs: a row a run and epoch, with the run's data, model, depth, setting and seed.
    unreadable: folder → reason, for what couldn't be read.
    copies: folder → folder of the same run, config, seed and images, which is the one that counts.
    """

    runs: pd.DataFrame
    epochs: pd.DataFrame
    unreadable: dict[str, str]
    copies: dict[str, str]

    @property
    def finished(self) -> pd.DataFrame:
        """The runs that numbers are made of."""
        return self.runs[self.runs["state"] == State.FINISHED.value]

    @property
    def unfinished(self) -> pd.DataFrame:
        """The runs that are named and left out."""
        return self.runs[self.runs["state"] != State.FINISHED.value]


def load(paths: list[Path]) -> Runs:
    """Reads every run folder under the paths.

    Raises:
        RunError: a path isn't a folder, or no run could be read.
    """
    rows, histories, identities, unreadable, copies = [], [], [], {}, {}
    known: dict[tuple[str, str | None], str] = {}
    # Finished ones first: of a run and its unfinished copy, the finished one counts.
    for run in sorted(find_runs(paths), key=lambda run: not run.final.exists()):
        try:
            config = run.read_config()
            row, own, history = _describe(run, config), flatten(identity(config)), read_metrics(run.metrics)
        except RunError as error:
            unreadable[str(run.path)] = str(error)
        except (KeyError, TypeError, AttributeError):
            unreadable[str(run.path)] = f"{run.config} is not the config of a run"
        else:
            original = known.setdefault((row["hash"], row["fingerprint"]), row["folder"])
            if original != row["folder"]:
                copies[row["folder"]] = original
                continue
            rows.append(row)
            identities.append(own)
            histories.append(history)
    if not rows:
        raise RunError("no run could be read: " + "; ".join(unreadable.values()))
    for row, setting, history in zip(rows, _settings(rows, identities), histories, strict=True):
        row["setting"] = setting
        row.update(_results(history))
    ordered = sorted(zip(rows, histories, strict=True), key=lambda pair: _order(pair[0]))
    names = ["data", "model", "depth", "setting", "seed", "state", "folder"]
    frames = [history.assign(**{name: row[name] for name in names}) for row, history in ordered]
    epochs = pd.concat([frame for frame in frames if len(frame)] or frames)
    runs = pd.DataFrame([row for row, _ in ordered])
    return Runs(runs, epochs[names + [column for column in epochs if column not in names]], unreadable, copies)


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    """Runs as readers look for them: by data set, then plain, resnet, preact, then shallow to deep."""
    model = {"plain": 0, "resnet": 1, "preact": 2}.get(row["model"], 3)
    return row["data"], model, row["model"], row["depth"], row["setting"], row["seed"]


def read_metrics(path: Path) -> pd.DataFrame:
    """metrics.csv; a last line without its end, half-written by something else, is left out.

    Raises:
        RunError: the file isn't a table of numbers.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return pd.DataFrame(columns=["epoch"])
    except (OSError, ValueError) as error:
        raise RunError(f"{path} can't be read: {error}") from error
    lines = text[: text.rfind("\n") + 1]
    if not lines:
        return pd.DataFrame(columns=["epoch"])
    try:
        metrics = pd.read_csv(io.StringIO(lines))
        return metrics.astype(dict.fromkeys(_NUMBERS, float) | {"epoch": int})
    except (ValueError, KeyError) as error:
        raise RunError(f"{path} is not a table of epochs: {str(error).splitlines()[0]}") from error


def _state(run: RunDir, status: dict[str, Any]) -> str:
    try:
        return run.state().value
    except OSError:
        # On a disk that can't be written to, nobody can ask for the lock.
        return str(status["state"])


def _describe(run: RunDir, config: dict[str, Any]) -> dict[str, Any]:
    status = run.read_status()
    return {
        "data": config["data"]["name"],
        "model": config["model"]["name"],
        "depth": config["depth"],
        "setting": "",
        "seed": config["seed"],
        "state": _state(run, status),
        "reason": status.get("reason"),
        "parameters": status.get("parameters"),
        "seconds": status.get("seconds"),
        "device": status.get("device"),
        "threads": status.get("threads"),
        "precision": config["precision"],
        "fingerprint": status.get("data", {}).get("fingerprint"),
        "commit": status.get("commit"),
        "torch": status.get("versions", {}).get("torch"),
        "hash": config_hash(config),
        "folder": str(run.path),
    }


def _results(history: pd.DataFrame) -> dict[str, Any]:
    """A run's numbers so far: the last epoch's, and those of the best epoch, chosen on the split watched each epoch."""
    if history.empty:
        return {"epochs": 0}
    last = history.iloc[-1]
    watched = "val_error" if "val_error" in history else "test_error"
    best = history.sort_values(watched, kind="stable").iloc[0]
    return {
        "epochs": int(last["epoch"]),
        "test_error": last["test_error"],
        "test_loss": last["test_loss"],
        "train_error": last["train_error"],
        "train_loss": last["train_loss"],
        f"best_{watched}": best[watched],
        "best_epoch": int(best["epoch"]),
        "images_per_second": history["images_per_second"].median(),
    }


def _settings(rows: list[dict[str, Any]], identities: list[dict[str, Any]]) -> Iterator[str]:
    """What tells each run from the others of its data set, beside model, depth and seed; empty where nothing does.

    Runs that have not finished count as well, so that a run keeps its label when the last one of a sweep comes in.
    """
    differing = {data: _differing_keys(rows, identities, data) for data in {row["data"] for row in rows}}
    prints = {(row["data"], row["fingerprint"]) for row in rows if row["fingerprint"]}
    versions = Counter(data for data, _ in prints)
    for row, own in zip(rows, identities, strict=True):
        keys = [key for key in own if key in differing[row["data"]]]
        parts = [f"{_label(key, own)}={own[key]}" for key in keys if not _follows(key, keys)]
        if versions[row["data"]] > 1 and row["fingerprint"]:
            parts.append(f"images={row['fingerprint'][:6]}")
        yield ", ".join(parts)


def _differing_keys(rows: list[dict[str, Any]], identities: list[dict[str, Any]], data: str) -> set[str]:
    """The keys that don't have one value in all runs of a data set, beside those that every table shows."""
    own = [identity for row, identity in zip(rows, identities, strict=True) if row["data"] == data]
    keys = {key for identity in own for key in identity} - _SHOWN
    return {key for key in keys if any(key not in one or one[key] != own[0].get(key) for one in own)}


def _follows(key: str, keys: list[str]) -> bool:
    """Milestones differ wherever the number of epochs does, and need no mention of their own then."""
    return key == "optim.milestones" and bool({"optim.epochs", "optim.iterations"} & set(keys))


def _label(key: str, own: dict[str, Any]) -> str:
    """The key's last part, or the whole where two keys end alike."""
    last = key.rpartition(".")[2]
    return last if sum(other.rpartition(".")[2] == last for other in own) == 1 else key
