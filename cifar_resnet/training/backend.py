"""Sets up torch for a run: threads, fp32 precision on a GPU, choice of algorithms, compilation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cifar_resnet.devices import check_support, count_cores, driver_fault, unusable, visible_gpus
from cifar_resnet.errors import ConfigError
from cifar_resnet.run.schema import Config
from cifar_resnet.training.models import Network

# Block shapes of one network, with and without gradients, for each batch size in an epoch.
_SHAPES_OF_BLOCKS = 64


def choose_device(device: str) -> torch.device:
    """The device that `runtime.device` selects.

    Raises:
        ConfigError: a GPU is requested but torch finds none, or there is one that torch can't use.
    """
    available = torch.cuda.is_available()
    if device != "cpu" and not available and torch.version.cuda is not None and visible_gpus():
        raise unusable(device, driver_fault() or "torch.cuda.is_available() is false")
    if device == "cuda" and not available:
        raise ConfigError("runtime.device=cuda: torch finds no GPU here; expected one, or runtime.device=cpu")
    return torch.device("cuda" if device != "cpu" and available else "cpu")


def set_up(config: Config) -> tuple[torch.device, int]:
    """Sets torch's global switches according to the config; returns the device and the number of CPU threads.

    Raises:
        ConfigError: the device, the precision or the kernels are impossible here.
    """
    device, runtime = choose_device(config.runtime.device), config.runtime
    capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else None
    check_support(config.precision, runtime.kernels, capability)
    threads = runtime.threads or count_cores()
    torch.set_num_threads(threads)
    # By default, cuDNN rounds to TF32, so fp32 would not be true fp32.
    torch.backends.cudnn.allow_tf32 = config.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = config.precision == "tf32"
    # cuDNN searches for the fastest algorithm once per shape; a run has three. The choice can change the exact bits.
    torch.backends.cudnn.benchmark = not runtime.deterministic
    # Called only if it changes something: it imports the compiler, which takes a second at every start.
    if torch.are_deterministic_algorithms_enabled() != runtime.deterministic:
        torch.use_deterministic_algorithms(runtime.deterministic)
    return device, threads


def compiled(network: Network, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The network's forward pass through torch.compile; it shares the network's weights."""
    if device.type == "cpu":
        whole: Callable[[Tensor], Tensor] = torch.compile(network, dynamic=False)
        return whole
    # Block by block: blocks of the same shape share compiled code, and a 110-layer network has only five block shapes.
    # `training.graph` captures the whole step as a CUDA graph.
    settings: Any = torch._dynamo.config
    limit = "recompile_limit" if hasattr(settings, "recompile_limit") else "cache_size_limit"  # up to PyTorch 2.5
    setattr(settings, limit, max(getattr(settings, limit), _SHAPES_OF_BLOCKS))
    twin = copy.copy(network)
    twin._modules = dict(network._modules)
    blocks: Any = [torch.compile(block, dynamic=False) for block in network.blocks]
    twin.blocks = nn.Sequential(*blocks)
    return twin
