"""Writes runs to Weights & Biases; `WANDB_MODE=offline` writes files that `wandb sync` uploads later."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import wandb

from cifar_resnet.errors import ConfigError
from cifar_resnet.export.record import REPORT, Record, digests, report_key
from cifar_resnet.run.files import write_text
from cifar_resnet.run.states import State


class Tracker:
    """A project of Weights & Biases.

    An offline W&B doesn't know what it was given before, so what has been copied is noted in its own folder, in
    `wandb/cifar-resnet.json`.
    """

    def __init__(self, project: str) -> None:
        self._project = project
        self._noted = Path(os.environ.get("WANDB_DIR", ".")) / "wandb" / "cifar-resnet.json"
        try:
            self._noted.parent.mkdir(parents=True, exist_ok=True)
            self._known = json.loads(self._noted.read_text(encoding="utf-8")) if self._noted.exists() else {}
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"--to wandb: {self._noted} can't be used ({error}); WANDB_DIR names its folder"
            ) from error

    def add(self, record: Record) -> str:
        """Adds what is new of a run; returns what was done: new, updated or unchanged."""
        copies = self._known.setdefault(self._project, {}).setdefault(record.key, [])
        known = copies[-1] if copies else None
        if known is not None and known["history"] != record.history(known["epochs"]):
            # Trained again from the start with another outcome: the old epochs must not mix with the new ones.
            known = None
        epochs, files = (known["epochs"], known["files"]) if known else (0, {})
        wanted = {
            "epochs": len(record.rows),
            "history": record.history(len(record.rows)),
            "tags": record.tags,
            "files": {**files, **record.attachments()},
        }
        if wanted == known:
            return "unchanged"
        number = len(copies) + (known is None)
        run = self._init(f"{record.key}-{number}", record.name, config=record.params, group=record.group)
        for row in record.rows[epochs:]:
            run.log({key: value for key, value in row.items() if key != "epoch"}, step=int(row["epoch"]))
        run.summary.update(record.tags)
        self._attach(run, f"{record.group}-{record.key}", "run", files, record.files, record.attachments())
        run.finish(exit_code=int(record.state in (State.FAILED, State.DIVERGED)))
        copies[number - 1 :] = [wanted]
        self._note()
        return "new" if known is None else "updated"

    def add_report(self, folder: Path) -> str:
        """Adds the report in `folder` as an artifact of a run named `report`, if it is there and has changed."""
        paths = [folder / name for name in REPORT]
        key, wanted = report_key(folder), digests(paths)
        reports = self._known.setdefault(self._project, {})
        if reports.get(key, {}) == wanted:
            return "unchanged"
        run = self._init(key, "report")
        self._attach(run, key, "report", {}, paths, wanted)
        run.finish()
        outcome = "updated" if key in reports else "new"
        reports[key] = wanted
        self._note()
        return outcome

    def _init(self, key: str, name: str, **options: Any) -> wandb.Run:
        settings = wandb.Settings(silent=True, console="off", x_disable_stats=True, disable_git=True)
        try:
            return wandb.init(
                project=self._project,
                id=key,
                name=name,
                resume="allow",
                reinit="create_new",
                settings=settings,
                **options,
            )
        except (wandb.Error, OSError) as error:
            raise ConfigError(f"--to wandb: {' '.join(str(error).split())}") from error

    def _attach(
        self, run: wandb.Run, name: str, kind: str, known: dict[str, str], paths: list[Path], wanted: dict[str, str]
    ) -> None:
        if any(known.get(file) != value for file, value in wanted.items()):
            artifact = wandb.Artifact(name, kind)
            for path in paths:
                if path.name in wanted:
                    artifact.add_file(str(path))
            run.log_artifact(artifact)

    def _note(self) -> None:
        write_text(self._noted, json.dumps(self._known, indent=1))
