"""Trainings and run folders, as the tests of training make them."""

from tests.training.conftest import make_folder, training

__all__ = ["make_folder", "training"]
