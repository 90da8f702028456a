"""The cores and GPUs that a sweep distributes, with a fake driver for counting the GPUs."""

import ctypes
import importlib
import types

import pytest

from cifar_resnet import devices
from cifar_resnet.errors import ConfigError


class Driver:
    """The functions of libcuda.so.1 that `visible_gpus` calls, for a machine with these GPUs."""

    def __init__(self, uuids, fault=None):
        self.uuids, self.fault = uuids, fault

    def cuInit(self, flags):
        return 100 if self.fault == "init" else 0

    def cuDeviceGetCount(self, reference):
        reference._obj.value = len(self.uuids)
        return 0

    def cuDeviceGetAttribute(self, reference, attribute, number):
        reference._obj.value = {75: 7, 76: 5}[attribute]
        return 0

    def cuDriverGetVersion(self, reference):
        reference._obj.value = 12040
        return 0

    def cuDeviceGetUuid_v2(self, reference, number):
        reference._obj.raw = self.uuids[number]
        return 1 if self.fault == "uuid" else 0


@pytest.fixture
def machine(monkeypatch):
    """Simulates a machine whose driver shows this many GPUs, with the given CUDA_VISIBLE_DEVICES."""

    def make(count, visible=None, fault=None, torch="2.13.0+cu130"):
        driver = Driver([bytes([number]) * 16 for number in range(count)], fault)
        monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
        monkeypatch.setattr(devices.metadata, "version", lambda name: torch)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return make


@pytest.mark.parametrize(
    ("count", "visible", "names"),
    [
        (0, None, []),
        (2, None, ["0", "1"]),
        (0, "", []),
        (2, "3, 5", ["3", "5"]),
        (1, "GPU-8932f937", ["GPU-8932f937"]),
        (2, "0,1,-1,2", ["0", "1"]),  # the driver stops at the first name that it doesn't know
    ],
)
def test_gpus_are_named_as_cuda_visible_devices_names_them(machine, count, visible, names):
    machine(count, visible)
    assert [gpu.name for gpu in devices.visible_gpus()] == names
    assert devices.count_gpus() == len(names)


def test_a_gpu_is_known_by_its_uuid_whatever_number_it_has_here(machine):
    machine(2, "3,5")
    assert [gpu.uuid for gpu in devices.visible_gpus()] == ["00" * 16, "01" * 16]


def test_a_gpu_without_uuid_is_known_by_its_name(machine):
    machine(1, "3", fault="uuid")
    assert devices.visible_gpus() == [devices.Gpu("3", "3", capability=(7, 5))]


def test_no_gpu_is_seen_by_a_build_without_cuda_nor_where_the_driver_fails(machine):
    machine(2, torch="2.13.0+cpu")
    assert devices.count_gpus() == 0
    machine(2, fault="init")
    assert devices.count_gpus() == 0


def test_no_gpu_is_seen_where_there_is_no_driver(machine, monkeypatch):
    machine(2)

    def absent(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", absent)
    assert devices.count_gpus() == 0


@pytest.mark.parametrize(
    ("device", "gpus", "runs_per_gpu", "n_jobs"),
    [("auto", 4, 1, 4), ("cuda", 2, 1, 2), ("cuda", 2, 3, 6), ("cpu", 4, 2, 5), ("auto", 0, 2, 5)],
)
def test_a_sweep_runs_as_many_at_a_time_as_the_gpus_take_or_else_cores(
    machine, monkeypatch, device, gpus, runs_per_gpu, n_jobs
):
    machine(gpus)
    monkeypatch.setattr(devices, "count_cores", lambda: 5)
    assert devices.default_n_jobs(device, runs_per_gpu) == n_jobs


def test_cores_respect_the_limit_that_joblib_respects(monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert devices.count_cores() == 1


@pytest.mark.parametrize(
    ("version", "gpus", "fault"),
    [
        ("cuda: Optional[str] = '13.0'", 1, "its driver supports CUDA 12, and this torch needs CUDA 13"),
        ("cuda = '12.8'", 1, None),  # any driver of the same major version will do
        ("cuda: Optional[str] = None", 1, None),
        ("cuda = '13.0'", 0, None),
    ],
)
def test_a_driver_too_old_for_torch_is_found_without_importing_it(machine, monkeypatch, tmp_path, version, gpus, fault):
    machine(gpus)
    (tmp_path / "version.py").write_text(f"__version__ = '2.13.0'\n{version}\n")
    found = types.SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: found)
    assert devices.driver_fault() == fault


def test_the_installed_torch_is_asked_for_its_cuda():
    version = importlib.import_module("torch").version.cuda
    assert devices._cuda_of_torch() == (None if version is None else int(version.partition(".")[0]))


@pytest.mark.parametrize(
    ("precision", "kernels", "capability", "refusal"),
    [
        (
            "bf16",
            "auto",
            (7, 5),
            "precision=bf16: it needs a GPU of compute capability 8.0 or higher, and this one has 7.5",
        ),
        ("tf32", "auto", (7, 0), "expected one of fp32, fp16$"),
        (
            "fp16",
            "auto",
            None,
            "precision=fp16: it needs a GPU, and the run would .*; expected one of fp32, bf16$",
        ),
        ("tf32", "auto", None, "precision=tf32: it needs a GPU"),
        ("fp32", "graph", None, "runtime.kernels=graph: it needs a GPU"),
    ],
)
def test_what_a_device_cannot_compute_is_refused_in_one_line(precision, kernels, capability, refusal):
    with pytest.raises(ConfigError, match=refusal):
        devices.check_support(precision, kernels, capability)


@pytest.mark.parametrize(
    ("precision", "kernels", "capability"),
    [("bf16", "auto", (8, 0)), ("fp16", "graph", (7, 0)), ("bf16", "fused", None), ("tf32", "eager", (8, 0))],
)
def test_what_a_device_can_compute_is_not_refused(precision, kernels, capability):
    devices.check_support(precision, kernels, capability)
