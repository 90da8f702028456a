"""The progress that run.json records."""

import pytest

from cifar_resnet.training.progress import describe_progress


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
