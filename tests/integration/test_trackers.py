"""Runs copied to a real MLflow, with a database and its page in a real browser, and to a real, offline W&B."""

import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from cifar_resnet.export.__main__ import main
from tests.conftest import wait_for
from tests.integration.browser import CHROMIUM, Browser
from tests.report.conftest import write_run

pytestmark = pytest.mark.integration


def make(folder, name, errors, state="finished", **options):
    return write_run(
        folder / "outputs", name, errors, state=state, status={"started": "2026-01-02T03:04:05+00:00"}, **options
    )


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "good", [30.0, 20.0])
    make(tmp_path, "lost", [90.0], state="diverged", seed=1)
    make(tmp_path, "stopped", [40.0], state="interrupted", seed=2)
    (tmp_path / "outputs" / "report").mkdir()
    (tmp_path / "outputs" / "report" / "report.html").write_text("<p>first</p>")
    return tmp_path


def last_line(capsys):
    return capsys.readouterr().out.splitlines()[-1]


@pytest.fixture
def mlflow(folder, monkeypatch):
    pytest.importorskip("mlflow", reason="needs `pip install -e '.[mlflow]'`")
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    # The library keeps the first address that it is used with.
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    return MlflowClient()


def runs_in(mlflow):
    experiment = mlflow.get_experiment_by_name("cifar-resnet").experiment_id
    return {(run.info.run_name, run.data.tags.get("state")): run for run in mlflow.search_runs([experiment])}


def test_mlflow_gets_each_run_once_and_later_what_is_new(folder, mlflow, capsys):
    assert main(["outputs", "--to", "mlflow"]) == 0
    assert last_line(capsys) == "3 runs: 3 new"
    found = runs_in(mlflow)
    assert {(name, run.info.status) for (name, _), run in found.items()} == {
        ("resnet-20/good", "FINISHED"),
        ("resnet-20/lost", "FAILED"),
        ("resnet-20/stopped", "KILLED"),
        ("report", "FINISHED"),
    }
    good = found["resnet-20/good", "finished"]
    history = mlflow.get_metric_history(good.info.run_id, "test_error")
    assert [(point.step, point.value) for point in history] == [(1, 30), (2, 20)]
    assert good.data.params["depth"] == "20"
    assert {file.path for file in mlflow.list_artifacts(good.info.run_id)} == {"config.yaml", "run.json", "metrics.csv"}

    assert main(["outputs", "--to", "mlflow"]) == 0
    assert last_line(capsys) == "3 runs: 3 unchanged"

    make(folder, "stopped", [40.0, 35.0, 33.0], seed=2)  # continued, to its end
    (folder / "outputs" / "report" / "report.html").write_text("<p>second</p>")
    assert main(["outputs", "--to", "mlflow"]) == 0
    assert last_line(capsys) == "3 runs: 2 unchanged, 1 updated"
    found = runs_in(mlflow)
    assert len(found) == 4
    continued = found["resnet-20/stopped", "finished"]
    assert continued.info.status == "FINISHED"
    history = mlflow.get_metric_history(continued.info.run_id, "test_error")
    assert [(point.step, point.value) for point in history] == [(1, 40), (2, 35), (3, 33)]
    report = mlflow.download_artifacts(found["report", None].info.run_id, "report.html")
    assert Path(report).read_text() == "<p>second</p>"


def test_a_run_that_was_trained_again_from_the_start_does_not_mix_with_what_it_was(folder, mlflow, capsys):
    main(["outputs", "--to", "mlflow"])
    make(folder, "lost", [80.0, 70.0], seed=1)
    assert main(["outputs", "--to", "mlflow"]) == 0
    assert last_line(capsys) == "3 runs: 1 new, 2 unchanged"
    found = runs_in(mlflow)
    assert {state for name, state in found if name == "resnet-20/lost"} == {"replaced", "finished"}
    history = mlflow.get_metric_history(found["resnet-20/lost", "finished"].info.run_id, "test_error")
    assert [point.value for point in history] == [80, 70]
    main(["outputs", "--to", "mlflow"])
    assert last_line(capsys) == "3 runs: 3 unchanged"


def test_parameters_that_a_killed_export_did_not_log_are_logged_by_the_next(mlflow, monkeypatch, capsys):
    from cifar_resnet.export import to_mlflow

    class KilledError(Exception):
        pass

    def die(*arguments):
        raise KilledError

    with monkeypatch.context() as first, pytest.raises(KilledError):
        first.setattr(to_mlflow.MlflowClient, "log_batch", die)
        main(["outputs", "--to", "mlflow"])
    (run,) = runs_in(mlflow).values()
    assert run.data.params == {}
    assert main(["outputs", "--to", "mlflow"]) == 0
    assert last_line(capsys) == "3 runs: 2 new, 1 updated"
    assert mlflow.get_run(run.info.run_id).data.params["depth"] == "20"
    main(["outputs", "--to", "mlflow"])
    assert last_line(capsys) == "3 runs: 3 unchanged"


@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")
def test_mlflows_own_page_shows_the_runs(folder, mlflow):
    main(["outputs", "--to", "mlflow"])
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    server = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    browser = Browser(folder / "profile")
    try:
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
        browser.resize(1400)
        experiment = mlflow.get_experiment_by_name("cifar-resnet").experiment_id
        browser.call("Page.navigate", url=f"http://127.0.0.1:{port}/#/experiments/{experiment}/runs")
        wait_for(lambda: "resnet-20/stopped" in (browser.evaluate("document.body?.innerText") or ""), seconds=300)
        assert "resnet-20/good" in browser.evaluate("document.body.innerText")
        if os.environ.get("PICTURE"):
            browser.screenshot(Path(os.environ["PICTURE"]))
    finally:
        browser.close()
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def test_a_server_that_is_not_there_is_one_line(mlflow, monkeypatch, capsys):
    import mlflow as library

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    library.set_tracking_uri("http://127.0.0.1:9")
    assert main(["outputs", "--to", "mlflow"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("error: --to mlflow: ") and lines[-1].endswith("MLFLOW_TRACKING_URI names the server")


def log_records(data):
    """The records of a LevelDB log after W&B's header of 7 bytes: blocks of 32 KiB; a record may have several parts."""
    position, record = 7, b""
    while position + 7 <= len(data):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
            continue
        size, kind = struct.unpack("<HB", data[position + 4 : position + 7])
        record += data[position + 7 : position + 7 + size]
        position += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


def offline_rows(folder):
    """Run → (step, test error) of each row that an offline W&B has written."""
    from wandb.proto import wandb_internal_pb2

    rows = {}
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for data in log_records(path.read_bytes()):
            record = wandb_internal_pb2.Record.FromString(data)
            if record.WhichOneof("record_type") == "history":
                values = {item.key or item.nested_key[0]: item.value_json for item in record.history.item}
                step = record.history.step.num or int(values["_step"])
                rows.setdefault(path.stem, []).append((step, float(values["test_error"])))
    return rows


def test_an_offline_wandb_gets_each_epoch_once(folder, monkeypatch, capsys):
    pytest.importorskip("wandb", reason="needs `pip install -e '.[wandb]'`")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert main(["outputs", "--to", "wandb"]) == 0
    assert last_line(capsys) == "3 runs: 3 new"
    assert main(["outputs", "--to", "wandb"]) == 0
    assert last_line(capsys) == "3 runs: 3 unchanged"
    make(folder, "stopped", [40.0, 35.0], seed=2)  # continued
    make(folder, "lost", [80.0], seed=1)  # trained again
    assert main(["outputs", "--to", "wandb"]) == 0
    assert last_line(capsys) == "3 runs: 1 new, 1 unchanged, 1 updated"
    assert sorted(sorted(rows) for rows in offline_rows(folder).values()) == [
        [(1, 30.0), (2, 20.0)],
        [(1, 40.0), (2, 35.0)],
        [(1, 80.0)],
        [(1, 90.0)],
    ]
