"""The data room: whole data sets as uint8 tensors, and the batches made of them."""

from cifar_resnet.training.data.augment import Draws, crop_and_flip, draw_epoch, normalise
from cifar_resnet.training.data.dataset import Dataset, Split, load, other_images

__all__ = ["Dataset", "Draws", "Split", "crop_and_flip", "draw_epoch", "load", "normalise", "other_images"]
