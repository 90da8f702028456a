"""Start-up times of the programs, and the memory of a worker.

    python benchmarks/startup.py                                              # synthetic images of CIFAR-10's size
    python benchmarks/startup.py data=image_folder data.root=FOLDER           # also how workers share the decoded data

Prints medians of 5 starts: `train.py --help`; a whole run of one step, from the start of its process to its end,
including results; and a sweep until it starts its first worker. Then prints the peak resident memory of a ResNet-110
worker with all images and, for data mapped from a cache, how much of it each of two concurrent workers holds.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine
import psutil

from cifar_resnet.run.defaults import REPO_ROOT

REPEATS = 5
TRAIN = [sys.executable, str(REPO_ROOT / "train.py")]
FULL_SIZE = ["data=synthetic", "data.train_size=50000", "data.test_size=10000"]
ONE_STEP = ["optim.epochs=null", "optim.iterations=1", "optim.milestones=[]", "runtime.threads=1", "runtime.device=cpu"]


def seconds_of(command: list[str], until: str | None = None) -> float:
    """Seconds until a line containing `until` is printed, or until the end; the process always runs to its end."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    lines, seconds = [], None
    for line in process.stdout:
        lines.append(line)
        if until is not None and seconds is None and re.search(until, line):
            seconds = time.perf_counter() - begin
    if process.wait() != 0 or (until is not None and seconds is None):
        raise SystemExit(f"{' '.join(command)} failed:\n{''.join(lines)}")
    return seconds if seconds is not None else time.perf_counter() - begin


def start_times(data: list[str], folder: Path) -> None:
    """Prints the medians."""
    small = ["data.test_size=100"] if "data=synthetic" not in data else ["data.test_size=100", "data.train_size=1280"]
    run = [*data, *small, *ONE_STEP]
    cases: dict[str, list[float]] = {"train.py --help": [], "a run of one step": [], "sweep to first worker": []}
    for repeat in range(REPEATS):
        out = [f"out={folder / str(repeat)}"]
        cases["train.py --help"].append(seconds_of([*TRAIN, "--help"]))
        cases["a run of one step"].append(seconds_of([*TRAIN, *run, *out]))
        cases["sweep to first worker"].append(seconds_of([*TRAIN, "-m", *run, *out, "seed=1,2"], until=": started"))
    for name, values in cases.items():
        print(f"{name:22} {statistics.median(values):5.2f} s ({min(values):.2f}–{max(values):.2f})", flush=True)


def mapped(process: psutil.Process, cache: str) -> tuple[float, float]:
    """MB of the files under a folder that are resident in a process, and its proportional share of them."""
    maps = [entry for entry in process.memory_maps() if entry.path.startswith(cache)]
    return sum(entry.rss for entry in maps) / 1e6, sum(entry.pss for entry in maps) / 1e6


def memory(data: list[str], folder: Path) -> None:
    """Prints the peak resident memory of ResNet-110 workers, and how much two of them share."""
    command = [
        *TRAIN,
        "-m",
        *data,
        "depth=110",
        "seed=3,4",
        "hydra.launcher.n_jobs=2",
        "optim.epochs=null",
        "optim.iterations=6",
    ]
    command += ["optim.milestones=[]", "data.test_size=1000", "runtime.threads=1", "runtime.device=cpu"]
    command += [f"out={folder / 'memory'}"]
    sweep = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    largest: dict[int, float] = {}
    shared: dict[int, tuple[float, float]] = {}
    while sweep.poll() is None:
        for process in psutil.Process(sweep.pid).children(recursive=True):
            try:
                if "cifar_resnet.training.worker" not in process.cmdline():
                    continue
                largest[process.pid] = max(largest.get(process.pid, 0.0), process.memory_info().rss / 1e6)
                shared[process.pid] = max(shared.get(process.pid, (0.0, 0.0)), mapped(process, str(folder)))
            except (psutil.Error, OSError):
                continue
        time.sleep(0.1)
    print(f"largest resident memory of two resnet-110 workers: {', '.join(f'{mb:.0f} MB' for mb in largest.values())}")
    for rss, pss in shared.values():
        if rss:
            print(f"a worker has {rss:.0f} MB of the decoded data in memory, of which {pss:.0f} MB count as its share")


def main() -> None:
    """Prints everything."""
    described = machine.describe()
    print(
        f"{described['cpu']}, {described['cores']} cores, load at start {described['load']:.1f}, "
        f"Python {described['python']}, torch {described['torch']}"
    )
    with tempfile.TemporaryDirectory() as temporary:
        data = sys.argv[1:] or FULL_SIZE
        if "data=image_folder" in data:
            data += [f"data.cache={temporary}/cache"]
            seconds_of([*TRAIN, *data, *ONE_STEP, "data.test_size=100", f"out={temporary}/warm"])
        start_times(data, Path(temporary))
        memory(data, Path(temporary))


if __name__ == "__main__":
    main()
