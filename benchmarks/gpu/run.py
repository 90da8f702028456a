"""Checks and measures this project on a GPU within a given time, in order of importance.

    python benchmarks/gpu/run.py --minutes 5 --out gpu-results            # correctness, speed, sharing
    python benchmarks/gpu/run.py --minutes 9 --out gpu-results --stages train --images FOLDER \
        --networks preact-110 preact-20,preact-56 resnet-56:precision=tf32

Each stage prints its results as it runs and writes JSON lines or a log to the folder. A stage that doesn't fit into the
remaining time is skipped, and the last line names it. `train` trains the lists of networks in parallel, each list
sequentially, with the lab's recipe in bf16 or what follows a network's colons, until the time is over; the same
command continues them. `recipes` searches the values of a recipe for few epochs on held-out images. With --tiny, it
also runs on a CPU, as a self-test.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sharing import mps

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NINE = [f"{model}-{depth}" for model in ("plain", "resnet", "preact") for depth in (20, 56, 110)]
# A fifth of the lab's 164 epochs, for each combination of these values. Muon is first, because it was better in a trial
# of 8 epochs.
SEARCHED = {
    "muon": ["optim.lr=0.2,0.5", "optim.weight_decay=2e-3,5e-3", "optim.label_smoothing=0,0.1"],
    "onecycle": ["optim.lr=0.1,0.2", "optim.weight_decay=2e-4,5e-4", "optim.label_smoothing=0,0.1"],
}
FEW_EPOCHS = 33
# A run that is asked to stop writes its checkpoint within this time.
STOPPING_SECONDS = 20


@dataclass(frozen=True)
class Stage:
    """A command, and the seconds that it may take."""

    seconds: float
    command: list[str]


def python(script: str, *arguments: str) -> list[str]:
    """The command for one of this folder's scripts."""
    return [sys.executable, str(HERE / script), *arguments]


def stages(options: argparse.Namespace) -> dict[str, Stage]:
    """All stages that are commands, by name, in order of importance."""
    out, tiny = options.out, options.tiny
    networks = ["resnet-8"] if tiny else ["resnet-20", "resnet-110"]
    few = ["--images", "640", "--warmup", "1", "--steps", "2"] if tiny else ["--steps", "60"]
    steps = ["--networks", *networks, *few, "--json", str(out / "steps.jsonl")]
    others = ["eager"] if tiny else ["eager", "compile+graph"]
    shared = ["--networks", *(networks * 2 if tiny else NINE), "--json", str(out / "sharing.jsonl")]
    shared += ["--prepare", "20", "--seconds", "1", "--precision", "fp32"] if tiny else ["--prepare", "26"]
    usual = [sys.executable, str(ROOT / "benchmarks" / "reference_trainer.py"), "resnet", "8" if tiny else "20"]
    usual += ["fp32", "256", "2", "0", "1", "cpu"] if tiny else ["tf32", "25600", "2", "8", "8", "cuda"]
    tests = [sys.executable, "-m", "pytest", "-v", "-m", "cuda"]
    parallel = ["-n", "0" if tiny else "8"]
    profile = [] if tiny else ["--profile"]
    found = {
        "correctness": Stage(110, [*tests, *parallel, str(ROOT / "tests" / "training" / "test_graph.py")]),
        "graph": Stage(60, python("steps.py", *steps, "--kernels", "graph", *profile)),
        "kernels": Stage(110, python("steps.py", *steps, "--kernels", *others)),
        "usual": Stage(45, usual),
        "precisions": Stage(
            110,
            python(
                "steps.py", *steps, "--kernels", "graph", "--precisions", "fp32", "tf32", "--layouts", "NHWC", "NCHW"
            ),
        ),
        "kills": Stage(150, [*tests, *parallel, str(ROOT / "tests" / "integration" / "test_kills.py")]),
        "sharing": Stage(60, python("sharing.py", *shared)),
        "sharing-mps": Stage(60, python("sharing.py", "--mps", *shared)),
    }
    return {name: stage for name, stage in found.items() if not (tiny and name in ("precisions", "sharing-mps"))}


def run(name: str, stage: Stage, out: Path, seconds: float) -> None:
    """Runs a stage for at most its own time and the given seconds; shows and stores its output."""
    print(f"== {name}", flush=True)
    log = out / f"{name}.log"
    with log.open("w") as file:
        process = subprocess.Popen(stage.command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        timer = threading.Timer(min(stage.seconds, seconds), process.kill)
        timer.start()
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            file.write(line)
        code = process.wait()
        timer.cancel()
    print(f"== {name}: {'ok' if code == 0 else f'ended with {code}'}", flush=True)


def settings(options: argparse.Namespace) -> list[str]:
    """The overrides of all trainings on the images."""
    images = [
        "data=image_folder",
        "data.name=cifar10",
        f"data.root={options.images}",
        f"data.cache={options.out}/cache",
    ]
    shared = [*(images if options.images else ["data=digits"]), f"out={options.out / 'outputs'}", "runtime.threads=1"]
    tiny = ["optim.epochs=1", "model.width=4"] if options.tiny else ["precision=bf16", "runtime.compile=true"]
    return [*shared, *tiny, "runtime.progress=false", "runtime.runs_per_gpu=16", f"seed={options.seed}"]


def train_until(
    over: Callable[[], bool], name: str, arguments: list[str], out: Path, environment: dict[str, str]
) -> None:
    """Runs train.py, stops it once the time is over, and prints the last line of its log."""
    log = out / f"{name}.log"
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    with log.open("w") as file:
        # A separate process group, so that a run's worker can be stopped with it.
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True, cwd=out)
        while process.poll() is None:
            time.sleep(0.5)
            if over():
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(STOPPING_SECONDS)
    last = log.read_text().strip().splitlines()
    print(f"{name}: {last[-1] if last else 'no output'}", flush=True)


def train(options: argparse.Namespace, over: Callable[[], bool]) -> None:
    """Trains the networks of each list sequentially, and the lists in parallel, until the time is over."""

    def chain(networks: str, environment: dict[str, str]) -> None:
        for network in networks.split(","):
            name, *more = network.split(":")
            model, depth = name.split("-")
            chosen = [*settings(options), f"model={model}", f"depth={depth}", "diagnostics.enabled=true", *more]
            train_until(over, network, chosen, options.out, environment)
            if over():
                return

    with mps(not options.tiny) as environment:
        chains = [threading.Thread(target=chain, args=(networks, environment)) for networks in options.networks]
        for thread in chains:
            thread.start()
        for thread in chains:
            thread.join()


def search_recipe(options: argparse.Namespace, over: Callable[[], bool]) -> None:
    """Trains resnet-20 in few epochs with all combinations of each recipe's searched values, on 45,000 images."""
    with mps(not options.tiny) as environment:
        for recipe, values in SEARCHED.items():
            searched = ["depth=8", "optim.lr=0.1,0.2"] if options.tiny else ["depth=20", *values]
            chosen = ["-m", *searched, f"optim={recipe}", f"optim.epochs={FEW_EPOCHS}", *settings(options)]
            chosen += [f"data.holdout={100 if options.tiny else 5000}"]
            train_until(over, f"recipes-{recipe}", chosen, options.out, environment)
            if over():
                return


def main() -> None:
    """Runs the requested stages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5, help="time limit for all stages together (default: 5)")
    parser.add_argument("--out", type=Path, default=Path("gpu-results"), help="folder (default: gpu-results)")
    parser.add_argument("--stages", nargs="+", help="stages to run, also train and recipes (default: all except these)")
    parser.add_argument(
        "--networks",
        nargs="+",
        default=["resnet-110"],
        help="lists for train, each joined by commas: model-depth[:key=value]",
    )
    parser.add_argument("--images", type=Path, help="folder of CIFAR-10 for train (default: digits)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true", help="small numbers for a test of this program on a CPU")
    options = parser.parse_args()
    options.out = options.out.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * options.minutes
    known, skipped = stages(options), []
    trainings = {"train": train, "recipes": search_recipe}
    for name in options.stages or known:
        left = end - time.monotonic()
        if name in trainings:
            trainings[name](options, lambda: time.monotonic() > end - STOPPING_SECONDS - 10)
        elif left > known[name].seconds / 2:
            run(name, known[name], options.out, left)
        else:
            skipped.append(name)
    if shutil.which("nvidia-smi"):
        subprocess.run(
            ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"], check=False
        )
    print(f"skipped for lack of time: {', '.join(skipped) or 'none'}")


if __name__ == "__main__":
    main()
