"""How torch is set up before a run, with a fake device where there is no GPU."""

import pytest
import torch

from cifar_resnet.devices import Gpu
from cifar_resnet.errors import ConfigError
from cifar_resnet.run.config import from_container
from cifar_resnet.training import backend
from cifar_resnet.training.models import build_network
from tests.conftest import TINY

pytestmark = pytest.mark.usefixtures("restored_torch")


def set_up(composed, *overrides):
    return backend.set_up(from_container(composed(*TINY, *overrides)))


@pytest.mark.parametrize(("precision", "allowed"), [("fp32", False), ("bf16", False), ("tf32", True)])
def test_only_tf32_lets_a_gpu_round_to_it(composed, monkeypatch, precision, allowed):
    monkeypatch.setattr(backend, "check_support", lambda *asked: None)  # as on a GPU, where there is none
    set_up(composed, f"precision={precision}")
    assert torch.backends.cudnn.allow_tf32 is allowed
    assert torch.backends.cuda.matmul.allow_tf32 is allowed


@pytest.mark.parametrize("deterministic", [True, False])
def test_deterministic_takes_no_algorithm_by_its_speed(composed, deterministic):
    set_up(composed, f"runtime.deterministic={deterministic}")
    assert torch.are_deterministic_algorithms_enabled() is deterministic
    assert torch.backends.cudnn.benchmark is not deterministic


def test_one_run_that_is_deterministic_leaves_the_next_of_its_process_as_it_asks_to_be(composed):
    set_up(composed, "runtime.deterministic=true")
    set_up(composed, "runtime.deterministic=false")
    assert not torch.are_deterministic_algorithms_enabled()


def test_threads_are_those_of_the_config(composed):
    assert set_up(composed, "runtime.threads=1")[1] == torch.get_num_threads() == 1


def test_the_device_is_a_gpu_where_there_is_one_and_it_is_wanted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [backend.choose_device(name).type for name in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(backend, "visible_gpus", list)
    assert [backend.choose_device(name).type for name in ("auto", "cpu")] == ["cpu", "cpu"]
    with pytest.raises(ConfigError, match="torch finds no GPU"):
        backend.choose_device("cuda")


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_gpu_that_torch_cannot_use_is_not_replaced_by_the_cpu(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(backend, "visible_gpus", lambda: [Gpu("0", "aa")])
    with pytest.raises(ConfigError, match=f"runtime.device={device}: torch can't use this machine's GPU"):
        backend.choose_device(device)
    assert backend.choose_device("cpu").type == "cpu"


@pytest.mark.parametrize("overrides", [["runtime.kernels=graph"], ["precision=fp16"]])
def test_what_needs_a_gpu_is_refused_on_a_cpu(composed, overrides):
    with pytest.raises(ConfigError, match="it needs a GPU"):
        set_up(composed, *overrides, "runtime.device=cpu")


def test_for_a_gpu_each_block_is_compiled_and_shares_the_networks_weights(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda module, **options: compiled.append(module) or module)
    network = build_network("resnet", 20)
    twin = backend.compiled(network, torch.device("cuda"))
    assert compiled == list(network.blocks)
    assert list(network.blocks) == list(network.get_submodule("blocks"))
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(twin.eval()(images), network.eval()(images))
    assert backend.compiled(network, torch.device("cpu")) is network
