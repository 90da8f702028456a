"""Known metrics become known numbers, through the real command line."""

import shutil
import subprocess
import sys

import pandas as pd
import pytest

from cifar_resnet.report import figures, load, tables
from cifar_resnet.run_dir import RunDir, find_runs

HEAD = "epoch,step,lr,train_loss,train_error,test_loss,test_error,train_seconds,test_seconds,images_per_second\n"


@pytest.fixture
def make_run(tmp_path):
    """Writes a run folder with these test errors, one an epoch."""

    def make(name, errors, state="finished", model="resnet", depth=20, seed=0, lr=0.1, tail=""):
        run = RunDir(tmp_path / "runs" / name)
        run.write_config(
            {
                "depth": depth,
                "seed": seed,
                "precision": "fp32",
                "model": {"name": model},
                "optim": {"lr": lr},
                "data": {"name": "digits", "kind": "digits"},
            }
        )
        rows = [f"{i},{i},{lr},1.5,{error + 1},1,{error},2,1,100\n" for i, error in enumerate(errors, 1)]
        run.metrics.write_text(HEAD + "".join(rows) + tail)
        run.update_status(state=state, reason=None, parameters=10, seconds=5.0)
        return run

    return make


def test_mean_and_deviation_over_seeds_are_those_worked_by_hand(make_run, tmp_path):
    for seed, final in enumerate((6.0, 7.0, 9.5)):
        make_run(f"r{seed}", [5.0, final], seed=seed)
    comparison = tables.compare(load.load([tmp_path]).finished)
    row = comparison.iloc[0]
    # (6 + 7 + 9.5) / 3 = 7.5; deviations -1.5, -0.5, 2: squares 2.25 + 0.25 + 4 = 6.5, over 2 = 3.25, root 1.803
    assert (row["n"], row["test_error_mean"]) == (3, pytest.approx(7.5))
    assert row["test_error_std"] == pytest.approx(1.8028, abs=1e-4)
    assert row["best_test_error_mean"] == pytest.approx(5.0)
    assert tables.grid(comparison, "digits", "test_error")[1] == [["resnet", "7.50 ± 1.80 (n=3)"]]


def test_one_seed_has_no_deviation():
    assert tables.cell(8.754, float("nan"), 1) == "8.75 (n=1)"


def test_unfinished_runs_are_named_and_not_mixed_in(make_run, tmp_path):
    make_run("a", [6.0])
    make_run("b", [90.0], seed=1, state="diverged")
    runs = load.load([tmp_path])
    assert tables.compare(runs.finished)["test_error_mean"].tolist() == [6.0]
    assert "runs/b`: diverged after 1 epochs" in tables.markdown(tables.compare(runs.finished), runs)


def test_an_ablation_is_not_averaged(make_run, tmp_path):
    make_run("a", [6.0], lr=0.1)
    make_run("b", [8.0], lr=0.05)
    comparison = tables.compare(load.load([tmp_path]).finished)
    assert dict(zip(comparison["setting"], comparison["test_error_mean"], strict=True)) == {
        "lr=0.1": 6.0,
        "lr=0.05": 8.0,
    }


def test_a_half_written_last_line_is_left_out(make_run, tmp_path):
    make_run("a", [6.0, 5.0], tail="3,3,0.1,1.")
    assert load.load([tmp_path]).runs["epochs"].tolist() == [2]


def test_damaged_folders_are_named_and_skipped(make_run, tmp_path):
    make_run("a", [6.0])
    make_run("b", [7.0], seed=1).status.write_text("{")
    make_run("c", [7.0], seed=2).config.write_text("a: [")
    runs = load.load([tmp_path, tmp_path / "runs"])
    assert len(runs.runs) == 1
    assert sorted(name[-1] for name in runs.unreadable) == ["b", "c"]


def test_command_writes_every_file(make_run, tmp_path, program):
    make_run("a", [60.0, 6.0])
    make_run("b", [90.0, 80.0], model="plain", depth=56)
    done = program("aggregate.py", "runs")
    assert done.returncode == 0, done.stderr
    assert "6.00 (n=1)" in done.stdout
    written = {path.name for path in (tmp_path / "runs/report").iterdir()}
    assert written == {
        "runs.csv",
        "epochs.csv",
        "comparison.csv",
        "comparison.md",
        "training_loss.png",
        "test_error.png",
    }
    assert pd.read_csv(tmp_path / "runs/report/epochs.csv")["test_error"].tolist() == [90.0, 80.0, 60.0, 6.0]


@pytest.mark.parametrize(("arguments", "message"), [(["nowhere"], "nowhere is not a folder"), (["."], "no run folder")])
def test_a_mistake_is_one_line_and_exit_code_2(program, arguments, message):
    done = program("aggregate.py", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_report_needs_neither_torch_nor_hydra():
    code = (
        "import sys, cifar_resnet.report.figures, cifar_resnet.report.tables; "
        "sys.exit(bool({'torch', 'hydra'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_copied_run_is_counted_once_and_named(make_run, tmp_path):
    original = make_run("a", [6.0])
    make_run("b", [7.0], seed=1)
    shutil.copytree(original.path, tmp_path / "runs" / "copy of a")
    runs = load.load([tmp_path])
    assert tables.compare(runs.finished)["n"].tolist() == [2]
    assert list(runs.copies) == [str(tmp_path / "runs" / "copy of a")]
    assert "counted once" in tables.markdown(tables.compare(runs.finished), runs)


def test_a_run_with_half_a_header_has_no_epochs_yet(make_run, tmp_path):
    make_run("a", [6.0])
    make_run("b", [], seed=1, state="interrupted").metrics.write_text("epoch,st")
    assert sorted(load.load([tmp_path]).runs["epochs"]) == [0, 1]


def test_hydras_own_folder_is_no_run(make_run, tmp_path):
    make_run("a", [6.0])
    make_run("a/.hydra", [6.0])
    assert len(find_runs([tmp_path])) == 1


def test_figures_draw_the_means_and_the_band_that_the_table_has(make_run, tmp_path):
    for seed, final in enumerate((6.0, 8.0)):
        make_run(f"r{seed}", [50.0, final], seed=seed)
    runs = load.load([tmp_path])
    figure = figures.draw(runs.epochs, "test_error", "test error (%{})", "digits")
    (axes,) = figure.axes
    (line,) = axes.lines
    assert line.get_xydata().tolist() == [[1.0, 50.0], [2.0, 7.0]]
    band = axes.collections[0].get_paths()[0].vertices
    assert {6.0, 8.0} <= set(band[band[:, 0] == 2.0][:, 1])
    assert axes.get_title() == "resnet"
    assert figure._suptitle.get_text() == "digits, mean of 2 seeds (band: lowest to highest)"
