"""Whole data sets as uint8 tensors, and the batches made from them."""

from cifar_resnet.training.data.augment import Draws, crop_and_flip, draw_epoch, normalise
from cifar_resnet.training.data.dataset import Dataset, load, other_images
from cifar_resnet.training.data.source import Split

__all__ = ["Dataset", "Draws", "Split", "crop_and_flip", "draw_epoch", "load", "normalise", "other_images"]
