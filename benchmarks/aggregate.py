"""The cost of a report on many runs: seconds and memory for reading, tables, figures and document.

    python benchmarks/aggregate.py [N ...]     # default: 100 1000 10000 runs

Makes N run folders of 164 epochs in a temporary folder (45 runs per setting: three models, three depths, five seeds),
reports on them in a separate process, and prints one row per number of runs: wall-clock seconds, with processor time in
parentheses, which shows how busy the machine was otherwise.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml

from cifar_resnet.run.files import digest
from cifar_resnet.run.identity import config_hash

EPOCHS = 164
PARTS = ("imports", "reading", "tables", "figures", "document")
_HEAD = "epoch,step,lr,train_loss,train_error,test_loss,test_error,train_seconds,test_seconds,images_per_second\n"


def make(folder: Path, count: int) -> None:
    """Writes `count` run folders that look like finished runs on CIFAR-10."""
    generator = np.random.default_rng(0)
    decay = np.exp(-np.arange(EPOCHS) / 30)
    for index in range(count):
        setting, place = divmod(index, 45)
        model, depth, seed = ("plain", "resnet", "preact")[place // 15], (20, 56, 110)[place // 5 % 3], place % 5
        config = {
            "depth": depth,
            "seed": seed,
            "precision": "fp32",
            "out": "outputs",
            "init_from": None,
            "model": {"name": model, "shortcut": "A", "width": 16},
            "optim": {
                "epochs": EPOCHS,
                "iterations": None,
                "batch_size": 128,
                "schedule": "step",
                "lr": round(0.1 / (1 + setting), 6),
                "peak": 0.25,
                "momentum": 0.9,
                "nesterov": False,
                "weight_decay": 0.0001,
                "label_smoothing": 0.0,
                "milestones": [81, 122],
                "gamma": 0.1,
                "warmup": "auto",
            },
            "data": {
                "kind": "cifar10",
                "name": "cifar10",
                "root": "data",
                "cache": None,
                "image_size": None,
                "train_size": None,
                "test_size": None,
                "holdout": 0,
                "augment": True,
            },
            "runtime": {
                "device": "auto",
                "threads": 1,
                "progress": True,
                "compile": False,
                "deterministic": False,
                "checkpoint_seconds": 60.0,
                "retry_failed": True,
                "dry_run": False,
            },
        }
        status = {
            "state": "finished",
            "reason": None,
            "hash": config_hash(config),
            "device": "a processor (AVX2)",
            "threads": 1,
            "parameters": 269434,
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "versions": {"python": "3.11.7", "torch": "2.13.0", "numpy": "2.4.6", "cifar_resnet": "0.1.0"},
            "data": {"name": "cifar10", "kind": "cifar10", "fingerprint": "0123456789abcdef", "classes": 10}
            | {"train_images": 50_000, "val_images": 0, "test_images": 10_000, "mean": [0.5] * 3, "std": [0.25] * 3},
            "seconds": 3600.0,
        }
        test = 8 + 80 * decay + generator.normal(0, 0.2, EPOCHS)
        rows = [
            f"{epoch},{391 * epoch},0.1,{error / 30:.6f},{error * 0.9:.6f},{error / 25:.6f},{error:.6f},20.1,1.2,2400\n"
            for epoch, error in enumerate(test, 1)
        ]
        run = folder / "cifar10" / f"{model}-{depth}" / f"seed{seed}-lr={config['optim']['lr']}-{index:08x}"
        run.mkdir(parents=True)
        (run / "config.yaml").write_text(yaml.dump(config, Dumper=yaml.CSafeDumper, sort_keys=False))
        (run / "metrics.csv").write_text(_HEAD + "".join(rows))
        status["metrics_digest"] = digest(run / "metrics.csv")
        (run / "run.json").write_text(json.dumps(status, indent=2))


def measure(folder: Path) -> dict[str, list[float]]:
    """Part → seconds of wall-clock time and of processor time; `memory`: peak in MB."""
    seconds: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], object]) -> object:
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        before = seconds.get(name, [0.0, 0.0])
        seconds[name] = [before[0] + time.perf_counter() - wall, before[1] + time.process_time() - cpu]
        return result

    def imports() -> None:
        from cifar_resnet.report import claims, document, epochs, figures, tables  # noqa: F401
        from cifar_resnet.report.runs import load  # noqa: F401

    timed("imports", imports)
    from cifar_resnet.report import claims, document, figures, tables
    from cifar_resnet.report.command import write_tables
    from cifar_resnet.report.runs import load
    from cifar_resnet.report.runs.collection import Runs

    runs = timed("reading", lambda: load.load([folder]))
    assert isinstance(runs, Runs)
    (data,) = runs.datasets
    out = folder / "report"
    made = timed("tables", lambda: write_tables(runs, data, out, ("md", "tex", "csv")))
    drawn = timed("figures", lambda: figures.draw_all(runs, data, out))
    judged = timed("tables", lambda: claims.judge(runs, data))
    timed("document", lambda: document.write(runs, data, made, judged, drawn, out, ("md", "html", "tex")))
    assert {table.name for table in made} <= set(tables.NAMES)
    return seconds | {"memory": [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]}


def main() -> None:
    """Prints one row per number of runs."""
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(Path(sys.argv[2]))))
        return
    counts = [int(text) for text in sys.argv[1:]] or [100, 1_000, 10_000]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start; seconds, processor time in parentheses")
    print(f"{'runs':>6}  " + "  ".join(f"{name:>13}" for name in PARTS) + "  peak memory (MB)")
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), count)
            done = subprocess.run([sys.executable, __file__, "--measure", folder], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        found = json.loads(done.stdout.splitlines()[-1])
        cells = [f"{found[name][0]:.2f} ({found[name][1]:.2f})" for name in PARTS]
        print(f"{count:>6}  " + "  ".join(f"{cell:>13}" for cell in cells) + f"  {found['memory'][0]:.0f}", flush=True)


if __name__ == "__main__":
    main()
