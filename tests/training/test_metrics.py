"""The headline numbers of a run and the digits of its table."""

import csv

from cifar_resnet.training import metrics

HISTORY = [
    {"epoch": 1, "lr": 0.1, "train_loss": 2.0, "train_error": 80.0, "test_loss": 2.1, "test_error": 81.0},
    {"epoch": 2, "lr": 0.1, "train_loss": 1.0, "train_error": 40.0, "test_loss": 1.1, "test_error": 41.0},
    {"epoch": 3, "lr": 0.1, "train_loss": 0.9, "train_error": 30.0, "test_loss": 1.0, "test_error": 41.0},
    {"epoch": 4, "lr": 0.1, "train_loss": 0.8, "train_error": 20.0, "test_loss": 1.2, "test_error": 45.0},
]


def test_the_outcome_is_that_of_the_last_epoch_beside_the_first_best_on_the_test_set():
    assert metrics.outcome(HISTORY) == {
        "train_loss": 0.8,
        "train_error": 20.0,
        "test_loss": 1.2,
        "test_error": 45.0,
        "best_test_error": 41.0,
        "best_epoch": 2,
    }


def test_with_a_holdout_the_best_epoch_is_chosen_on_it():
    history = [
        {"epoch": 1, "train_error": 9.0, "val_error": 3.0},
        {"epoch": 2, "train_error": 8.0, "val_error": 4.0, "test_error": 5.0},
    ]
    assert metrics.outcome(history) == {
        "train_error": 8.0,
        "val_error": 4.0,
        "test_error": 5.0,
        "best_val_error": 3.0,
        "best_epoch": 1,
    }


def test_a_row_is_rounded_to_its_meaningful_digits():
    third = 1 / 3
    row = {"epoch": 3, "lr": third, "train_loss": third, "test_error": third, "train_seconds": third}
    assert metrics.rounded({**row, "test_seconds": third, "images_per_second": third}) == {
        "epoch": 3,
        "lr": 0.333333333333,
        "train_loss": 0.333333,
        "test_error": 0.333333,
        "train_seconds": 0.333,
        "test_seconds": 0.333,
        "images_per_second": 0.3,
    }


def test_the_table_has_columns_for_the_holdout_only_with_one(tmp_path):
    for holdout in (False, True):
        metrics.write(tmp_path / "metrics.csv", HISTORY[:1], holdout)
        (row,) = csv.DictReader((tmp_path / "metrics.csv").open())
        assert tuple(row) == metrics.columns(holdout)
        assert ("val_error" in row) == ("val_loss" in row) == holdout
        assert (row["epoch"], row["test_error"], row["images_per_second"]) == ("1", "81.0", "")
