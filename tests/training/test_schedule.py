"""The learning rate of every step follows the recipe."""

import pytest
import torch

from cifar_resnet.run.schema import OptimConfig
from cifar_resnet.training.schedule import Schedule, Warmup, count_steps


def optim(**changes):
    values = {"epochs": 164, "iterations": None, "lr": 0.1, "gamma": 0.1, "milestones": [81, 122], **changes}
    values.setdefault("schedule", "step")
    return OptimConfig(**values)


def test_lab_recipe_drops_exactly_after_epochs_81_and_122():
    schedule = Schedule.of(optim(), steps_per_epoch=391)
    assert schedule.total_steps == 64_124
    rates = [schedule.lr_at(epoch * 391) for epoch in range(164)]
    assert rates[:81] == pytest.approx([0.1] * 81)
    assert rates[81:122] == pytest.approx([0.01] * 41)
    assert rates[122:] == pytest.approx([0.001] * 42)
    assert schedule.lr_at(81 * 391 - 1) == pytest.approx(0.1)


def test_paper_recipe_counts_iterations():
    schedule = Schedule.of(optim(epochs=None, iterations=64_000, milestones=[32_000, 48_000]), steps_per_epoch=391)
    assert (schedule.total_steps, schedule.epochs) == (64_000, 164)
    assert [schedule.lr_at(step) for step in (31_999, 32_000, 47_999, 48_000)] == pytest.approx(
        [0.1, 0.01, 0.01, 0.001]
    )
    assert schedule.epoch_end(0) == 391
    assert schedule.epoch_end(63_900) == 64_000


def test_one_cycle_climbs_to_the_peak_and_comes_down_without_a_step_at_0():
    recipe = optim(schedule="onecycle", epochs=4, lr=0.4, peak=0.25, milestones=[])
    schedule = Schedule.of(recipe, steps_per_epoch=2)
    rates = [schedule.lr_at(step) for step in range(8)]
    assert rates == pytest.approx([0.2, 0.4, *(0.4 * left / 6 for left in (6, 5, 4, 3, 2, 1))])


@pytest.mark.parametrize("peak", [0.0, 1.0])
def test_one_cycle_may_only_climb_or_only_come_down(peak):
    schedule = Schedule.of(optim(schedule="onecycle", epochs=4, peak=peak), steps_per_epoch=2)
    rates = [schedule.lr_at(step) for step in range(8)]
    assert max(rates) == pytest.approx(0.1)
    assert rates == sorted(rates, reverse=peak == 0.0)
    assert min(rates) > 0


def test_a_cosine_comes_down_slowly_at_both_ends_and_never_trains_at_0():
    schedule = Schedule.of(optim(schedule="cosine", epochs=4, lr=0.4), steps_per_epoch=2)
    rates = [schedule.lr_at(step) for step in range(8)]
    assert (rates[0], rates[4]) == pytest.approx((0.4, 0.2))
    assert [above + below for above, below in zip(rates[1:], rates[:0:-1], strict=True)] == pytest.approx([0.4] * 7)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] > 0
    assert rates[0] - rates[1] < rates[3] - rates[4]


def test_an_epoch_of_cifar10_has_391_steps():
    assert count_steps(50_000, 128) == 391


def test_a_last_batch_of_one_image_is_left_out():
    assert [count_steps(images, 10) for images in (19, 20, 21, 22, 1)] == [2, 2, 2, 3, 1]


def warm_steps(warmup, errors):
    factors = []
    for error in errors:
        factors.append(round(float(warmup.factor), 6))
        warmup.observe(torch.tensor(error))
        warmup.advance()
    return factors.count(0.1), factors


def test_automatic_warmup_is_for_110_layers_and_more():
    assert Warmup.of("auto", 56, 391).factor == 1.0
    assert Warmup.of("auto", 110, 391).factor == pytest.approx(0.1)


def test_automatic_warmup_ends_when_the_running_error_is_below_80_percent():
    # From 100 %, an error of 70 % brings the average 70 + 30·0.95^t below 80 % at t = 22.
    assert warm_steps(Warmup.of("auto", 110, 391), [70.0] * 391)[0] == 22


def test_one_lucky_batch_does_not_end_the_warmup():
    assert warm_steps(Warmup.of("auto", 110, 391), [0.0] + [90.0] * 390)[0] == 391


def test_automatic_warmup_lasts_one_epoch_at_most():
    count, factors = warm_steps(Warmup.of("auto", 110, 30), [90.0] * 60)
    assert count == 30
    assert factors[30:] == [1.0] * 30


@pytest.mark.parametrize(("setting", "steps"), [("none", 0), (0, 0), (7, 7)])
def test_warmup_of_a_number_of_iterations(setting, steps):
    assert warm_steps(Warmup.of(setting, 110, 391), [50.0] * 20)[0] == steps


def test_warmup_goes_on_from_its_state():
    warmup, other = Warmup.of("auto", 110, 391), Warmup.of("auto", 110, 391)
    warm_steps(warmup, [70.0] * 10)
    other.load(warmup.state())
    assert warm_steps(other, [70.0] * 30)[0] == 12


def test_a_warmup_that_has_ended_does_not_come_back_when_the_error_rises_again():
    count, factors = warm_steps(Warmup.of("auto", 110, 391), [50.0] * 30 + [100.0] * 361)
    assert factors == sorted(factors)
    assert 0 < count < 30


def test_a_warmup_of_a_number_of_iterations_does_not_watch_the_error():
    warmup = Warmup.of(7, 110, 391)
    assert not warmup.watches_error
    assert Warmup.of("auto", 110, 391).watches_error


def test_one_cycle_counted_in_steps_peaks_at_its_fraction_of_the_steps():
    recipe = optim(schedule="onecycle", epochs=None, iterations=10, lr=0.4, peak=0.4, milestones=[])
    schedule = Schedule.of(recipe, steps_per_epoch=3)
    rates = [schedule.lr_at(step) for step in range(10)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, *(0.4 * left / 6 for left in (6, 5, 4, 3, 2, 1))])
    assert [schedule.epoch_end(step) for step in (0, 2, 3, 9)] == [3, 3, 6, 10]
    assert schedule.epochs == 4


def test_gamma_and_milestones_are_the_recipes():
    schedule = Schedule.of(optim(epochs=6, gamma=0.5, milestones=[2, 3]), steps_per_epoch=10)
    assert [schedule.lr_at(step) for step in (19, 20, 29, 30, 59)] == pytest.approx([0.1, 0.05, 0.05, 0.025, 0.025])


def test_the_error_is_watched_until_the_warmup_ends_and_not_after():
    warmup, seen = Warmup.of("auto", 110, 3), []
    warmup.error.fill_(80.0)  # not below the threshold yet
    for _ in range(5):
        warmup.observe(torch.tensor(100.0))
        warmup.advance()
        seen.append(warmup.error.item())
    assert seen == pytest.approx([81.0, 81.95, 82.8525, 82.8525, 82.8525])


def test_the_whole_warmup_moves_to_a_device():
    warmup = Warmup.of("auto", 110, 3)
    warmup.to(torch.device("meta"))
    assert (warmup.error.device.type, warmup.factors.device.type) == ("meta", "meta")
