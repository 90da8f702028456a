"""A CIFAR ResNet trainer written like most public ones, as a reference for this project's speed.

It uses torchvision's CIFAR10 with PIL transforms per image, a DataLoader, an eager network in PyTorch's default memory
layout with out-of-place ReLU, torch.optim.SGD with its defaults, and `.item()` on loss and accuracy after every step.
The code is careful; nothing is slow on purpose.

    python benchmarks/reference_trainer.py MODEL DEPTH PRECISION IMAGES EPOCHS WORKERS THREADS [DEVICE]

Trains on synthetic images of CIFAR-10's size and prints one line of JSON: images/s for each epoch.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from cifar_resnet.training.data.cifar import import_torchvision

_torchvision = import_torchvision()
datasets, transforms = _torchvision.datasets, _torchvision.transforms

BATCH = 128
MEAN, STD = (0.4914, 0.4824, 0.4467), (0.2471, 0.2435, 0.2616)


class Block(nn.Module):
    """Two 3×3 convolutions with batch norm, with or without the option A shortcut."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, residual: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.residual, self.stride, self.extra = residual, stride, channels_out - channels_in

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H/stride, W/stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.residual:
            if self.extra or self.stride > 1:
                x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))
            out = out + x
        return F.relu(out)


class PreActBlock(Block):
    """BN–ReLU–conv twice."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, first: bool) -> None:
        super().__init__(channels_in, channels_out, stride, residual=True)
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H/stride, W/stride)."""
        activated = F.relu(self.bn1(x))
        shortcut = activated if self.first else x
        if self.extra or self.stride > 1:
            shortcut = F.pad(shortcut[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))
        return self.conv2(F.relu(self.bn2(self.conv1(activated)))) + shortcut


class Reference(nn.Module):
    """The network of depth 6n+2; its parameters have the same names as this project's, so that it can load them."""

    def __init__(self, model: str, depth: int) -> None:
        super().__init__()
        self.preact = model == "preact"
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        blocks: list[nn.Module] = []
        channels = 16
        for stage, width in enumerate((16, 32, 64)):
            for index in range((depth - 2) // 6):
                stride = 2 if stage and not index else 1
                if self.preact:
                    blocks.append(PreActBlock(channels, width, stride, first=not blocks))
                else:
                    blocks.append(Block(channels, width, stride, model == "resnet"))
                channels = width
        self.bn = nn.BatchNorm2d(64 if self.preact else 16)
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) → logits (B, 10)."""
        x = self.conv1(x)
        x = F.relu(self.bn(self.blocks(x))) if self.preact else self.blocks(F.relu(self.bn(x)))
        x = F.avg_pool2d(x, x.shape[3])
        return self.linear(x.view(x.shape[0], -1))


class Synthetic(datasets.CIFAR10):
    """Reads images like torchvision's CIFAR10, but from generated data instead of a download."""

    def __init__(self, images: np.ndarray, labels: list[int], transform: Callable[..., Tensor]) -> None:
        self.data, self.targets = images, labels
        self.transform, self.target_transform = transform, None


def make_loader(images: int, workers: int, pinned: bool = False) -> DataLoader:
    """Batches of randomly cropped, mirrored and normalized images."""
    rng = np.random.default_rng(0)
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, 4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    pixels = rng.integers(0, 256, (images, 32, 32, 3), dtype=np.uint8)
    dataset = Synthetic(pixels, rng.integers(0, 10, images).tolist(), transform)
    return DataLoader(
        dataset, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0, pin_memory=pinned
    )


def make_step(
    network: nn.Module, lr: float, bf16: bool, device: str = "cpu"
) -> Callable[[Tensor, Tensor], tuple[float, float]]:
    """A training step: images (B, 3, H, W) and labels (B,) → loss and accuracy in percent."""
    optimizer = torch.optim.SGD(network.parameters(), lr=lr, momentum=0.9, weight_decay=1e-4)
    criterion = nn.CrossEntropyLoss()

    def step(images: Tensor, labels: Tensor) -> tuple[float, float]:
        images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            output = network(images)
            loss = criterion(output, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        accuracy = (output.argmax(1) == labels).float().mean() * 100
        return loss.item(), accuracy.item()

    return step


def main(
    model: str, depth: int, precision: str, images: int, epochs: int, workers: int, threads: int, device: str = "cpu"
) -> None:
    """Trains and prints images/s for each epoch."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    network = Reference(model, depth).to(device)
    network.train()
    step = make_step(network, 0.01, precision == "bf16", device)
    loader, rates = make_loader(images, workers, pinned=device == "cuda"), []
    for _ in range(epochs):
        begin, losses, accuracies = time.perf_counter(), [], []
        for batch, labels in loader:
            loss, accuracy = step(batch, labels)
            losses.append(loss)
            accuracies.append(accuracy)
        rates.append(images / (time.perf_counter() - begin))
    print(json.dumps({"images_per_second": rates, "loss": float(np.mean(losses))}))


if __name__ == "__main__":
    name, *numbers = sys.argv[1:]
    main(name, int(numbers[0]), numbers[1], *map(int, numbers[2:6]), *numbers[6:])
