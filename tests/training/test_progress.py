"""The progress that run.json records."""

import pytest

from cifar_resnet.training.progress import describe_progress, epoch_line


@pytest.mark.parametrize(
    ("seconds", "recent"),
    [([], 0.0), ([5.0, 7.0], 12.0), ([5.0, 1.0, 2.0, 3.0], 6.0), ([9.0, 9.0, 1.0, 2.0, 3.0], 6.0)],
)
def test_the_pace_is_that_of_the_last_three_epochs(training, seconds, recent):
    run = training("optim.epochs=6", "optim.lr=0.01")
    for _ in seconds:
        run.train_epoch(lambda: False)
    for row, spent in zip(run.history, seconds, strict=True):
        row.update(train_seconds=spent - 0.5, test_seconds=0.5)
    said = describe_progress(run)
    assert said["seconds"] == sum(seconds)
    assert said["pace"] == pytest.approx(recent / (min(3, len(seconds) or 1) * run.schedule.steps_per_epoch))


def test_the_epoch_begun_counts_with_its_steps(training):
    run = training("optim.epochs=6", "optim.lr=0.01", "optim.batch_size=8")
    run.train_epoch(lambda: run.step == 2)
    run.sums.seconds = 3.0
    assert describe_progress(run)["pace"] == 1.5


@pytest.mark.parametrize(
    ("errors", "shown"),
    [
        ({"test_error": 9.126}, "train error 12.35 %  test error 9.13 %"),
        ({"val_error": 8.0}, "train error 12.35 %  val error 8.00 %"),
        ({"val_error": 8.0, "test_error": 9.0}, "train error 12.35 %  val error 8.00 %  test error 9.00 %"),
    ],
)
def test_an_epochs_line_has_the_errors_of_the_splits_that_were_evaluated(errors, shown):
    row = {"epoch": 3, "lr": 0.0100, "train_loss": 0.12345, "train_error": 12.345001, "images_per_second": 1234.5}
    assert epoch_line({**row, **errors}, 164) == f"epoch 3/164  lr 0.01  train loss 0.1235  {shown}  1234 images/s"
