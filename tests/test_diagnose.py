"""Networks are measured before any training, with the keys of train.py."""

import pandas as pd
import pytest
import torch

from cifar_resnet import diagnose
from cifar_resnet.run.config import from_container
from cifar_resnet.training.data import load
from cifar_resnet.training.loop import Training
from tests.conftest import TINY, compose_run, tree

SMALL = ["data=synthetic", "data.train_size=16", "data.test_size=1", "data.image_size=8", "model.width=4"]


def test_each_network_has_its_layers_and_a_picture(tmp_path, capsys):
    words = ["model=plain,resnet", "depth=8,14", "model.norm=batch,none", "runtime.threads=1", *SMALL]
    assert diagnose.main([*words, "--out", str(tmp_path)]) == 0
    assert "80 layers of 8 networks" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "initialisation.csv")
    counts = table.groupby(["model", "depth", "setting"])["layer"].max()
    assert counts.to_dict() == {
        (model, depth, f"norm={norm}"): depth - 1
        for model in ("plain", "resnet")
        for depth in (8, 14)
        for norm in ("batch", "none")
    }
    assert (table["output_grad_norm"] > 0).all()
    assert (tmp_path / "initialisation.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["depth=21"], "nearest are 20 and 26"),
        (["model=resnt"], "expected one of plain, preact, resnet"),
        (["model.nrm=none"], "did you mean model.norm?"),
        (["model=plain", "model.zero_init_residual=true"], "expected resnet or preact"),
        (["init_from=/nonexistent/run", "depth=8"], "init_from=/nonexistent/run has no effect"),
        (["precision=bf16,fp32", "depth=8"], "precision=bf16,fp32 has no effect"),
        (["depth=8", "optim.lr=0.1,0.5"], "optim.lr=0.1,0.5 has no effect"),
        (["optim=cosine"], "accepted are model and model.…, data and data.…, depth, seed"),
        (["diagnostics.every=3"], "leave it out"),
        (["runtime.kernels=eager"], "leave it out"),
        (["sweeps=demo"], "leave it out"),
        (["dept=8"], "unknown key dept: did you mean depth?"),
        (["--out", "/proc/nowhere", "depth=8", "runtime.threads=1", *SMALL], "expected a folder that can be written"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        diagnose.main(words)
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert tree(tmp_path) == []


def test_the_numbers_are_those_that_a_run_of_the_same_config_begins_with():
    config = compose_run(*TINY, "seed=3", "model=preact", "diagnostics.enabled=true")
    checked = from_container(config)
    run = Training(checked, load(checked.data, checked.seed), torch.device("cpu"))
    run.diagnose()
    measured = diagnose.measure([config])[list(run.diagnostics[0])]
    pd.testing.assert_frame_equal(measured, pd.DataFrame(run.diagnostics), check_dtype=False)
