"""Every file that the programs write: complete and on disk before it has its name, with the permissions of umask."""

import contextlib
import os
import resource
import stat
import tracemalloc
from pathlib import Path

import pytest

from cifar_resnet import diagnose
from cifar_resnet.report import command
from cifar_resnet.run.files import FULL_DISK, overwrite, read, write_atomically
from cifar_resnet.run.folder import RunDir
from tests.conftest import TINY, tree, work
from tests.report.conftest import write_run


@pytest.fixture
def umask(request):
    """0o027, which lets the group read and excludes others, or the test's parameter."""
    mask = getattr(request, "param", 0o027)
    before = os.umask(mask)
    yield mask
    os.umask(before)


@pytest.fixture
def placed(monkeypatch):
    """The files that have received their names so far, and whether each was completely on disk by then."""
    files: dict[Path, bool] = {}
    synced: dict[int, int] = {}
    fsync, replace = os.fsync, os.replace

    def sync(descriptor):
        fsync(descriptor)
        found = os.fstat(descriptor)
        synced[found.st_ino] = found.st_size

    def put(source, target, **options):
        found = Path(source).stat()
        files[Path(target)] = synced.get(found.st_ino) == found.st_size
        replace(source, target, **options)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", put)
    return files


def check(folder, placed, umask, others=()):
    """Asserts that all files of the folder except `others` were written atomically, with the mode from umask."""
    written = [folder / name for name in tree(folder) if Path(name).name not in others]
    assert {path: placed.get(path) for path in written} == dict.fromkeys(written, True)
    modes = {path: oct(stat.S_IMODE(path.stat().st_mode)) for path in written}
    assert modes == dict.fromkeys(written, oct(0o666 & ~umask))


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077], indirect=True, ids=oct)
def test_a_file_is_on_disk_before_it_has_its_name_and_umask_says_who_may_read_it(tmp_path, placed, umask):
    def write(file):
        # Until then it is in the same folder, and so on the same disk, but hidden.
        (meanwhile,) = tmp_path.iterdir()
        assert meanwhile.name.startswith(".a.")
        file.write(b"text")

    write_atomically(tmp_path / "a", write)
    assert (tmp_path / "a").read_bytes() == b"text"
    check(tmp_path, placed, umask)
    assert os.umask(umask) == umask  # unchanged


def test_files_that_a_run_consists_of(tmp_path, placed, umask, composed):
    run = RunDir(tmp_path / "run")
    run.write_config(composed(*TINY, "diagnostics.enabled=true", "runtime.checkpoint_seconds=0"))
    assert work(run).returncode == 0
    expected = {run.config, run.status, run.metrics, run.diagnostics, run.predictions, run.checkpoint, run.final}
    assert expected | {run.previous_checkpoint} <= set(run.path.iterdir())
    check(run.path, placed, umask, {run.log.name, "run.lock"})


def test_files_that_a_report_consists_of(tmp_path, placed, umask):
    write_run(tmp_path / "runs", "a", [60.0, 6.0])
    write_run(tmp_path / "runs", "b", [60.0, 7.0], model="plain", data__name="other", data__kind="synthetic")
    assert command.main([str(tmp_path / "runs"), "--out", str(tmp_path / "report")]) == 0
    written = {Path(name).name for name in tree(tmp_path / "report")}
    assert {"index.md", "report.md", "report.html", "report.tex", "epochs.csv", "main.csv"} <= written
    assert {"test_error.png", "test_error.svg"} <= written
    check(tmp_path / "report", placed, umask)


def test_files_that_diagnose_writes(tmp_path, placed, umask):
    small = ["data=synthetic", "data.train_size=16", "data.test_size=1", "data.image_size=8", "model.width=4"]
    assert diagnose.main([*small, "depth=8", "runtime.threads=1", "--out", str(tmp_path)]) == 0
    check(tmp_path, placed, umask)


def test_a_file_that_cannot_be_put_in_place_leaves_no_other(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomically(tmp_path / "a", lambda file: file.write(b"text"))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@contextlib.contextmanager
def no_space_from(size):
    """No file can grow beyond this size, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("length", [0, 1, 4000, 4001, 4096])
def test_overwriting_needs_no_more_space_than_the_file_has(tmp_path, length):
    (tmp_path / "a").write_text("x" * 4000)
    with no_space_from(4096):
        overwrite(tmp_path / "a", "y" * length)
    assert (tmp_path / "a").read_text() == "y" * length


def test_a_text_that_has_no_space_leaves_the_file_as_it_was(tmp_path):
    (tmp_path / "a").write_text("x" * 4000)
    with no_space_from(4096), pytest.raises(OSError) as error:
        overwrite(tmp_path / "a", "y" * 4097)
    assert error.value.errno in FULL_DISK
    assert (tmp_path / "a").read_text() == "x" * 4000


def test_a_full_disk_is_named_by_the_file_that_was_to_be_written(tmp_path):
    def write(file):
        raise OSError(28, "No space left on device", file.name)

    with pytest.raises(OSError) as error:
        write_atomically(tmp_path / "a", write)
    assert (error.value.errno, error.value.filename) == (28, str(tmp_path / "a"))


def test_reading_a_small_file_takes_little_memory_however_large_it_might_be(tmp_path):
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(b"state")
    tracemalloc.start()
    try:
        assert read(file, most=2**32) == b"state"
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
