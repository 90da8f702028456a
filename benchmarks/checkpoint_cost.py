"""The cost of checkpointing: seconds to save a checkpoint, as a share of `runtime.checkpoint_seconds`.

    python benchmarks/checkpoint_cost.py [FOLDER]     # FOLDER: on the disk that runs are written to; default: here

Saves a checkpoint of each depth 20 times, including fsync, with a history of 164 epochs; prints the median and maximum.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from cifar_resnet.run.folder import RunDir
from cifar_resnet.training import checkpoint
from cifar_resnet.training.models import build_network

INTERVAL = 60.0
REPEATS = 20


def main() -> None:
    """Prints one row per depth."""
    print("depth  MB    median ms  worst ms  share of 60 s (median)")
    row = dict.fromkeys(("epoch", "step", "lr", "train_loss", "train_error", "test_loss", "test_error"), 0.123456)
    for depth in (20, 56, 110):
        network = build_network("resnet", depth)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
        network(torch.zeros(2, 3, 32, 32)).sum().backward()
        optimizer.step()
        state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "history": [row] * 164}
        seconds = []
        with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else ".") as folder:
            run = RunDir(Path(folder))
            for _ in range(REPEATS):
                begin = time.perf_counter()
                checkpoint.save(run, state)
                seconds.append(time.perf_counter() - begin)
            size = run.checkpoint.stat().st_size / 1e6
        median, worst = statistics.median(seconds), max(seconds)
        share = 100 * median / INTERVAL
        print(f"{depth:5}  {size:4.1f}  {1000 * median:9.1f}  {1000 * worst:8.1f}  {share:.3f} %")


if __name__ == "__main__":
    main()
