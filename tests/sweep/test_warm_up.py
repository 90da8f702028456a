"""A sweep compiles the fused kernels once, before its first worker, and only if a worker will need them."""

import os
import sys
import types

import pytest

from cifar_resnet.run.config import from_container
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State
from cifar_resnet.sweep import warm_up
from tests.conftest import TINY

numba = pytest.importorskip("numba")


@pytest.fixture
def compiled(monkeypatch, tmp_path, composed):
    """The precisions that a sweep of one run with these overrides compiles kernels for; None if it compiles none."""
    commands = []
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    source = tmp_path / "training" / "kernels.py"
    source.parent.mkdir()
    source.touch()
    monkeypatch.setattr(warm_up, "_SOURCE", source)
    monkeypatch.setattr(
        warm_up, "subprocess", types.SimpleNamespace(run=lambda command, **options: commands.append(command))
    )

    def of(*overrides, gpus=0, state=State.PENDING, at_a_time=-1):
        monkeypatch.setattr(warm_up, "count_slots", lambda device, runs_per_gpu: gpus)
        run = RunDir(tmp_path / "run")
        run.path.mkdir(exist_ok=True)
        run.update_status(state=state)
        config = from_container(composed(*TINY, "runtime.kernels=auto", *overrides))
        warm_up.compile_kernels({run: config}, at_a_time)
        return commands.pop()[3:] if commands else None

    return of


def test_kernels_are_compiled_in_the_runs_precision(compiled):
    assert compiled() == ["fp32"]
    assert compiled("precision=bf16") == ["bf16"]
    assert compiled("runtime.threads=null") == ["fp32"]
    assert compiled("runtime.kernels=fused", "runtime.threads=2") == ["fp32"]


@pytest.mark.parametrize(
    ("overrides", "machine"),
    [
        (["runtime.kernels=eager"], {}),
        (["runtime.compile=true"], {}),
        (["model.norm=none"], {}),
        (["runtime.threads=2"], {}),
        ([], {"gpus": 1}),
        ([], {"state": State.DIVERGED}),
    ],
)
def test_nothing_is_compiled_for_runs_that_use_other_kernels(compiled, overrides, machine):
    assert compiled(*overrides, **machine) is None


def test_nothing_is_compiled_without_numba(compiled, monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    assert compiled() is None


def next_to_the_source(monkeypatch, tmp_path):
    return tmp_path / "training" / "__pycache__"


def of_the_user(monkeypatch, tmp_path):
    (tmp_path / "training" / "__pycache__").touch()  # so that it can't be a folder; root could write to a read-only one
    return tmp_path / "user" / "numba"


def as_set(monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "set"))  # as NUMBA_CACHE_DIR does when Numba starts
    return tmp_path / "set"


@pytest.mark.parametrize("place", [next_to_the_source, of_the_user, as_set])
def test_a_cache_counts_wherever_numba_keeps_it_as_long_as_it_is_newer_than_the_source(
    compiled, monkeypatch, tmp_path, place
):
    folder = place(monkeypatch, tmp_path)
    assert compiled() == ["fp32"]
    (cache,) = [folder] if place is next_to_the_source else folder.iterdir()
    index = cache / "kernels.forward-80.py311.nbi"
    index.touch()
    os.utime(index, (warm_up._SOURCE.stat().st_mtime + 1,) * 2)
    assert compiled() is None
    os.utime(index, (1, 1))
    assert compiled() == ["fp32"]


def test_nothing_is_compiled_where_numba_has_no_folder_for_its_cache(compiled, monkeypatch, tmp_path):
    of_the_user(monkeypatch, tmp_path).parent.touch()
    assert compiled() is None


def test_the_kernels_themselves_are_cached_in_that_folder():
    from cifar_resnet.training import kernels

    assert str(warm_up._cache_folder()) == kernels.forward.stats.cache_path
