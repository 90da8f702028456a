"""Known runs give known cells in every format."""

import io
import itertools
from pathlib import Path

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from cifar_resnet.optimizers import OPTIMIZERS
from cifar_resnet.report import escaping, tables
from cifar_resnet.report.runs import load
from cifar_resnet.report.tables.table import Table
from cifar_resnet.schedules import SCHEDULES
from tests.report.conftest import CIFAR10_FOLDER

REAL = {"data__kind": "cifar10", "data__name": "cifar10"}


def rows(table):
    return table.frame.to_dict("records")


def test_mean_deviation_and_median_over_seeds_are_those_worked_by_hand(make_run, tmp_path):
    for seed, final in enumerate((6.0, 7.0, 9.5)):
        make_run(f"r{seed}", [5.0, final], seed=seed)
    table = tables.main(load.load([tmp_path]), "digits")
    # (6 + 7 + 9.5) / 3 = 7.5; deviations -1.5, -0.5, 2: squares 2.25 + 0.25 + 4 = 6.5, over 2 = 3.25, root 1.803
    (row,) = rows(table)
    assert row["final test error (%)"] == "7.5 ± 1.8"
    assert (row["runs finished"], row["median (%)"]) == ("3 of 3", "7.0")
    assert row["best epoch's test error (%), selected on the test set"] == "5.0 ± 0.0"
    assert row["final training error (%)"] == "8.50 ± 1.80"
    numbers = pd.read_csv(io.StringIO(table.to_csv())).iloc[0]
    assert numbers["test_error_std"] == pytest.approx(1.8028, abs=1e-4)
    assert "One of 360 test images is 0.28 %" in table.note


@pytest.mark.parametrize(("length", "rest"), [(25, "only 1 of 12 steps"), (36, ""), (None, "")])
def test_a_training_error_over_a_part_of_an_epoch_is_marked(make_run, tmp_path, length, rest):
    epochs = 2 if length is None else None
    progress = {"step": length or 24, "steps": length or 24, "steps_per_epoch": 12}
    make_run("a", [6.0], optim__iterations=length, optim__epochs=epochs, status={"progress": progress})
    note = tables.main(load.load([tmp_path]), "digits").note
    assert ("last epoch has" in note) is bool(rest) and rest in note


def test_one_seed_has_no_deviation_and_no_median_of_its_own(make_run, tmp_path):
    make_run("a", [8.754], **REAL)
    (row,) = rows(tables.main(load.load([tmp_path]), "cifar10"))
    assert row["final test error (%)"] == "8.75"
    assert "median (%)" not in row


def test_published_values_are_shown_for_cifar10(make_run, tmp_path):
    for seed, error in enumerate((6.9, 7.1)):
        make_run(f"r{seed}", [error], seed=seed, depth=110, **REAL)
    make_run("p", [9.0], model="plain", **REAL)
    table = tables.beside_published(load.load([tmp_path]), "cifar10")
    (residual,) = rows(table)
    assert residual["ours (%)"] == "7.00 ± 0.14"
    assert (residual["paper (%)"], residual["ours − paper (points)"]) == ("6.61 ± 0.16", "+0.39")
    assert (residual["lab (%)"], residual["ours − lab (points)"]) == ("6.05", "+0.95")
    assert residual["others (%)"] == "6.32; 6.52"
    # An accuracy of 93.0 %, not over it.
    assert residual["lab's mark"] == "90"
    assert "1512.03385" in table.note and "The lab's mark for resnet-110: 100 for an accuracy above 93 %" in table.note
    assert table.numbers.iloc[0]["paper_difference"] == pytest.approx(0.39)


@pytest.mark.parametrize("sizes", [{"test_images": 1000, "train_images": 50_000}, {"test_images": 10_000}])
def test_a_part_of_cifar10_has_none(make_run, tmp_path, sizes):
    make_run("a", [7.0], depth=110, status={"data": sizes}, **REAL)
    runs = load.load([tmp_path])
    assert tables.beside_published(runs, "cifar10") is None
    assert "these runs used fewer" in tables.main(runs, "cifar10").note


FOLDER = {"depth": 110, "data__kind": "image_folder", "data__name": "mine"}


@pytest.mark.parametrize("changes", [{}, {"is_cifar10": True, "train_images": 45_000, "mean": [0.5, 0.5, 0.5]}])
def test_published_values_are_shown_for_a_folder_of_the_same_images(make_run, tmp_path, changes):
    make_run("a", [7.0], status={"data": CIFAR10_FOLDER | changes}, **FOLDER)
    table = tables.beside_published(load.load([tmp_path]), "mine")
    (row,) = rows(table)
    assert (row["paper (%)"], row["ours − paper (points)"], row["lab's mark"]) == ("6.61 ± 0.16", "+0.39", "90")
    assert table.title == "Final test errors on CIFAR-10 (mine) beside published ones"
    assert ("trained on all 50,000 images, some or all of these on only 45,000" in table.note) is bool(changes)


@pytest.mark.parametrize("changes", [{"std": [0.2458, 0.2421, 0.2604]}, {"is_cifar10": False}])
def test_jpeg_copies_called_cifar10_have_none(make_run, tmp_path, changes):
    make_run("a", [7.0], status={"data": CIFAR10_FOLDER | changes}, **FOLDER | {"data__name": "cifar10"})
    runs = load.load([tmp_path])
    assert tables.beside_published(runs, "cifar10") is None
    table = tables.main(runs, "cifar10")
    assert "lossless" in table.note
    assert table.title == "Results on cifar10"


def test_resized_images_of_cifar10_have_none(make_run, tmp_path):
    make_run("a", [7.0], depth=110, data__image_size=16, **REAL)
    assert tables.beside_published(load.load([tmp_path]), "cifar10") is None


def test_unfinished_runs_are_listed_and_not_counted(make_run, tmp_path):
    make_run("a", [6.0])
    make_run("b", [90.0], seed=1, state="diverged", status={"reason": "the loss is not finite"})
    runs = load.load([tmp_path])
    assert rows(tables.main(runs, "digits"))[0]["final test error (%)"] == "6.0"
    (left,) = rows(tables.left_out(runs, "digits"))
    assert (left["state"], left["reason"]) == ("diverged", "after one epoch: the loss is not finite")
    assert left["folder"].endswith("runs/b")


def test_without_a_finished_run_there_are_no_results(make_run, tmp_path):
    make_run("a", [6.0], state="failed")
    names = [table.name for table in tables.all_tables(load.load([tmp_path]), "digits")]
    assert names == ["hyperparameters", "runs", "left-out"]


def test_every_table_has_a_known_name(make_run, tmp_path):
    make_run("a", [6.0])
    make_run("b", [6.0], depth=56, optim__lr=0.05)
    make_run("c", [6.0], depth=56)
    make_run("d", [6.0], depth=56, state="failed", seed=1)
    made = [table.name for table in tables.all_tables(load.load([tmp_path]), "digits")]
    # These runs have no predictions, hold out no images, aren't on CIFAR-10 and aren't a search; see other tests.
    others = ("class-errors", "validation-error", "best-validation-error", "published", "search")
    assert made == [name for name in tables.NAMES if name not in others]


def test_the_grid_has_models_down_and_depths_across(make_run, tmp_path):
    make_run("a", [6.0])
    make_run("b", [7.0], depth=56)
    make_run("c", [8.0], depth=56, seed=1)
    make_run("d", [9.0], model="plain")
    table = tables.grid(load.load([tmp_path]), "digits", "test_error")
    assert rows(table) == [
        {"model": "plain", "20 layers": "9.0 (n=1)", "56 layers": "–"},
        {"model": "resnet", "20 layers": "6.0 (n=1)", "56 layers": "7.5 ± 0.7 (n=2)"},
    ]


def test_an_ablation_is_not_averaged(make_run, tmp_path):
    make_run("a", [6.0], optim__lr=0.1)
    make_run("b", [8.0], optim__lr=0.05)
    found = {row["setting"]: row["final test error (%)"] for row in rows(tables.main(load.load([tmp_path]), "digits"))}
    assert found == {"lr=0.05": "8.0", "lr=0.1": "6.0"}


def test_neighbors_are_compared_over_all_seeds(make_run, tmp_path):
    for seed, (plain, residual) in enumerate([(10.0, 8.0), (11.0, 9.5), (12.0, 10.0)]):
        make_run(f"p{seed}", [plain], model="plain", seed=seed, **REAL)
        make_run(f"r{seed}", [residual], model="resnet", seed=seed, **REAL)
    table = tables.comparison(load.load([tmp_path]), "cifar10")
    test, train = rows(table)
    assert "makes 2 comparisons" in table.note
    # Variances 1 and 1.0833, error √(2.0833/3) = 0.8333; t(4.0, 98.75 %) = 3.4976.
    assert test["difference (points)"] == "−1.83"
    assert test["corrected interval (points)"] == "−4.75 to +1.08"
    assert (test["seeds"], test["verdict"], test["measure"]) == ("3", "inconclusive", "test error")
    assert (train["from"], train["to"], train["measure"]) == ("plain-20", "resnet-20", "training error")
    assert table.numbers.iloc[0]["low"] == pytest.approx(-1.8333 - 3.4976 * 0.8333, abs=1e-3)
    assert table.numbers.iloc[0]["level"] == 0.025


def test_seeds_that_draw_the_images_are_compared_in_pairs(make_run, tmp_path):
    for seed, (plain, residual) in enumerate([(10.0, 8.0), (11.0, 9.5), (12.0, 10.0)]):
        make_run(f"p{seed}", [plain], model="plain", seed=seed, data__train_size=5000, **REAL)
        make_run(f"r{seed}", [residual], model="resnet", seed=seed, data__train_size=5000, **REAL)
    (test, _) = rows(tables.comparison(load.load([tmp_path]), "cifar10"))
    # Differences -2, -1.5, -2: mean -1.8333, error 0.16667; times t(2, 98.75 %) = 6.2053: ±1.0342.
    assert test["corrected interval (points)"] == "−2.87 to −0.80"
    assert (test["seeds"], test["verdict"]) == ("3 pairs", "better")


def test_synthetic_images_are_the_same_for_every_seed(make_run, tmp_path):
    for seed in (0, 1):
        make_run(f"p{seed}", [9.0 + seed], seed=seed, data__kind="synthetic", data__train_size=64)
        make_run(f"r{seed}", [7.0 + seed], seed=seed, depth=56, data__kind="synthetic", data__train_size=64)
    (test, _) = rows(tables.comparison(load.load([tmp_path]), "digits"))
    assert test["seeds"] == "2"


def test_one_seed_is_judged_by_the_test_images_and_marked(make_run, tmp_path):
    make_run("a", [1.0], train=[0.0], model="plain")
    make_run("b", [88.0], train=[85.0], model="plain", depth=56)
    make_run("c", [88.5], train=[85.0], model="plain", depth=110)
    table = tables.comparison(load.load([tmp_path]), "digits")
    test = rows(table)[:2]
    assert [row["corrected interval (points)"].endswith(" *") for row in test] == [True, True]
    assert [row["verdict"] for row in test] == ["worse (one seed)", "inconclusive"]
    assert "says nothing about another training" in table.note


def same_images(make_run, make_predictions, seconds):
    """Two networks of one seed: of 100 images, the first gets 30 wrong and the second these."""
    for depth, wrong in ((20, range(30)), (56, seconds)):
        run = make_run(f"r{depth}", [float(len(wrong))], depth=depth, data__kind="synthetic", data__name="other")
        make_predictions(run, [(0, int(index in wrong)) for index in range(100)])


def test_networks_of_one_seed_are_compared_image_by_image(make_run, make_predictions, tmp_path):
    same_images(make_run, make_predictions, range(20))
    numbers = tables.comparison(load.load([tmp_path]), "other").numbers
    assert list(numbers["method"]) == ["one seed, paired by image", "one seed"]
    assert numbers.iloc[0]["verdict"] == "better (one seed)"
    # Every image that the second gets wrong, the first gets wrong, too; with other images, 30 and 20 may be chance.
    assert numbers.iloc[1]["verdict"] == "inconclusive"


@pytest.mark.parametrize("fault", ["other images", "another error", "none recorded"])
def test_predictions_that_do_not_fit_are_not_used(make_run, make_predictions, tmp_path, fault):
    other = {"depth": 56, "data__kind": "synthetic", "data__name": "other"}
    make_run("r20", [30.0], **other | {"depth": 20})
    same_images(make_run, make_predictions, range(30))
    (tmp_path / "runs/r56").rename(tmp_path / "unused")
    run = make_run("b", [19.0 if fault == "another error" else 16.0], **other)
    if fault == "other images":
        make_predictions(run, [(int(index > 50), int(index < 16 or index > 50)) for index in range(100)])
    elif fault == "another error":
        make_predictions(run, [(0, int(index < 16)) for index in range(100)])
    table = tables.comparison(load.load([tmp_path / "runs"]), "other")
    assert list(table.numbers["method"]) == ["one seed", "one seed"]


def test_a_network_without_a_finished_run_has_a_row(make_run, tmp_path):
    for seed in (0, 1):
        make_run(f"a{seed}", [6.0], seed=seed)
        make_run(f"b{seed}", [90.0], seed=seed, depth=56, state="diverged")
    make_run("c", [], seed=2, depth=56, state="queued")
    make_run("d", [5.0], depth=110)
    table = tables.comparison(load.load([tmp_path]), "digits")
    first, second = rows(table)[:2]
    assert (first["from"], first["to"], first["verdict"]) == ("resnet-20", "resnet-56", "no finished run")
    assert first["seeds"] == "2 of 2 and 0 of 2"
    assert (second["from"], second["to"], second["verdict"]) == ("resnet-20", "resnet-110", "inconclusive")
    assert "makes 2 comparisons" in table.note
    assert table.numbers.iloc[0][["started_second", "n_second", "diverged_second"]].tolist() == [2, 0, 2]


def test_the_smallest_network_without_a_finished_run_has_a_row_too(make_run, tmp_path):
    make_run("a", [90.0], state="failed")
    for depth in (56, 110):
        make_run(f"b{depth}", [6.0], depth=depth)
    found = [(row["from"], row["to"]) for row in rows(tables.comparison(load.load([tmp_path]), "digits"))]
    assert found == [("resnet-20", "resnet-56"), ("resnet-56", "resnet-110")] * 2


def test_each_setting_is_compared_with_the_default(make_run, tmp_path):
    for seed in (0, 1, 2):
        make_run(f"a{seed}", [6.0 + seed / 10], seed=seed, optim__lr=0.1, **REAL)
        make_run(f"b{seed}", [8.0 + seed / 10], seed=seed, optim__lr=0.05, **REAL)
        make_run(f"c{seed}", [6.0 + seed / 10], seed=seed, optim__lr=0.1, model__shortcut="B", **REAL)
    found = rows(tables.ablation(load.load([tmp_path]), "cifar10"))
    assert [(row["reference"], row["changed to"], row["difference (points)"], row["verdict"]) for row in found] == [
        ("lr=0.1", "lr=0.05", "+2.00", "worse"),
        ("shortcut=A", "shortcut=B", "0.00", "inconclusive"),
    ]


def test_settings_with_held_out_images_are_compared_on_those(make_run, tmp_path):
    for lr, test, val in ((0.1, 5.0, 8.0), (0.05, 7.0, 6.0)):
        make_run(f"r{lr}", [test], val=[val], optim__lr=lr, **REAL)
    runs = load.load([tmp_path])
    table = tables.ablation(runs, "cifar10")
    assert [(row["first (%)"], row["second (%)"]) for row in rows(table)] == [("8.00", "6.00")]
    assert table.note.startswith("Final validation error")
    assert [row["final validation error (%)"] for row in rows(tables.main(runs, "cifar10"))] == ["6.00", "8.00"]
    make_run("c", [4.0], optim__lr=0.2, **REAL)
    assert tables.ablation(load.load([tmp_path]), "cifar10").note.startswith("Final test error")


def test_settings_of_several_lengths_are_compared_within_each(make_run, tmp_path):
    for epochs, lr in itertools.product((4, 8), (0.1, 0.05)):
        make_run(f"{epochs}-{lr}", [100 * lr - epochs / 4], optim__epochs=epochs, optim__lr=lr, **REAL)
    found = rows(tables.ablation(load.load([tmp_path]), "cifar10"))
    assert [(row["length"], row["reference"], row["changed to"], row["difference (points)"]) for row in found] == [
        ("epochs=4", "lr=0.1", "lr=0.05", "−5.00"),
        ("epochs=8", "lr=0.1", "lr=0.05", "−5.00"),
    ]


def test_hyperparameters_show_what_is_shared_and_what_differs(make_run, tmp_path):
    make_run("a", [6.0])
    make_run("b", [6.0], depth=56, model="plain")
    found = {
        row["key"]: (row["value"], row["in these runs"])
        for row in rows(tables.hyperparameters(load.load([tmp_path]), "digits"))
    }
    assert list(found)[:2] == ["depth", "model.name"]
    assert found["depth"] == ("20, 56", "differs")
    assert found["optim.lr"] == ("0.1", "the same")
    assert found["optim.milestones"] == ("[1]", "the same")
    assert "data.root" not in found and "out" not in found


@pytest.mark.parametrize(
    ("key", "kinds", "kind"),
    [("schedule", SCHEDULES, kind) for kind in SCHEDULES] + [("optimizer", OPTIMIZERS, kind) for kind in OPTIMIZERS],
)
def test_keys_that_a_run_does_not_use_are_left_out(make_run, tmp_path, key, kinds, kind):
    make_run("a", [6.0], **{f"optim__{key}": kind, "optim__peak": 0.25})
    keys = {row["key"] for row in rows(tables.hyperparameters(load.load([tmp_path]), "digits"))}
    for name in {key for other in kinds.values() for key in other.keys}:
        assert (f"optim.{name}" in keys) == (name in kinds[kind].keys)
    assert "optim.epochs" in keys and "optim.iterations" not in keys


def test_hyperparameters_are_those_of_the_finished_runs(make_run, tmp_path):
    make_run("a", [6.0])
    make_run("b", [6.0], state="running", optim__lr=0.2)
    found = {row["key"]: row["value"] for row in rows(tables.hyperparameters(load.load([tmp_path]), "digits"))}
    assert found["optim.lr"] == "0.1"


def test_what_became_of_the_runs_is_counted_in_each_row(make_run, tmp_path):
    make_run("a", [6.0], **REAL)
    make_run("b", [90.0], seed=1, state="diverged", **REAL)
    make_run("c", [], seed=2, state="queued", **REAL)
    for seed in range(3):
        make_run(f"d{seed}", [90.0], depth=110, seed=seed, state="diverged" if seed else "failed", **REAL)
    runs = load.load([tmp_path])
    table = tables.main(runs, "cifar10")
    some, none = rows(table)
    assert (some["runs finished"], some["diverged"], some["final test error (%)"]) == ("1 of 2", "1", "6.00")
    assert (none["layers"], none["runs finished"], none["failed"], none["diverged"]) == ("110", "0 of 3", "1", "2")
    assert "other" not in some
    assert none["final test error (%)"] == "–"
    counts = table.numbers[["n", "started", "finished", "diverged", "failed"]].to_numpy().tolist()
    assert counts == [[1, 2, 1, 1, 0], [0, 3, 0, 2, 1]]
    assert rows(tables.grid(runs, "cifar10", "test_error")) == [
        {"model": "resnet", "20 layers": "6.00 (n=1 of 2)", "110 layers": "– (n=0 of 3)"}
    ]


def searched(make_run, errors):
    """Trials of one seed with drawn values, on held-out images."""
    for index, error in enumerate(errors):
        keys = {"optim__lr": 0.01 + index / 7, "optim__weight_decay": 1e-4 * (1 + index % 5), "data__holdout": 5000}
        make_run(f"t{index}", [error], val=[error], **keys, **REAL)


def test_a_search_shows_what_to_expect_from_its_trials(make_run, tmp_path):
    searched(make_run, range(10, 26))
    make_run("bad", [99.0], state="diverged", optim__lr=9.0, optim__weight_decay=7e-4, data__holdout=5000, **REAL)
    table = tables.search(load.load([tmp_path]), "cifar10")
    found = rows(table)
    assert [row["trials"] for row in found] == ["1", "2", "4", "8", "16", "17"]
    # A diverged trial counts as 100 %: the mean of 10, …, 25 and 100 is 380 / 17.
    assert found[0]["resnet-20"] == f"{380 / 17:.2f}"
    assert table.title.startswith("Final validation error")
    assert list(table.numbers["trials"]) == list(range(1, 18))
    assert table.numbers["resnet-20"].is_monotonic_decreasing


def test_a_search_over_networks_has_the_trials_of_all_in_a_column(make_run, tmp_path):
    for index in range(8):
        keys = {"optim__lr": 0.01 + index / 7, "optim__weight_decay": 1e-4 * (1 + index % 5)}
        make_run(f"t{index}", [10.0 + index], depth=(20, 56)[index % 2], **keys, **REAL)
    make_run("lost", [50.0], state="failed", optim__lr=7.0, optim__weight_decay=2e-4, **REAL)
    table = tables.search(load.load([tmp_path]), "cifar10")
    first, *_ = rows(table)
    assert first == {"trials": "1", "all": "13.50", "resnet-20": "13.00", "resnet-56": "14.00"}
    assert "; without a value: 1 failed." in table.note


def test_networks_searched_one_by_one_have_no_column_of_all(make_run, tmp_path):
    searched(make_run, range(10, 26))
    for index in range(16):
        keys = {"optim__lr": 0.01 + index / 7, "optim__weight_decay": 1e-4 * (1 + index % 5), "data__holdout": 5000}
        make_run(f"u{index}", [9.0], val=[9.0], depth=56, **keys, **REAL)
    assert list(tables.search(load.load([tmp_path]), "cifar10").frame) == ["trials", "resnet-20", "resnet-56"]


def test_trials_are_not_compared_with_the_one_that_happens_to_be_nearest_to_the_defaults(make_run, tmp_path):
    searched(make_run, range(26, 10, -1))
    runs = load.load([tmp_path])
    assert tables.ablation(runs, "cifar10") is None
    # The best trial takes the place of the default setting where one setting is shown.
    assert runs.main_settings["cifar10"] == str(runs.finished.sort_values("val_error")["setting"].iloc[0])
    make_run("conf", [9.0], val=[9.0], optim__lr=0.1, optim__weight_decay=1e-4, data__holdout=5000, **REAL)
    assert len(rows(tables.ablation(load.load([tmp_path]), "cifar10"))) == 16


@pytest.mark.parametrize("trials", [7, 0])
def test_few_trials_and_grids_are_no_search(make_run, tmp_path, trials):
    searched(make_run, range(10, 10 + trials))
    if not trials:
        for index, (lr, decay) in enumerate(itertools.product((0.1, 0.05, 0.2), (1e-4, 2e-4, 5e-4))):
            make_run(f"g{index}", [6.0], optim__lr=lr, optim__weight_decay=decay, **REAL)
    assert tables.search(load.load([tmp_path]), "cifar10") is None


def test_every_run_can_be_traced(make_run, tmp_path):
    run = make_run("a", [6.0], status={"commit": "0123456789abcdef+changes", "versions": {"torch": "2.13.0"}})
    table = tables.runs_table(load.load([tmp_path]), "digits")
    (row,) = rows(table)
    assert "earlier parts" not in row
    assert (row["folder"], row["seed"], len(row["config"])) == (str(run.path), "0", 8)
    assert table.note.startswith("In this run: commit 01234567+, data digits-images, torch 2.13.0, ")


def test_only_what_differs_between_runs_has_a_column(make_run, tmp_path):
    for seed, torch in enumerate(("2.12.0", "2.13.0")):
        make_run(f"r{seed}", [6.0], seed=seed, status={"commit": "0" * 40, "versions": {"torch": torch}})
    found = load.load([tmp_path]).runs
    for folder, name in zip(found["folder"], found["hash"], strict=True):
        Path(folder).rename(f"{folder}-{name}")
    table = tables.runs_table(load.load([tmp_path]), "digits")
    assert [row["torch"] for row in rows(table)] == ["2.12.0", "2.13.0"]
    assert not {"commit", "data", "config"} & set(table.frame)
    assert "In all runs: commit 00000000, data digits-images, device a CPU, threads 1, precision fp32." in table.note
    assert {"commit", "fingerprint", "hash"} <= set(table.numbers)


def test_every_table_has_a_name_of_its_own(make_run, tmp_path):
    make_run("a", [6.0, 5.0])
    make_run("b", [7.0, 6.0], val=[8.0, 7.0], data__holdout=100)
    names = [table.name for table in tables.all_tables(load.load([tmp_path]), "digits")]
    assert {name for name, _, _ in tables.GRIDS.values()} <= set(names) <= set(tables.NAMES)
    assert len(names) == len(set(names)) and len(tables.NAMES) == len(set(tables.NAMES))


def test_what_only_some_runs_record_is_not_that_of_all(make_run, tmp_path):
    make_run("a", [6.0], status={"commit": "a" * 40, "versions": {"torch": "2.13.0"}})
    make_run("b", [6.0], seed=1)
    table = tables.runs_table(load.load([tmp_path]), "digits")
    assert [(row["commit"], row["torch"]) for row in rows(table)] == [("aaaaaaaa", "2.13.0"), ("–", "–")]
    assert "In all runs: data digits-images, device a CPU, threads 1, precision fp32." in table.note


def test_kernels_are_a_column_where_they_differ_and_in_the_note_where_they_do_not(make_run, tmp_path):
    for seed in range(2):
        make_run(f"r{seed}", [6.0], seed=seed, status={"kernels": "fused"})
    table = tables.runs_table(load.load([tmp_path]), "digits")
    assert "threads 1, kernels fused, precision fp32." in table.note
    assert "kernels" not in table.frame
    make_run("other", [6.0], seed=2, status={"kernels": "eager"})
    table = tables.runs_table(load.load([tmp_path]), "digits")
    assert [row["kernels"] for row in rows(table)] == ["fused", "fused", "eager"]


def test_the_note_on_times_names_what_lengthens_them(make_run, tmp_path):
    make_run("a", [6.0])
    table = tables.cost(load.load([tmp_path]), "digits")
    assert table.note.endswith("and evaluation. Other work on the machine at the same time makes it longer.")


def test_a_run_of_an_installed_package_is_traced_to_its_version(make_run, tmp_path):
    versions = {"cifar_resnet": "0.1.0", "torch": "2.13.0", "python": "3.11.7"}
    before = {"commit": "f" * 40, "device": "a CPU", "threads": 1, "versions": versions}
    run = make_run("a", [6.0], status={"commit": None, "versions": versions, "earlier": [before]})
    table = tables.runs_table(load.load([tmp_path]), "digits")
    (row,) = rows(table)
    assert "commit version 0.1.0, " in table.note and row["folder"] == str(run.path)
    assert row["earlier parts"].startswith("ffffffff")


def test_a_run_in_several_parts_shows_how_earlier_ones_differed(make_run, tmp_path):
    versions = {"torch": "2.13.0", "python": "3.11.7"}
    before = {"commit": "f" * 40, "device": "a CPU", "threads": 2, "versions": {**versions, "torch": "2.12.0"}}
    make_run("a", [6.0], status={"commit": "0" * 40, "versions": versions, "earlier": [before]})
    make_run("b", [6.0], seed=1, status={"commit": "0" * 40, "versions": versions, "earlier": []})
    table = tables.runs_table(load.load([tmp_path]), "digits")
    one, other = rows(table)
    assert "earlier parts:" in table.note
    assert one["earlier parts"] == "ffffffff, threads 2, torch 2.12.0" and "commit 00000000" in table.note
    assert other["earlier parts"] == "–"


def test_a_run_that_was_trained_on_different_devices_has_no_time(make_run, tmp_path):
    before = {"commit": "f" * 40, "device": "a GPU", "threads": 1, "versions": {}}
    make_run("a", [6.0], depth=8, status={"seconds": 60.0, "earlier": [before]})
    make_run("b", [6.0], depth=14, status={"seconds": 60.0, "earlier": [before | {"device": "a CPU"}]})
    make_run("c", [6.0], depth=20, status={"seconds": 60.0, "earlier": [before | {"device": None}]})
    runs = load.load([tmp_path])
    cost = tables.cost(runs, "digits")
    assert [row["time (s)"] for row in rows(cost)] == ["–", "60.0", "60.0"]
    assert [row["images/s"] for row in rows(cost)] == ["–", "100", "100"]
    assert cost.note.endswith("or parts of them, were trained on different devices have no time and no speed.")
    assert [row["time (s)"] for row in rows(tables.runs_table(runs, "digits"))] == ["–", "60.0", "60.0"]


def test_seeds_on_different_devices_have_no_mean_cost(make_run, tmp_path):
    make_run("a", [6.0], status={"seconds": 60.0})
    make_run("b", [6.0], seed=1, status={"seconds": 9000.0, "device": "another CPU"})
    make_run("c", [6.0], depth=56, status={"seconds": 60.0})
    cost = tables.cost(load.load([tmp_path]), "digits")
    assert [(row["time (s)"], row["images/s"]) for row in rows(cost)] == [("–", "–"), ("60.0", "100")]
    assert cost.numbers["seconds_mean"].isna().tolist() == [True, False]
    assert "different devices" in cost.note


def test_markdown_has_the_cells_and_no_markup_of_theirs():
    cell = "<script>alert(1)</script> | *a_b* `c` [d](e) &amp; # \\ ~"
    table = Table("t", "T", pd.DataFrame({"a|b": [cell, "x"], "n (%)": ["6.61 ± 0.16", "–"]}))
    parsed = MarkdownIt().enable("table").render(table.to_markdown())
    assert "<script>" not in parsed
    assert "&lt;script&gt;alert(1)&lt;/script&gt; | *a_b* `c` [d](e) &amp;amp; # \\ ~" in parsed
    assert parsed.count("<tr>") == 3 and parsed.count("<th") - parsed.count("<thead") == 2
    assert 'style="text-align:right">6.61' in parsed


def test_latex_is_a_booktabs_tabular_with_everything_escaped():
    table = Table("t", "T", pd.DataFrame({"a_b": ["50 % & {x} $y$ #1 ^ ~ \\z"], "e (%)": ["−1.2 ± 0.1"]}))
    assert table.to_latex() == (
        "\\begin{tabular}{lr}\n\\toprule\na\\_b & e (\\%) \\\\\n\\midrule\n"
        "50 \\% \\& \\{x\\} \\$y\\$ \\#1 \\textasciicircum{} \\textasciitilde{} \\textbackslash{}z & "
        "$-$1.2 $\\pm$ 0.1 \\\\\n\\bottomrule\n\\end{tabular}\n"
    )
    assert escaping.latex("字 é\n→") == "? é $\\to$"
    assert escaping.latex("3.26\u00a0×\u00a010⁻⁷") == "3.26~$\\times$~10$^{-7}$"


def test_numbers_are_aligned_right_and_words_left():
    frame = pd.DataFrame(
        {
            "a": ["6.6 ± 0.1", "–"],
            "b": ["1,727", "3e-05"],
            "c": ["–", "–"],
            "d": ["12 runs", "1"],
            "e": ["−1 to +2", "–"],
        }
    )
    assert Table("t", "T", frame).right_aligned == [True, True, False, False, True]
