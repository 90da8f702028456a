"""What is known about data sets without reading their images; doesn't import torch."""

from cifar_resnet.datasets.registry import DATASETS, DIGITS_TEST_IMAGES, DataSet, sizes_of
from cifar_resnet.datasets.sizes import Sizes, require_classes

__all__ = ["DATASETS", "DIGITS_TEST_IMAGES", "DataSet", "Sizes", "require_classes", "sizes_of"]
