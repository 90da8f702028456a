"""The command line of `aggregate.py`, as a user runs it."""

import io
import shlex
import subprocess
import sys

import pandas as pd
import pytest
from rich.console import Console

from cifar_resnet.report import command
from cifar_resnet.report.progress_bar import Bar
from tests.conftest import called, tree

TABLES = ["comparison", "hyperparameters", "cost", "main", "runs", "test-error", "training-error"]
TABLES += ["best-test-error"]


def test_everything_is_written_and_the_main_table_shown(make_run, tmp_path, without_font_cache):
    make_run("a", [60.0, 6.0])
    make_run("b", [90.0, 80.0], model="plain", depth=56)
    make_run("c", [90.0], model="plain", depth=56, seed=1, state="failed", status={"reason": "out of memory"})
    done = without_font_cache("aggregate.py", "runs")
    assert (done.returncode, done.stderr) == (0, "")  # nor does Matplotlib announce its font cache
    assert "80.0" in done.stdout and "1 failed" in done.stdout and "runs/report" in done.stdout
    written = set(tree(tmp_path / "runs/report"))
    assert {f"tables/{name}.{kind}" for name in (*TABLES[1:], "left-out") for kind in ("csv", "md", "tex")} <= written
    assert {"report.md", "report.html", "report.tex", "epochs.csv", "figures/test_error.png"} <= written
    assert "out of memory" in (tmp_path / "runs/report/tables/left-out.md").read_text()
    epochs = pd.read_csv(tmp_path / "runs/report/epochs.csv")
    assert epochs["test_error"].tolist() == [90.0, 80.0, 90.0, 60.0, 6.0]
    assert epochs["model"].tolist() == ["plain", "plain", "plain", "resnet", "resnet"]


def test_only_requested_formats_are_written(make_run, tmp_path, capsys):
    make_run("a", [6.0])
    make_run("b", [6.0], depth=56)
    arguments = [str(tmp_path / "runs"), "--out", str(tmp_path / "r"), "--format", "csv", "--where", "depth=20"]
    assert command.main(arguments) == 0
    assert tree(tmp_path / "r") == sorted(
        ["epochs.csv", *(f"tables/{name}.csv" for name in TABLES if name != "comparison")]
    )
    assert pd.read_csv(tmp_path / "r/tables/main.csv")["depth"].tolist() == [20]


def test_a_table_that_an_earlier_report_had_is_gone(make_run, tmp_path):
    make_run("a", [6.0])
    make_run("b", [6.0], optim__lr=0.05)
    out = ["--out", str(tmp_path / "r"), "--format", "csv"]
    command.main([str(tmp_path / "runs"), *out])
    assert (tmp_path / "r/tables/ablation.csv").exists()
    command.main([str(tmp_path / "runs"), *out, "--where", "optim.lr=0.1"])
    assert not (tmp_path / "r/tables/ablation.csv").exists()


OWN = ("tables/notes.md", "figures/mine.png", "report.pdf", "other/notes.md", "notes/report.md")


@pytest.mark.parametrize("kind", command.FORMATS)
def test_what_a_former_report_wrote_in_other_formats_is_gone(make_run, tmp_path, unsaved, kind):
    make_run("a", [6.0])
    make_run("b", [9.0], model="plain", depth=56)

    def report(kinds, folder):
        assert command.main([str(tmp_path / "runs"), "--out", str(tmp_path / folder), "--format", kinds]) == 0
        return tree(tmp_path / folder)

    for name in OWN:
        (tmp_path / "r" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "r" / name).write_text("mine")
    before = report(",".join(command.FORMATS), "r")
    assert {"report.tex", "tables/main.md", "epochs.csv", "figures/overview.png", *OWN} <= {*before}
    assert report(kind, "r") == sorted([*OWN, *report(kind, "only")])


@pytest.mark.parametrize("kinds", ["md", "html"])
def test_the_report_of_one_data_set_and_those_of_several_replace_each_other(make_run, tmp_path, unsaved, kinds):
    make_run("a", [6.0])
    out, one = tmp_path / "r", ["--where", "data=digits"]
    for name in OWN:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("mine")

    def report(folder, *options):
        assert command.main([str(tmp_path / "runs"), "--out", str(folder), "--format", kinds, *options]) == 0
        return set(tree(folder))

    assert report(out) - {*OWN} == report(tmp_path / "first")
    make_run("b", [7.0], data__kind="synthetic", data__name="other")
    assert report(out) - {*OWN} == report(tmp_path / "both")
    assert f"other/report.{kinds}" in tree(out) and f"report.{kinds}" not in tree(out)
    assert report(out, *one) - {*OWN} == report(tmp_path / "one", *one)
    assert {*OWN} <= {*tree(out)}


def test_files_of_the_users_with_the_names_of_ours_stay(make_run, tmp_path):
    make_run("a", [6.0])
    own = ["report.md", "report.html", "report.tex", "index.md", "index.html"]
    for name in own:
        (tmp_path / name).write_text("# Reports on my thesis")
    assert command.main([str(tmp_path / "runs"), "--out", str(tmp_path), "--format", "csv"]) == 0
    assert {*own} <= {*tree(tmp_path)}


def test_several_data_sets_have_a_report_each_and_an_index(make_run, tmp_path, unsaved):
    make_run("a", [6.0])
    make_run("b", [7.0], data__kind="synthetic", data__name="other")
    assert command.main([str(tmp_path / "runs"), "--format", "md,html,csv"]) == 0
    for data, error in (("digits", 6.0), ("other", 7.0)):
        assert pd.read_csv(tmp_path / f"runs/report/{data}/tables/main.csv")["test_error_mean"].tolist() == [error]
        assert pd.read_csv(tmp_path / f"runs/report/{data}/epochs.csv")["data"].tolist() == [data]
        assert f"({data}/report.md)" in (tmp_path / "runs/report/index.md").read_text()
        assert f'href="{data}/report.html"' in (tmp_path / "runs/report/index.html").read_text()
        assert (tmp_path / f"runs/report/{data}/report.html").exists()


def test_epochs_of_runs_with_and_without_a_holdout_share_a_table(make_run, tmp_path):
    make_run("a", [6.0])
    run = make_run('b, "c"', [7.0], seed=1, data__holdout=10)
    run.metrics.write_text(
        "epoch,step,lr,train_loss,train_error,val_loss,val_error,test_loss,test_error,train_seconds,test_seconds,"
        "images_per_second\n1,1,0.1,1,9,1,3.0,,,1,1,100\n"
    )
    command.main([str(tmp_path / "runs"), "--out", str(tmp_path / "r"), "--format", "csv"])
    epochs = pd.read_csv(tmp_path / "r/epochs.csv").set_index("seed")
    assert epochs.loc[1, "val_error"] == 3.0 and pd.isna(epochs.loc[1, "test_error"])
    assert epochs.loc[0, "test_error"] == 6.0 and pd.isna(epochs.loc[0, "val_error"])
    assert epochs.loc[1, "folder"] == str(run.path)


@pytest.mark.parametrize("all_hold_out", [True, False])
def test_runs_that_all_hold_out_images_are_shown_with_their_validation_errors(make_run, tmp_path, capsys, all_hold_out):
    make_run("a", [6.5], val=[8.5], data__holdout=5000)
    make_run("b", [7.5], seed=1, **({"val": [9.5], "data__holdout": 5000} if all_hold_out else {}))
    command.main([str(tmp_path / "runs"), "--out", str(tmp_path / "r"), "--format", "csv,md"])
    shown = capsys.readouterr().out
    assert ("Final validation error (%)" in shown) == all_hold_out
    assert ("Final test error (%)" in shown) != all_hold_out
    if all_hold_out:
        assert "9.00 ± 0.71" in shown
    assert "Final validation error (%), last epoch." in (tmp_path / "r/report.md").read_text()


def test_a_long_ablation_is_cut_on_the_screen_and_whole_in_the_files(make_run, tmp_path, capsys):
    for index in range(33):
        make_run(f"r{index}", [6.0], optim__lr=0.1 + index)
    command.main([str(tmp_path / "runs"), "--out", str(tmp_path / "r"), "--format", "csv"])
    shown = capsys.readouterr().out
    assert "and 3 more rows, in tables/test-error" in shown
    assert "lr=29.1" in shown and "lr=30.1" not in shown
    assert len(pd.read_csv(tmp_path / "r/tables/test-error.csv")) == 33


@pytest.mark.parametrize(("options", "verdict"), [([], "better"), (["--smallest", "2.5"], "inconclusive")])
def test_the_smallest_difference_worth_naming_is_an_option(make_run, tmp_path, options, verdict):
    for seed in range(4):
        make_run(f"a{seed}", [9.0 + seed / 3.6], [5.0], seed=seed)
        make_run(f"b{seed}", [7.0 + seed / 3.6], [5.0], depth=56, seed=seed)
    assert command.main([str(tmp_path / "runs"), "--out", str(tmp_path / "r"), "--format", "csv", *options]) == 0
    assert pd.read_csv(tmp_path / "r/tables/comparison.csv")["verdict"].tolist()[0] == verdict


def test_the_author_is_an_option(make_run, tmp_path):
    make_run("a", [9.0])
    out = ["--out", str(tmp_path / "r"), "--format", "md"]
    assert command.main([str(tmp_path / "runs"), *out, "--author", "Ada  Lovelace"]) == 0
    assert (tmp_path / "r/report.md").read_text().splitlines()[2].startswith("Ada Lovelace, ")


def test_a_filtered_report_says_so_and_its_command_creates_the_same_one(make_run, tmp_path, capsys):
    for seed in range(3):
        make_run(f"a{seed}", [9.0], depth=20 if seed else 56, seed=seed)
    options = ["--where", "depth=20", "--where", "data=digits", "--smallest", "2.5", "--author", "Ada Lovelace"]
    arguments = [str(tmp_path / "runs"), "--format", "md", *options]
    assert command.main(arguments) == 0
    assert "--where depth=20 --where data=digits leaves out 1 of 3 runs\n" in capsys.readouterr().out
    written = (tmp_path / "runs/report/report.md").read_text()
    assert "only the runs with `depth=20` and `data=digits`. The filters leave out 1 of the 3 runs that were" in written
    (line,) = [line for line in written.splitlines() if line.startswith("python aggregate.py ")]
    assert shlex.split(line)[2:] == [str(tmp_path / "runs"), *options]


def test_a_report_of_all_runs_mentions_no_filter(make_run, tmp_path, capsys):
    make_run("a", [9.0])
    assert command.main([str(tmp_path / "runs"), "--format", "md"]) == 0
    assert "leaves out" not in capsys.readouterr().out
    written = (tmp_path / "runs/report/report.md").read_text()
    assert f"```\npython aggregate.py {tmp_path}/runs\n```" in written
    assert "includes only the runs" not in written


def test_without_a_finished_run_the_terminal_reports_it(make_run, tmp_path, capsys):
    make_run("a", [6.0], state="failed")
    assert command.main([str(tmp_path / "runs"), "--format", "csv"]) == 0
    assert "no run has finished yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is not a folder"),
        (["."], "no run folder under .; train some first"),
        (["runs", "--format", "pdf"], "--format pdf: pdf is not a format; expected one or more of md,html,tex,csv"),
        (["runs", "--where", "optim.rl=1"], "did you mean optim.lr?"),
        (["runs", "--out", "runs/a/config.yaml/r"], "can't be written"),
        (["runs", "--smallest", "much"], "--smallest much: expected a difference from 0 to 100 percentage points"),
        (["runs", "--smallest", "-1"], "--smallest -1: expected a difference from 0 to 100 percentage points"),
        (["runs", "--smallest", "nan"], "--smallest nan: expected a difference from 0 to 100 percentage points"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(make_run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "runs":
        make_run("a", [6.0])
    check(called(lambda: sys.exit(command.main(arguments))), message)


def test_a_mistake_from_a_terminal_is_one_line_too(program):
    check(program("aggregate.py", "nowhere"), "nowhere is not a folder")


def check(done, message):
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_report_needs_neither_torch_nor_hydra_and_help_not_even_pandas():
    code = (
        "import sys, contextlib, cifar_resnet.report.command as command\n"
        "with contextlib.suppress(SystemExit): command.main(['--help'])\n"
        "light = not {'pandas', 'scipy', 'matplotlib', 'rich'} & set(sys.modules)\n"
        "from cifar_resnet.report import claims, overview, tables\n"
        "from cifar_resnet.report.runs import load\n"
        "sys.exit(not light or bool({'torch', 'hydra'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_the_bar_appears_after_a_while():
    text = io.StringIO()
    with Bar(Console(file=text, force_terminal=True, width=80), patience=0) as bar:
        bar("reading runs", 3, 10)
    assert "reading runs" in text.getvalue() and "3/10" in text.getvalue()


def test_the_bar_does_not_appear_for_quick_work():
    text = io.StringIO()
    with Bar(Console(file=text, force_terminal=True, width=80), patience=3600) as bar:
        bar("reading runs", 3, 10)
    assert text.getvalue() == ""


def test_a_filter_without_its_option_is_told_from_a_folder(make_run, tmp_path, capsys):
    make_run("lr=0.1", [60.0, 6.0])
    assert command.main([str(tmp_path / "runs/lr=0.1"), "model=resnet"]) == 2
    expected = "error: model=resnet is not a folder; to use only the runs with this value: --where model=resnet\n"
    assert capsys.readouterr().err == expected
