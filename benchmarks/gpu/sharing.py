"""Measures runs that share a GPU: images/s of each network while all of them train, with and without MPS.

    python benchmarks/gpu/sharing.py --networks resnet-20 resnet-20 resnet-20 resnet-20
    python benchmarks/gpu/sharing.py --mps --networks plain-20 plain-56 plain-110 resnet-20 resnet-56 resnet-110

Each network trains in a separate process, as in a sweep with that `runtime.runs_per_gpu`. MPS is NVIDIA's service that
lets kernels of several processes run concurrently; without it, the processes take turns.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

STEPS = Path(__file__).parent / "steps.py"


@contextlib.contextmanager
def mps(wanted: bool) -> Iterator[dict[str, str]]:
    """Starts an MPS server and yields the environment for its processes; stops the server at the end."""
    if not wanted:
        yield dict(os.environ)
        return
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        subprocess.run(["nvidia-cuda-mps-control", "-d"], env=environment, check=True)
        try:
            yield environment
        finally:
            subprocess.run(["nvidia-cuda-mps-control"], input="quit", text=True, env=environment, check=False)


def main() -> None:
    """Measures and prints one row per network and their sum."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["resnet-20"])
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--kernels", default="graph")
    parser.add_argument("--mps", action="store_true")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--prepare", type=float, default=20, help="seconds before the measurement starts")
    parser.add_argument("--json", type=Path, help="file to append the row to")
    options = parser.parse_args()
    with mps(options.mps) as environment:
        command = [sys.executable, str(STEPS), "--precisions", options.precision, "--kernels", options.kernels]
        command += ["--at", str(time.time() + options.prepare), "--seconds", str(options.seconds)]
        running = [
            subprocess.Popen([*command, "--networks", network], env=environment, stdout=subprocess.PIPE, text=True)
            for network in options.networks
        ]
        rows = [json.loads(process.communicate()[0].strip().splitlines()[-1]) for process in running]
    late = [row["network"] for row in rows if row.get("prepare_seconds", 0) > options.prepare - 4]
    total = {
        "mps": options.mps,
        "precision": options.precision,
        "kernels": options.kernels,
        "images_per_second": sum(row.get("images_per_second", 0) for row in rows),
        "runs": [[row["network"], row.get("ms_per_step"), row.get("memory_mb"), row.get("error")] for row in rows],
        "late": late,
    }
    print(json.dumps(total), flush=True)
    if options.json:
        with options.json.open("a") as file:
            file.write(json.dumps(total) + "\n")


if __name__ == "__main__":
    main()
