"""CIFAR-10 and CIFAR-100 in their original format, downloaded from the test's own HTTP server."""

import hashlib
import http.server
import io
import pickle
import re
import tarfile
import threading

import numpy as np
import pytest

from cifar_resnet.datasets import DATASETS
from cifar_resnet.errors import DataError
from cifar_resnet.training.data import download, load
from cifar_resnet.training.data.cifar import import_torchvision
from tests.training.data.test_dataset import config

datasets = import_torchvision().datasets
CLASSES = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}


def batch(labels, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 3072), dtype=np.uint8)
    return {"data": pixels, "labels": labels, "fine_labels": labels, "batch_label": "made by a test"}


def make_archive(kind):
    """The data set's archive with 20 images per batch, and the checksums of its files."""
    dataset = CLASSES[kind]
    classes = [f"class{index}" for index in range(10 if kind == "cifar10" else 100)]
    names = [name for name, _ in dataset.train_list + dataset.test_list]
    files = {name: pickle.dumps(batch([i % 10 for i in range(20)], seed)) for seed, name in enumerate(names)}
    files[dataset.meta["filename"]] = pickle.dumps({dataset.meta["key"]: classes})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{dataset.base_folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue(), {name: hashlib.md5(content).hexdigest() for name, content in files.items()}


@pytest.fixture(params=["cifar10", "cifar100"])
def served(request, monkeypatch):
    """The archive on a real HTTP server on this machine, with its checksums patched into torchvision."""
    kind, dataset = request.param, CLASSES[request.param]
    archive, sums = make_archive(kind)
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(Handler.content)))
            self.end_headers()
            self.wfile.write(Handler.content)

        def log_message(self, *arguments):
            pass

    Handler.content = archive
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(dataset, "url", f"http://127.0.0.1:{server.server_port}/{dataset.filename}")
    monkeypatch.setattr(dataset, "tgz_md5", hashlib.md5(archive).hexdigest())
    for part in ("train_list", "test_list"):
        monkeypatch.setattr(dataset, part, [[name, sums[name]] for name, _ in getattr(dataset, part)])
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": sums[dataset.meta["filename"]]})
    yield kind, Handler, requests
    server.shutdown()
    server.server_close()


def test_it_is_downloaded_once_and_read_as_it_was_written(served, tmp_path):
    kind, _, requests = served
    root = tmp_path / "data"
    data = load(config(kind, root=str(root)), seed=0)
    batches = len(CLASSES[kind].train_list)
    assert data.train.images.shape == (20 * batches, 32, 32, 3)
    assert data.test.images.shape == (20, 32, 32, 3)
    first = batch([i % 10 for i in range(20)], 0)["data"][0].reshape(3, 32, 32).transpose(1, 2, 0)
    assert np.array_equal(data.train.images[0].numpy(), first)
    assert data.train.labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert len(data.classes) == (10 if kind == "cifar10" else 100)
    assert (data.mean == (0.4914, 0.4824, 0.4467)) == (kind == "cifar10")
    made = len(requests)  # torchvision first checks for redirections
    assert made > 0
    assert load(config(kind, root=str(root)), seed=0).fingerprint == data.fingerprint
    assert len(requests) == made


def test_it_can_be_downloaded_before_the_runs(served, tmp_path, capsys):
    kind, handler, requests = served
    root = tmp_path / "data"
    whole, handler.content = handler.content, handler.content[:1000]
    assert download.main([kind, str(root)]) == 2
    announcement, *_, error = capsys.readouterr().err.splitlines()
    assert announcement == f"downloading {kind} to data.root={root}"
    assert error.startswith(
        f"error: {kind} is not in data.root={root} and can't be downloaded from {CLASSES[kind].url}"
    )
    handler.content = whole
    assert download.main([kind, str(root)]) == 0
    made = len(requests)
    assert len(load(config(kind, root=str(root)), seed=0).test.labels) == 20
    assert len(requests) == made


def test_a_truncated_download_is_one_line_and_is_not_taken_for_a_whole_one(served, tmp_path):
    kind, handler, _ = served
    whole, handler.content = handler.content, handler.content[:1000]
    with pytest.raises(DataError, match=f"{kind} is not in data.root=.* can't be downloaded") as error:
        load(config(kind, root=str(tmp_path)), seed=0)
    assert "\n" not in str(error.value)
    handler.content = whole
    assert len(load(config(kind, root=str(tmp_path)), seed=0).test.labels) == 20


@pytest.mark.parametrize("kind", CLASSES)
def test_offline_and_absent_says_what_to_do_and_leaves_nothing(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(CLASSES[kind], "url", "http://127.0.0.1:9/nowhere")
    with pytest.raises(
        DataError, match=f"copy {re.escape(CLASSES[kind].filename)} .*there, or use data=digits$"
    ) as error:
        load(config(kind, root=str(tmp_path / "data" / "images")), seed=0)
    assert "\n" not in str(error.value)
    assert ("or PNG files (train/<class>/*.png" in str(error.value)) == (kind == "cifar10")
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"is not in data\.root="):
        load(config("cifar10", root=str(tmp_path / "file" / "data")), seed=0)


def spoil_archive(root, dataset):
    (root / dataset.filename).write_bytes(np.random.default_rng(0).bytes(100_000))
    return rf"{re.escape(dataset.filename)} has 100,000 bytes and another checksum"


def spoil_batch(root, dataset):
    load(config("cifar10" if dataset is datasets.CIFAR10 else "cifar100", root=str(root)), seed=0)
    (root / dataset.filename).unlink()
    name = dataset.test_list[0][0]
    (root / dataset.base_folder / name).write_bytes(b"")
    return f"{dataset.base_folder}/{name} is missing or has another checksum"


def spoil_names(root, dataset):
    load(config("cifar10" if dataset is datasets.CIFAR10 else "cifar100", root=str(root)), seed=0)
    (root / dataset.base_folder / dataset.meta["filename"]).unlink()
    return f"{dataset.base_folder}/{dataset.meta['filename']} is missing"


@pytest.mark.parametrize("spoil", [spoil_archive, spoil_batch, spoil_names])
def test_what_is_there_but_damaged_is_named(served, tmp_path, monkeypatch, spoil):
    kind, _, _ = served
    message = spoil(tmp_path, CLASSES[kind])
    monkeypatch.setattr(CLASSES[kind], "url", "http://127.0.0.1:9/nowhere")
    with pytest.raises(DataError, match=rf"{kind} is in data\.root=.*, but damaged: {message}.*; delete that") as error:
        load(config(kind, root=str(tmp_path)), seed=0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("rename", [False, True])
def test_the_unpacked_folder_itself_is_refused_with_the_right_one(tmp_path, kind, rename):
    dataset = CLASSES[kind]
    root = tmp_path / ("renamed" if rename else dataset.base_folder)
    root.mkdir()
    for name in (dataset.train_list[0][0], dataset.meta["filename"]):
        (root / name).write_bytes(b"")
    with pytest.raises(DataError, match=rf"data\.root={tmp_path}$") as error:
        DATASETS[kind].check_root(root)
    assert (f"rename it to {dataset.base_folder}" in str(error.value)) == rename


def test_an_archive_that_cannot_be_unpacked_is_not_called_missing(served, tmp_path, monkeypatch):
    kind, handler, _ = served
    (tmp_path / CLASSES[kind].filename).write_bytes(handler.content)
    monkeypatch.setattr(CLASSES[kind], "base_folder", "absent")
    (tmp_path / f".{kind}.lock").mkdir()  # as in a folder of another user, the lock can't be opened
    with pytest.raises(DataError, match=rf"tar\.gz can't be unpacked in data\.root={tmp_path} \(.*\); unpack it there"):
        load(config(kind, root=str(tmp_path)), seed=0)
