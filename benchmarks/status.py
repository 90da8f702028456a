"""The cost of showing many runs: the time that `python -m cifar_resnet.status` takes, and the files it reads.

    python benchmarks/status.py [N ...]     # default: 100 1000 10000 runs

Makes N run folders in a temporary folder (TMPDIR chooses the disk): a tenth are running, four tenths are queued and the
others are finished. Prints one row per number of runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aggregate import make  # the benchmark in this folder, not the program

REPO_ROOT = Path(__file__).resolve().parents[1]


def vary(folder: Path) -> None:
    """Makes runs in all states from finished ones."""
    for number, path in enumerate(sorted(folder.rglob("run.json"))):
        status = json.loads(path.read_text())
        progress = {"step": 391, "steps": 64124, "steps_per_epoch": 391, "seconds": 20.0, "train_loss": 1.5}
        if number % 10 == 0:
            # The lock shows whether a process holds the run; here, none does.
            status |= {"state": "running", "job": f"1_{number}", "progress": progress}
            (path.parent / "run.lock").touch()
        elif number % 2 == 0:
            status |= {"state": "queued", "job": f"1_{number}"}
        path.write_text(json.dumps(status, indent=2))


def main() -> None:
    """Prints one row per number of runs."""
    counts = [int(text) for text in sys.argv[1:]] or [100, 1_000, 10_000]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    print("  runs  seconds  of which processor  files read  MB read")
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), count)
            vary(Path(folder))
            before, begin = os.times(), time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "cifar_resnet.status", folder],
                env={**os.environ, "PYTHONPATH": str(REPO_ROOT)},
                stdout=subprocess.DEVNULL,
                check=True,
            )
            wall, after = time.perf_counter() - begin, os.times()
            read = [path for path in Path(folder).rglob("*") if path.name in ("config.yaml", "run.json", "run.lock")]
            size = sum(path.stat().st_size for path in read) / 1e6
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        print(f"{count:>6}  {wall:7.1f}  {cpu:18.1f}  {len(read):10}  {size:7.1f}", flush=True)


if __name__ == "__main__":
    main()
