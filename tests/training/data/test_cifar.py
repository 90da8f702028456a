"""CIFAR-10 and CIFAR-100 in their original format, downloaded from the test's own HTTP server."""

import hashlib
import http.server
import io
import pickle
import tarfile
import threading

import numpy as np
import pytest

from cifar_resnet.errors import DataError
from cifar_resnet.training.data import load
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


def test_a_truncated_download_is_one_line_and_is_not_taken_for_a_whole_one(served, tmp_path):
    kind, handler, _ = served
    whole, handler.content = handler.content, handler.content[:1000]
    with pytest.raises(DataError, match=f"{kind} is not in data.root=.* can't be downloaded") as error:
        load(config(kind, root=str(tmp_path)), seed=0)
    assert "\n" not in str(error.value)
    handler.content = whole
    assert len(load(config(kind, root=str(tmp_path)), seed=0).test.labels) == 20


def test_offline_and_absent_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.CIFAR10, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    with pytest.raises(DataError, match=r"copy cifar-10-python\.tar\.gz there from a machine with network") as error:
        load(config("cifar10", root=str(tmp_path)), seed=0)
    assert "\n" not in str(error.value)


def test_a_root_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"is not in data\.root="):
        load(config("cifar10", root=str(tmp_path / "file" / "data")), seed=0)
