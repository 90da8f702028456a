"""Reproduce Deep Residual Learning on CIFAR-10: a sweep of plain, residual and pre-activation networks."""

__version__ = "0.1.0"
