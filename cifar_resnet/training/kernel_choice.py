"""Chooses what computes a run's training steps: `runtime.kernels` and `runtime.compile`, as far as they apply.

On a GPU, `graph` launches each step as one CUDA graph. On a CPU, `fused` computes batch norm, addition and ReLU
together. `eager`, PyTorch's own kernels one by one, works everywhere. They round differently, so a run continues with
those that it began with.
"""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import torch
from torch import Tensor

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.programs import install
from cifar_resnet.run.schema import Config
from cifar_resnet.training.backend import compiled
from cifar_resnet.training.models import Network, block_named

COMPILED = "+compile"
"""Appended to the name of the kernels of a network that `torch.compile` compiled."""
COMPILING = "compiling kernels, once (up to a minute)"
_WIDTH = 16

log = logging.getLogger("cifar_resnet")


def choose(config: Config, network: Network, device: torch.device, begun: str | None = None) -> str:
    """The kernels to train with: graph, fused or eager, followed by `COMPILED` if the network is compiled.

    Where they are others than expected, the log says why, in one line.

    Args:
        config: the run's config.
        network: its network.
        device: where it is trained.
        begun: the kernels that an earlier part of the run used on the same kind of device; None for a new run.
    """
    wanted = config.runtime.kernels
    if wanted == "auto" and begun is not None:
        wanted = begun.removesuffix(COMPILED)
    if device.type == "cuda":
        if wanted == "fused":
            log.info("kernels: graph, because the fused ones are for CPUs")
        chosen = "eager" if wanted == "eager" else "graph"
    else:
        chosen = "eager" if wanted == "eager" else _fused_or_eager(config, network, wanted)
    chosen += COMPILED * config.runtime.compile
    if begun not in (None, chosen):
        log.warning(
            "kernels: %s from here on, %s before; the results are not those of a run with either", chosen, begun
        )
    return chosen


def begun_with(state: Mapping[str, Any], device: torch.device) -> str | None:
    """The kernels that a checkpoint's run used last; None if it was on another kind of device, or if it isn't known."""
    on_gpu = "cuda" in state.get("random", {})
    if on_gpu != (device.type == "cuda"):
        return None
    # Checkpoints from before there was a choice: on a CPU, there was only one kind of kernels.
    kernels = state.get("kernels", None if on_gpu else "eager")
    return None if kernels is None else str(kernels)


def forward_of(kernels: str, network: Network, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The network's forward pass in training with these kernels; it shares the network's weights."""
    if kernels.endswith(COMPILED):
        return compiled(network, device)
    if kernels == "fused":
        from cifar_resnet.training.fused import FusedNetwork

        return FusedNetwork(network)
    return network


def _fused_or_eager(config: Config, network: Network, wanted: str) -> str:
    reason = _why_not_fused(config, network, wanted)
    if reason is None:
        return "fused"
    log.info("kernels: eager, because %s", reason)
    return "eager"


def _why_not_fused(config: Config, network: Network, wanted: str) -> str | None:
    """Why a run on a CPU can't use the fused kernels, or why they wouldn't pay; None if it uses them."""
    if config.runtime.compile:
        return "runtime.compile=true replaces the fused ones"
    if wanted == "auto" and torch.get_num_threads() > 1:
        return f"the fused ones use one thread, and the run has {torch.get_num_threads()}"
    try:
        from cifar_resnet.training import fused
    except ImportError as error:
        return f"the fused ones need Numba ({error}); the extra fast installs it: {install('fast')}"
    except RuntimeError as error:
        return f"Numba finds no folder for its cache ({error}); NUMBA_CACHE_DIR sets one"
    lacking = fused.uncovered(network)
    if lacking is not None:
        return f"the fused ones don't cover {lacking}"
    with compiled_once():
        agrees = fused.agrees(config.model.name, config.model.shortcut, config.model.width, config.precision)
    return None if agrees else "the fused ones don't compute what the network's modules do"


@contextmanager
def compiled_once() -> Iterator[None]:
    """Whatever Numba compiles inside, it compiles in one process at a time, so that the others find it in the cache."""
    from numba.core import event

    from cifar_resnet.training import kernels

    class Announcement(event.Listener):
        has_begun = False

        def on_start(self, event: Any) -> None:
            if not self.has_begun:
                log.info(COMPILING)
            self.has_begun = True

        def on_end(self, event: Any) -> None:
            pass

    cache = Path(kernels.forward.stats.cache_path)
    cache.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(cache / "kernels.lock"), event.install_listener("numba:compile", Announcement()):
        yield


def compile_all(precisions: Sequence[str]) -> None:
    """Compiles the fused kernels for runs in these precisions, unless they are in Numba's cache."""
    from cifar_resnet.training import fused

    with compiled_once():
        for precision, model in itertools.product(precisions, ARCHITECTURES):
            if block_named(model) in fused.BLOCKS:
                # What is compiled depends on the model's additions, not on its size.
                fused.agrees(model, "A", _WIDTH, precision)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    compile_all(sys.argv[1:])
