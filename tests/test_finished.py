"""A finished run can be loaded in Python and tested again, with the numbers it finished with."""

import csv
import dataclasses
import errno
import inspect
import re
import subprocess
import sys
import textwrap

import pytest
import torch

import cifar_resnet
from cifar_resnet import evaluate, finished
from cifar_resnet.errors import DataError, RunError
from cifar_resnet.precisions import PRECISIONS
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State
from cifar_resnet.training.data import normalise
from tests.conftest import TINY, compose_run, work


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run on eight classes of noise."""
    run = RunDir(tmp_path_factory.mktemp("finished") / "run")
    run.write_config(compose_run(*TINY))
    assert work(run).returncode == 0
    return run


def test_predictions_are_those_of_the_final_test_error(run):
    rows = list(csv.DictReader(run.predictions.open()))
    assert [int(row["index"]) for row in rows] == list(range(32))
    wrong = sum(row["label"] != row["prediction"] for row in rows)
    assert 100 * wrong / 32 == run.read_status()["outcome"]["test_error"]
    assert all(0.1 <= float(row["probability"]) <= 1 for row in rows)


def test_a_run_with_damaged_predictions_is_mended(run):
    whole = run.predictions.read_bytes()
    run.predictions.write_bytes(whole[:-20])
    assert run.verified_state() is State.INTERRUPTED
    assert work(run).returncode == 0
    assert run.predictions.read_bytes() == whole


def test_the_docstrings_example_works(run, capsys):
    described = inspect.getdoc(cifar_resnet.load_run)  # Python 3.13 removes the indentation of docstrings
    (example,) = re.findall(r"^ {4}import cifar_resnet\n.*?(?=\n\nArgs)", described, re.M | re.S)
    names = {}
    exec(textwrap.dedent(example).replace("outputs/digits/resnet-20/seed0-0123abcd", str(run.path)), names)
    error = (names["predictions"] != names["test"].labels).float().mean().item()
    assert 100 * error == pytest.approx(run.read_status()["outcome"]["test_error"])
    assert "resnet 8 0.1" in capsys.readouterr().out
    assert len(example.splitlines()) == 10


def test_importing_the_package_loads_neither_torch_nor_pandas():
    code = "import sys, cifar_resnet; sys.exit(bool({'torch', 'pandas', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_unfinished_run_is_refused_in_words(tmp_path, run):
    other = RunDir(tmp_path / "other")
    other.write_config(run.read_config())
    with pytest.raises(RunError, match="is pending: expected a finished run"):
        cifar_resnet.load_run(other.path)


def test_weights_of_another_network_are_refused(run):
    whole = run.final.read_bytes()
    torch.save({"conv1.weight": torch.zeros(1, 1), "linear.weight": torch.zeros(1, 1)}, run.final)
    with pytest.raises(RunError, match="doesn't contain weights of this run's network"):
        cifar_resnet.load_run(run.path)
    run.final.write_bytes(whole)


def bit_flipped(content: bytes) -> bytes:
    half = len(content) // 2
    return content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]


@pytest.mark.parametrize(
    ("damage", "reason", "is_noticed"),
    [
        (lambda content: content[:-1], "it is not the one that the run finished with", True),
        (bit_flipped, "it is not the one that the run finished with", False),  # reading all of each file takes too long
    ],
    ids=["truncated", "one bit"],
)
def test_damaged_weights_are_refused_with_a_remedy_that_works(run, capsys, damage, reason, is_noticed):
    whole, checkpoint = run.final.read_bytes(), run.checkpoint.read_bytes()
    run.final.write_bytes(damage(whole))
    run.checkpoint.unlink()
    with pytest.raises(RunError, match=f"{reason}; there is no checkpoint.pt to write it from, so delete {run.path}"):
        cifar_resnet.load_run(run.path)
    run.checkpoint.write_bytes(checkpoint)
    assert evaluate.main([str(run.path)]) == 2
    # The folder doesn't have its usual name, so its training command would use another one.
    again = f"run python -m cifar_resnet.training.worker {run.path}, which writes it from checkpoint.pt"
    assert capsys.readouterr().err.endswith(f"{reason}; delete it and {again}\n")
    assert ("skipped" in work(run).stdout) is not is_noticed
    assert (run.final.read_bytes() == whole) is is_noticed
    run.final.unlink()
    assert evaluate.main([str(run.path)]) == 2
    assert capsys.readouterr().err == f"error: {run.final} is missing; {again}\n"
    assert work(run).returncode == 0
    assert run.final.read_bytes() == whole
    assert evaluate.main([str(run.path)]) == 0


def test_evaluation_says_the_recorded_error_again(run, capsys, tmp_path):
    picture = tmp_path / "mistakes.png"
    assert evaluate.main([str(run.path), "runtime.threads=1", "--mistakes", str(picture)]) == 0
    out = capsys.readouterr().out
    recorded = run.read_status()["outcome"]["test_error"]
    assert f"test error {recorded:.6g} % of 32 images; recorded {recorded:.6g} %: equal" in out
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_run_can_be_tested_in_another_precision(run, capsys):
    whole = run.predictions.read_bytes()
    run.predictions.unlink()
    run.update_status(predictions_digest=None)
    try:
        code = evaluate.main([str(run.path), "precision=bf16"])
        out = capsys.readouterr().out
        assert re.match(r"test error \S+ % of 32 images in bf16; recorded \S+ % in fp32: ", out)
        assert (": equal" in out, "not equal: another precision may round differently" in out) == (code == 0, code == 1)
        assert not run.predictions.exists()
    finally:
        run.predictions.write_bytes(whole)


def test_a_run_with_graphs_can_be_tested_on_a_cpu(run, capsys, monkeypatch):
    loaded = finished.load(run.path)
    runtime = dataclasses.replace(loaded.config.runtime, kernels="graph")
    graphs = dataclasses.replace(loaded, config=dataclasses.replace(loaded.config, runtime=runtime))
    monkeypatch.setattr(finished, "load", lambda folder: graphs)
    assert evaluate.main([str(run.path), "runtime.device=cpu"]) == 0


@pytest.mark.parametrize("precision", [name for name, one in PRECISIONS.items() if one.needs_gpu])
def test_a_precision_for_gpus_is_refused_on_a_cpu_with_those_that_work(run, capsys, precision):
    assert evaluate.main([str(run.path), f"precision={precision}", "runtime.device=cpu"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: precision={precision}: it needs a GPU, and the run would use the CPU")
    assert err.endswith("expected one of fp32, bf16\n")


def test_a_run_from_before_there_were_predictions_gets_them(run, capsys):
    whole = run.predictions.read_bytes()
    run.predictions.unlink()
    run.update_status(predictions_digest=None)
    assert run.verified_state() is State.FINISHED
    assert evaluate.main([str(run.path)]) == 0
    assert run.predictions.read_bytes() == whole
    assert run.verified_state() is State.FINISHED


def test_the_test_error_of_another_users_run_is_printed_even_if_nothing_can_be_added(run, capsys, monkeypatch):
    whole = run.predictions.read_bytes()
    run.predictions.unlink()

    def refuse(*arguments):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(type(run), "lock", refuse)
    run.update_status(predictions_digest=None)
    assert evaluate.main([str(run.path)]) == 0
    assert "predictions.csv can't be added (Permission denied)" in capsys.readouterr().out
    run.predictions.write_bytes(whole)


def test_an_error_that_differs_is_said_with_exit_code_1(run, capsys):
    status = run.read_status()
    run.update_status(outcome={**status["outcome"], "test_error": 3.125})
    assert evaluate.main([str(run.path)]) == 1
    assert "recorded 3.125 %: not equal" in capsys.readouterr().out
    run.update_status(outcome=status["outcome"])


def test_other_images_are_refused(run):
    status = run.read_status()
    run.update_status(data={**status["data"], "fingerprint": "0123456789abcdef"})
    with pytest.raises(DataError, match="are not those of"):
        cifar_resnet.load_run(run.path).load_data()
    run.update_status(data=status["data"])


@pytest.mark.parametrize("arguments", [["depth=20"], ["data.root"], ["runtime.threads=0"], ["--mistakes", "/no/a.png"]])
def test_a_mistake_is_one_line_and_exit_code_2(run, capsys, arguments):
    assert evaluate.main([str(run.path), *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_a_loaded_network_is_in_evaluation_mode_and_takes_images_as_in_training(run):
    loaded = cifar_resnet.load_run(run.path)
    dataset = loaded.load_data()
    assert not loaded.network.training
    mean, std = torch.tensor(dataset.mean), torch.tensor(dataset.std)
    expected = normalise(dataset.test.images, mean, std)
    torch.testing.assert_close(loaded.normalise(dataset.test.images), expected, rtol=0, atol=0)
    predictions = loaded.network(expected).argmax(1).tolist()
    assert predictions == [int(row["prediction"]) for row in csv.DictReader(run.predictions.open())]
