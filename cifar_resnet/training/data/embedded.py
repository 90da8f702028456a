"""The data sets that need no files: scikit-learn's digits, and synthetic images made from a seed."""

from __future__ import annotations

import numpy as np

from cifar_resnet.datasets import DIGITS_TEST_IMAGES
from cifar_resnet.run.schema import DataConfig
from cifar_resnet.training.data.source import Source, choose_balanced, make_source

_CLASSES = tuple(str(digit) for digit in range(10))


def read_digits(config: DataConfig, progress: bool) -> Source:
    """scikit-learn's 1,797 handwritten digits of 8×8 pixels: 1,437 for training and a fixed 360 for testing."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    test = choose_balanced(digits.target, DIGITS_TEST_IMAGES, [0])
    train = np.setdiff1d(np.arange(len(images)), test)
    return make_source((images[train], digits.target[train]), (images[test], digits.target[test]), _CLASSES)


def make_synthetic(config: DataConfig, progress: bool) -> Source:
    """Ten classes, each a coarse color pattern under heavy noise; `train_size` and `test_size` set how many images."""
    rng = np.random.default_rng(0)
    size = config.image_size or 32
    coarse = rng.uniform(-1, 1, (10, 4, 4, 3))
    repeat = -(-size // 4)
    patterns = coarse.repeat(repeat, axis=1).repeat(repeat, axis=2)[:, :size, :size].astype(np.float32)

    def make(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.permutation(np.arange(count) % 10)
        images = np.empty((count, size, size, 3), dtype=np.uint8)
        for begin in range(0, count, 1000):
            chunk = labels[begin : begin + 1000]
            noise = rng.standard_normal((len(chunk), size, size, 3), dtype=np.float32)
            images[begin : begin + 1000] = np.clip(128 + 30 * patterns[chunk] + 50 * noise, 0, 255)
        return images, labels

    return make_source(make(config.train_size or 50_000), make(config.test_size or 10_000), _CLASSES)
