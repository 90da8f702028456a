"""Run folders become labeled rows, and unreadable folders are reported."""

import shutil

import pandas as pd
import pytest

from cifar_resnet.errors import ConfigError, RunError
from cifar_resnet.report import tables
from cifar_resnet.report.runs import load
from cifar_resnet.report.runs.copies import Counted
from cifar_resnet.run.files import digest
from cifar_resnet.run.find import find_runs


def test_a_run_is_its_last_epoch_and_its_best(make_run, tmp_path):
    make_run("a", [9.0, 5.0, 6.0], train=[8.0, 4.0, 2.0])
    row = load.load([tmp_path]).runs.iloc[0]
    assert (row["epochs"], row["test_error"], row["train_error"]) == (3, 6.0, 2.0)
    assert (row["best_test_error"], row["best_epoch"]) == (5.0, 2)
    assert (row["test_images"], row["parameters"], row["images_per_second"]) == (360, 269434, 100)


def test_with_a_holdout_the_best_epoch_is_chosen_on_it(make_run, tmp_path):
    make_run("a", [6.0])
    run = make_run("b", [7.0], seed=1, data__holdout=10)
    run.metrics.write_text(
        "epoch,step,lr,train_loss,train_error,val_loss,val_error,test_loss,test_error,train_seconds,test_seconds,"
        "images_per_second\n1,1,0.1,1,9,1,3.0,,,1,1,100\n2,2,0.1,1,8,1,4.0,1,7.5,1,1,100\n"
    )
    rows = load.load([tmp_path]).runs.set_index("seed")
    assert rows.loc[0, "best_test_error"] == 6.0
    assert pd.isna(rows.loc[1, "best_test_error"])
    assert (rows.loc[1, "best_val_error"], rows.loc[1, "best_epoch"], rows.loc[1, "test_error"]) == (3.0, 1, 7.5)


def test_epochs_are_named_and_in_the_order_of_the_runs(make_run, tmp_path):
    make_run("a", [6.0, 5.0], model="resnet")
    make_run("b", [60.0], model="plain", depth=56)
    epochs = load.load([tmp_path]).epochs
    assert epochs["model"].tolist() == ["plain", "resnet", "resnet"]
    assert epochs["test_error"].tolist() == [60.0, 6.0, 5.0]


def test_settings_are_named_by_what_differs_except_seeds(make_run, tmp_path):
    for seed in (0, 1):
        make_run(f"a{seed}", [6.0], seed=seed)
        make_run(f"b{seed}", [6.0], seed=seed, optim__lr=0.05, optim__nesterov=True)
    runs = load.load([tmp_path])
    assert runs.factors == {"digits": ["optim.lr", "optim.nesterov"]}
    assert runs.runs["setting"].value_counts().to_dict() == {
        "lr=0.1, nesterov=false": 2,
        "lr=0.05, nesterov=true": 2,
    }


def test_runs_that_started_from_other_weights_of_one_name_are_no_seeds_of_each_other(make_run, tmp_path):
    for seed, origin in enumerate(["7de7af2c", "7de7af2c", "eb8b9d86"]):
        make_run(f"a{seed}", [6.0], seed=seed, init_from="best", status={"init_from": {"metrics": origin}})
    assert load.load([tmp_path]).runs["setting"].tolist() == ["origin=7de7af", "origin=7de7af", "origin=eb8b9d"]


def test_settings_are_ordered_by_size(make_run, tmp_path):
    for size in (64, 128, 8):
        make_run(f"r{size}", [6.0], optim__batch_size=size)
    assert load.load([tmp_path]).runs["setting"].tolist() == ["batch_size=8", "batch_size=64", "batch_size=128"]


def test_milestones_that_scale_with_the_epochs_are_not_mentioned(make_run, tmp_path):
    make_run("a", [6.0], optim__epochs=12, optim__milestones=[6, 9])
    make_run("b", [6.0], optim__epochs=164, optim__milestones=[81, 122])
    assert load.load([tmp_path]).runs["setting"].tolist() == ["epochs=12", "epochs=164"]
    make_run("c", [6.0], optim__epochs=12, optim__milestones=[3])
    assert "epochs=12, milestones=[3]" in load.load([tmp_path]).runs["setting"].tolist()


def test_milestones_set_by_hand_are_mentioned_beside_another_recipe(make_run, tmp_path):
    one_cycle = {"optim__schedule": "onecycle", "optim__name": "onecycle", "optim__milestones": []}
    make_run("a", [6.0], optim__epochs=16, optim__milestones=[8, 12])
    make_run("b", [6.0], optim__epochs=16, **one_cycle)
    assert load.load([tmp_path]).factors["digits"][0] == "optim"
    assert not any("milestones" in setting for setting in load.load([tmp_path]).runs["setting"])
    make_run("a", [6.0], optim__epochs=16, optim__milestones=[1, 2])
    runs = load.load([tmp_path]).runs.set_index("folder")
    changed = runs.loc[str(tmp_path / "runs" / "a")]
    assert "milestones=[1,2]" in changed["setting"] and changed["off_default"] == 1


def test_milestones_of_a_recipe_that_conf_lacks_are_mentioned_only_if_they_vary(make_run, tmp_path):
    for name, epochs, milestones in (("a", 10, [5]), ("b", 20, [10])):
        make_run(name, [6.0], optim__name="mine", optim__epochs=epochs, optim__milestones=milestones)
    assert load.load([tmp_path]).runs["setting"].tolist() == ["epochs=10", "epochs=20"]
    make_run("c", [6.0], optim__name="mine", optim__epochs=20, optim__milestones=[15])
    assert "epochs=20, milestones=[15]" in load.load([tmp_path]).runs["setting"].tolist()


def test_another_recipe_is_one_word_and_what_was_changed_in_it(make_run, tmp_path):
    one_cycle = {"optim__schedule": "onecycle", "optim__lr": 0.2, "optim__nesterov": True, "optim__weight_decay": 5e-4}
    one_cycle |= {"optim__milestones": [], "optim__warmup": "none", "optim__label_smoothing": 0.1}
    make_run("a", [6.0])
    make_run("b", [6.0], **one_cycle)
    assert load.load([tmp_path]).runs["setting"].tolist() == ["optim=lab", "optim=onecycle"]
    make_run("c", [6.0], **(one_cycle | {"optim__epochs": 8, "optim__lr": 0.8}))
    runs = load.load([tmp_path])
    assert runs.runs["setting"].tolist() == [
        "optim=lab, epochs=2, lr=0.1",
        "optim=onecycle, epochs=2, lr=0.2",
        "optim=onecycle, epochs=8, lr=0.8",
    ]
    assert runs.main_settings == {"digits": "optim=lab, epochs=2, lr=0.1"}
    for key in ("optim", "optim.name"):
        assert load.load([tmp_path], [f"{key}=onecycle"]).runs["seed"].size == 2


def test_a_recipe_of_ones_own_is_one_word_however_its_values_were_given(make_run, tmp_path):
    cosine = {"optim__schedule": "cosine", "optim__milestones": []}
    make_run("a", [6.0], optim__name="lab")
    make_run("b", [6.0], optim__name="cosine", **cosine)
    make_run("c", [6.0], seed=1, **cosine)
    assert load.load([tmp_path]).runs["setting"].tolist() == ["optim=cosine", "optim=cosine", "optim=lab"]


def test_a_key_that_an_older_run_lacks_has_its_default(make_run, tmp_path):
    make_run("a", [6.0], model__norm="batch")
    make_run("b", [6.0], seed=1)
    assert load.load([tmp_path]).runs["setting"].tolist() == ["", ""]


def test_the_main_setting_has_the_most_networks_then_is_nearest_to_the_defaults(make_run, tmp_path):
    make_run("a", [6.0], optim__lr=0.05)
    make_run("b", [6.0], optim__lr=0.1)
    assert load.load([tmp_path]).main_settings == {"digits": "lr=0.1"}
    make_run("c", [6.0], optim__lr=0.05, model="plain")
    assert load.load([tmp_path]).main_settings == {"digits": "lr=0.05"}


def test_of_settings_as_near_to_the_defaults_the_main_one_is_the_longest(make_run, tmp_path):
    for epochs in (4, 16, 8):
        make_run(f"{epochs}", [6.0] * epochs, optim__epochs=epochs)
    assert load.load([tmp_path]).main_settings == {"digits": "epochs=16"}


def test_runs_on_other_images_are_another_setting(make_run, tmp_path):
    make_run("a", [6.0])
    make_run("b", [6.0], seed=1, status={"data": {"fingerprint": "0123456789"}})
    assert load.load([tmp_path]).runs["setting"].tolist() == ["images=012345", "images=digits"]


def test_data_sets_with_the_same_name_and_different_kinds_are_separate(make_run, tmp_path):
    make_run("a", [6.0], data__kind="cifar10", data__name="cifar10")
    make_run("b", [6.0], data__kind="image_folder", data__name="cifar10")
    runs = load.load([tmp_path])
    assert runs.datasets == ["cifar10-cifar10", "cifar10-image_folder"]
    part = runs.of("cifar10-image_folder")
    assert (len(part.runs), len(part.epochs), len(part.configs)) == (1, 1, 1)


def test_a_half_written_last_line_is_ignored(make_run, tmp_path):
    make_run("a", [6.0, 5.0], tail="3,3,0.1,1.")
    assert load.load([tmp_path]).runs["epochs"].tolist() == [2]


def test_a_run_with_half_a_header_has_no_epochs_yet(make_run, tmp_path):
    make_run("a", [6.0])
    make_run("b", [], seed=1, state="interrupted").metrics.write_text("epoch,st")
    assert sorted(load.load([tmp_path]).runs["epochs"]) == [0, 1]


def test_no_run_at_all_with_epochs_is_no_error(make_run, tmp_path):
    make_run("a", [], state="pending").metrics.unlink()
    runs = load.load([tmp_path])
    assert (runs.runs["epochs"].tolist(), len(runs.epochs)) == ([0], 0)


def test_a_run_whose_process_is_gone_is_interrupted(make_run, tmp_path):
    make_run("a", [6.0], state="running")
    assert load.load([tmp_path]).runs["state"].tolist() == ["interrupted"]


def test_a_finished_run_with_truncated_metrics_is_interrupted(make_run, tmp_path):
    run = make_run("a", [6.0, 5.0])
    run.update_status(metrics_digest=digest(run.metrics))
    assert load.load([tmp_path]).runs["state"].tolist() == ["finished"]
    run.metrics.write_text("".join(run.metrics.read_text().splitlines(keepends=True)[:-1]))
    row = load.load([tmp_path]).runs.iloc[0]
    assert (row["state"], row["reason"]) == ("interrupted", "its metrics.csv is not the one that it finished with")


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("config.yaml", "a: [", "config.yaml can't be read"),
        ("config.yaml", "depth: 20", "is not the config of a run"),
        ("metrics.csv", "epoch,step\n1,1\n", "no column train_loss"),
        ("diagnostics.csv", "epoch,layer\n1,one\n", "diagnostics.csv is not a table of layers"),
    ],
)
def test_unreadable_files_are_reported(make_run, tmp_path, file, text, expected):
    make_run("a", [6.0])
    damaged = make_run("b", [7.0], seed=1)
    (damaged.path / file).write_text(text)
    runs = load.load([tmp_path, tmp_path / "runs"])
    assert list(runs.unreadable) == [str(damaged.path)]
    assert expected in runs.unreadable[str(damaged.path)]
    assert len(runs.runs) == (2 if file == "diagnostics.csv" else 1)


@pytest.mark.parametrize("text", [None, "{"])
def test_a_run_without_a_readable_run_json_is_interrupted(make_run, tmp_path, text):
    for seed in range(2):
        make_run(f"a{seed}", [7.0], seed=seed)
    damaged = make_run("b", [9.0, 7.0], seed=2)
    damaged.status.unlink() if text is None else damaged.status.write_text(text)
    runs = load.load([tmp_path])
    (left_out,) = tables.left_out(runs, "digits").frame.to_dict("records")
    expected = "its run.json is missing" if text is None else f"{damaged.status} can't be read: "
    assert (left_out["folder"], left_out["state"]) == (str(damaged.path), "interrupted")
    assert left_out["reason"].startswith(f"after 2 epochs: {expected}")
    assert "2 of 3" in str(tables.main(runs, "digits").frame.to_dict("records"))


def test_a_copy_without_a_readable_run_json_is_a_copy(make_run, tmp_path):
    original = make_run("b", [6.0])
    shutil.copytree(original.path, tmp_path / "runs/a")
    (tmp_path / "runs/a/run.json").unlink()
    runs = load.load([tmp_path])
    assert len(runs.runs) == 1
    assert runs.copies == {str(tmp_path / "runs/a"): Counted(str(original.path), "")}


def test_without_metrics_the_epochs_are_those_that_run_json_records(make_run, tmp_path):
    make_run("a", [6.0])
    run = make_run("b", [7.0], seed=1, status={"progress": {"step": 37, "steps_per_epoch": 12}})
    run.metrics.unlink()
    (left_out,) = tables.left_out(load.load([tmp_path]), "digits").frame.to_dict("records")
    assert left_out["reason"] == "after 3 epochs: its metrics.csv is missing"


def test_one_damaged_file_does_not_affect_others(make_run, tmp_path):
    make_run("a", [6.0])
    make_run("b", [7.0], seed=1)
    damaged = make_run("c", [7.0], seed=2)
    damaged.metrics.write_text(damaged.metrics.read_text().replace("7.0", "seven"))
    runs = load.load([tmp_path])
    assert runs.runs["test_error"].tolist() == [6.0, 7.0]
    assert "seven" in runs.unreadable[str(damaged.path)]


def test_a_copied_run_is_counted_once_and_a_finished_copy_is_preferred(make_run, tmp_path):
    original = make_run("b", [6.0])
    copied = tmp_path / "runs" / "a copy of b"
    shutil.copytree(original.path, copied)
    runs = load.load([tmp_path])
    assert (len(runs.runs), len(runs.copies)) == (1, 1)
    status = (copied / "run.json").read_text().replace("finished", "interrupted")
    (copied / "run.json").write_text(status)
    assert load.load([tmp_path]).copies == {str(copied): Counted(str(original.path), "")}


def test_of_a_run_that_was_trained_again_the_first_is_counted_and_the_other_result_is_named(make_run, tmp_path):
    counted = make_run("a", [50.0, 6.0, 5.0])
    again = make_run("b", [50.0, 6.5, 4.0])
    runs = load.load([tmp_path])
    assert runs.runs["test_error"].tolist() == [5.0]
    other = runs.copies[str(again.path)]
    assert other.folder == str(counted.path)
    assert other.difference.startswith(
        "the results here differ from epoch 2 on; after epoch 3: test error 4.00 % here and 5.00 % there"
    )
    (left,) = tables.left_out(runs, "digits").frame.to_dict("records")
    assert (left["state"], left["reason"]) == (
        "trained again",
        f"the same run as {counted.path}, which is counted; {other.difference}",
    )


def test_runs_of_one_config_from_other_weights_are_no_copies(make_run, tmp_path):
    for name, metrics in (("a", "7de7af2c"), ("b", "eb8b9d86"), ("c", "eb8b9d86")):
        make_run(name, [6.0], init_from="outputs/x", status={"init_from": {"metrics": metrics}})
    runs = load.load([tmp_path])
    assert runs.runs["setting"].tolist() == ["origin=7de7af", "origin=eb8b9d"]
    assert list(runs.copies.values()) == [Counted(str(tmp_path / "runs/b"), "")]


def test_an_unfinished_copy_has_the_epochs_of_the_finished_run_as_far_as_it_goes(make_run, tmp_path):
    make_run("a", [50.0, 6.0, 5.0])
    copied, other = (
        make_run(name, errors, state="interrupted") for name, errors in (("b", [50.0, 6.0]), ("c", [50.0, 7.0]))
    )
    found = load.load([tmp_path]).copies
    assert found[str(copied.path)].difference == ""
    assert "after epoch 2: test error 7.00 % here and 6.00 % there" in found[str(other.path)].difference


def test_hydras_own_folder_is_not_a_run(make_run, tmp_path):
    make_run("a", [6.0])
    make_run("a/.hydra", [6.0])
    assert len(find_runs([tmp_path])) == 1


def test_diagnostics_of_a_run_that_was_continued_without_them_are_left_out(make_run, make_layers, tmp_path):
    whole, part = (make_run(name, [50.0, 8.0, 6.0], seed=seed) for seed, name in enumerate("ab"))
    make_layers(whole, [0.5, 0.4], [1, 2], epochs=(0, 3))
    make_layers(part, [0.5, 0.4], [1, 2], epochs=(0, 1))
    runs = load.load([tmp_path])
    assert set(runs.diagnostics["folder"]) == {str(whole.path)} and len(runs.finished) == 2
    assert "ends with epoch 1, before the run does" in runs.unreadable[str(part.path)]


@pytest.mark.parametrize(("size", "draws"), [(None, False), (50_000, False), (40_000, True)])
def test_a_seed_draws_the_images_of_a_subset_only(make_run, tmp_path, size, draws):
    make_run("a", [6.0], data__kind="cifar10", data__name="cifar10", data__train_size=size)
    assert load.load([tmp_path]).runs["seed_draws_images"].tolist() == [draws]


def test_diagnostics_are_named_like_epochs(make_run, make_layers, tmp_path):
    make_layers(make_run("a", [6.0], state="interrupted"), [0.5, 0.4], [1, 2], epochs=(0,))
    make_run("b", [6.0], seed=1)
    layers = load.load([tmp_path]).diagnostics
    assert layers[["model", "depth", "seed", "epoch", "layer", "response_std"]].to_numpy().tolist() == [
        ["resnet", 20, 0, 0, 1, 0.5],
        ["resnet", 20, 0, 0, 2, 0.4],
    ]


def test_runs_must_match_all_filters(make_run, tmp_path):
    for depth in (20, 56, 110):
        make_run(f"a{depth}", [6.0], depth=depth)
        make_run(f"b{depth}", [6.0], depth=depth, optim__weight_decay=0.001)
    filters = ["depth=20,56", "model=resnet", "optim.weight_decay=1e-3"]
    runs = load.load([tmp_path], filters)
    assert runs.runs["depth"].tolist() == [20, 56]
    assert runs.runs["setting"].tolist() == ["", ""]
    assert len(load.load([tmp_path], ["optim.milestones=[1]"]).runs) == 6


@pytest.mark.parametrize(
    ("filter", "error", "expected"),
    [
        ("optim.rl=0.1", ConfigError, "did you mean optim.lr?"),
        ("name=resnet", ConfigError, "did you mean model.name or optim.name or data.name?"),
        ("model", ConfigError, "expected key=value"),
        ("=3", ConfigError, "expected key=value"),
        ("depth=[", ConfigError, "can't be read"),
        ("depth=44", RunError, "no run has it; the runs have 20"),
        ("depth=20,44", RunError, "--where depth=20,44: no run has 44; the runs have 20"),
        ("model=resnet,Plain,preakt", RunError, "no run has Plain,preakt; the runs have resnet"),
        ("milestones=[2]", RunError, r"no run has it; the runs have \[1\]"),
    ],
)
def test_a_wrong_filter_is_reported(make_run, tmp_path, filter, error, expected):
    make_run("a", [6.0])
    with pytest.raises(error, match=expected.replace("?", r"\?")):
        load.load([tmp_path], [filter])


def test_a_filter_may_list_values_that_only_runs_excluded_by_another_one_have(make_run, tmp_path):
    make_run("a", [6.0])
    make_run("b", [7.0], model="plain", seed=1)
    assert len(load.load([tmp_path], ["model=resnet", "seed=0,1"]).runs) == 1


def test_of_many_values_the_error_shows_the_first_ones(make_run, tmp_path):
    for seed in range(11):
        make_run(f"a{seed}", [6.0], seed=seed)
    with pytest.raises(RunError, match="the runs have 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …"):
        load.load([tmp_path], ["seed=0,77"])


@pytest.mark.parametrize("key", ["lr", "optim.lr"])
def test_a_filter_may_call_a_key_as_tables_and_folders_do(make_run, tmp_path, key):
    make_run("a", [6.0], optim__lr=0.1)
    make_run("b", [7.0], optim__lr=0.05)
    assert len(load.load([tmp_path], [f"{key}=0.05"]).finished) == 1
