"""Sets torch up for a run: threads, what fp32 means on a GPU, the choice of its algorithms, compilation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cifar_resnet.devices import count_cores
from cifar_resnet.errors import ConfigError
from cifar_resnet.run.config import Config
from cifar_resnet.training.models import Network

# Of a network, with and without gradients, for each of the batch sizes that an epoch has.
_SHAPES_OF_BLOCKS = 64


def choose_device(device: str) -> torch.device:
    """The device that `runtime.device` asks for.

    Raises:
        ConfigError: a GPU is asked for where torch sees none.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ConfigError("runtime.device=cuda: torch sees no GPU here; expected one, or runtime.device=cpu")
    return torch.device("cuda" if device != "cpu" and available else "cpu")


def set_up(config: Config) -> tuple[torch.device, int]:
    """Sets torch's global switches as the run's config says; returns its device and number of CPU threads.

    Raises:
        ConfigError: a GPU is asked for where torch sees none.
    """
    device, runtime = choose_device(config.runtime.device), config.runtime
    threads = runtime.threads or count_cores()
    torch.set_num_threads(threads)
    # cuDNN rounds to TF32 unless told not to: fp32 would not be what it says.
    torch.backends.cudnn.allow_tf32 = config.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = config.precision == "tf32"
    # The fastest algorithm is looked for once a shape, of which a run has three; which one wins may change the bits.
    torch.backends.cudnn.benchmark = not runtime.deterministic
    # Only where it changes something: the call imports the compiler, which costs a second at every start.
    if torch.are_deterministic_algorithms_enabled() != runtime.deterministic:
        torch.use_deterministic_algorithms(runtime.deterministic)
    return device, threads


def compiled(network: Network, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The network's forward pass through torch.compile; it shares the network's weights."""
    if device.type == "cpu":
        whole: Callable[[Tensor], Tensor] = torch.compile(network, dynamic=False)
        return whole
    # Block by block: blocks of the same shape share their code, and a network of 110 layers has five shapes of them.
    # CUDA graphs come from `training.graph`, around the whole step.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _SHAPES_OF_BLOCKS)
    twin = copy.copy(network)
    twin._modules = dict(network._modules)
    blocks: Any = [torch.compile(block, dynamic=False) for block in network.blocks]
    twin.blocks = nn.Sequential(*blocks)
    return twin
