"""The fixtures of the training tests: trainings and run folders."""

from tests.training.conftest import make_folder, restored_torch, training

__all__ = ["make_folder", "restored_torch", "training"]
