"""Data sets in NumPy arrays are read as they are, mapped where possible, or refused in one line for each fault."""

import re
import sys
import textwrap
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cifar_resnet.datasets import DATASETS, npy, sizes_of
from cifar_resnet.errors import DataError
from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.folder import RunDir
from cifar_resnet.training.data import load
from tests.conftest import work
from tests.training.data.test_dataset import config

RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 256, (40, 6, 8, 3), dtype=np.uint8), np.arange(40) % 4
ARRAYS = {"x_train": X, "y_train": Y, "x_test": X[:20, ::-1], "y_test": Y[:20]}
NAMED = {**ARRAYS, "classes": np.array(["a", "b", "größte", "日本"])}


def save(path, arrays, how="npz"):
    if how == "folder":
        path.mkdir()
        for name, array in arrays.items():
            np.save(path / f"{name}.npy", array)
        return path
    (np.savez_compressed if how == "compressed" else np.savez)(path.with_suffix(".npz"), **arrays)
    return path.with_suffix(".npz")


def read(root, **changes):
    return load(config("arrays", root=str(root), **changes), seed=0)


@pytest.mark.parametrize("how", ["npz", "compressed", "folder"])
def test_images_labels_and_names_are_those_of_the_arrays(tmp_path, how):
    data = read(save(tmp_path / "mine", NAMED, how))
    assert np.array_equal(data.train.images.numpy(), X)
    assert np.array_equal(data.test.images.numpy(), X[:20, ::-1])
    assert data.train.labels.tolist() == Y.tolist() and data.test.labels.tolist() == Y[:20].tolist()
    assert data.classes == ("a", "b", "größte", "日本")
    root = tmp_path / ("mine" if how == "folder" else "mine.npz")
    sizes = sizes_of("arrays", root)
    assert (sizes.train, sizes.test, sizes.height, sizes.width, sizes.channels, sizes.classes) == (40, 20, 6, 8, 3, 4)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint64])
def test_gray_images_without_names_and_any_integers(tmp_path, kind):
    gray = {name: array[..., 0] if name[0] == "x" else array.astype(kind) for name, array in ARRAYS.items()}
    data = read(save(tmp_path / "gray", gray))
    assert data.train.images.shape == (40, 6, 8, 1) and data.train.images.is_contiguous()
    assert data.classes == ("0", "1", "2", "3")
    assert data.fingerprint == read(save(tmp_path / "other", {**gray, "y_train": Y})).fingerprint


@pytest.mark.parametrize(("how", "is_mapped"), [("npz", True), ("folder", True), ("compressed", False)])
def test_uncompressed_arrays_are_mapped_and_never_written_to(tmp_path, monkeypatch, how, is_mapped):
    mapped = []
    monkeypatch.setattr(npy.np, "memmap", lambda *args, of=np.memmap: mapped.append(args[0]) or of(*args))
    root = save(tmp_path / "mine", ARRAYS, how)
    data = read(root)
    assert bool(mapped) == is_mapped
    data.train.images[:] = 0
    assert np.array_equal(read(root).train.images.numpy(), X)


def test_a_transposed_array_is_read_in_its_order(tmp_path):
    turned = np.asfortranarray(X)
    assert np.array_equal(read(save(tmp_path / "f", {**ARRAYS, "x_train": turned}, "folder")).train.images.numpy(), X)


FAULTS = {
    "float": ({"x_train": X / 255}, "x_train .*is float64; expected uint8, pixels from 0 to 255"),
    "NCHW": ({"x_train": X.transpose(0, 3, 1, 2)}, r"looks like \(N, C, H, W\); .* x\.transpose\(0, 2, 3, 1\)"),
    "flat": ({"x_test": X[:20].reshape(20, -1)}, r"x_test .*shape \(20, 144\); expected \(N, H, W\), or"),
    "alpha": ({"x_train": np.zeros((40, 6, 8, 4), np.uint8)}, "with 1 or 3 channels"),
    "two shapes": ({"x_test": X[:20, :5]}, r"images of shape \(6, 8, 3\), .* of \(5, 8, 3\); expected one shape"),
    "no images": ({"x_test": X[:0], "y_test": Y[:0]}, r"x_test .*shape \(0, 6, 8, 3\), so it has no images"),
    "column": ({"y_train": Y[:, None]}, r"shape \(40, 1\); expected \(40,\), one label per image: y\.reshape\(-1\)"),
    "too few": ({"y_test": Y[:19]}, r"y_test .*shape \(19,\); expected \(20,\)"),
    "float labels": ({"y_train": Y / 1}, "y_train .*is float64; expected integers"),
    "negative": ({"y_test": Y[:20] - 1}, "y_test .*has the label -1; expected numbers from 0"),
    "from one": ({"y_train": Y + 1, "y_test": Y[:20] + 1}, "y_train .*goes up to 4, but has no 0; expected labels"),
    "untrained": ({"y_test": Y[:20] + 1}, "y_test .*labels up to 4, but there are 4 classes; expected 0 to 3"),
    "huge": ({"y_test": np.full(20, 2**63, np.uint64)}, "y_test .*has the label 9223372036854775808; expected less"),
    "many": ({"y_test": Y[:20] + 2**16}, r"y_test .*has the label 65539; expected less than 65,536"),
    "many names": ({"classes": np.arange(2**16 + 1).astype(str)}, r"classes .*has 65,537 names; expected at most 65,5"),
    "one class": ({"y_train": 0 * Y, "y_test": 0 * Y[:20]}, "all training images are of one class; expected at least"),
    "one of four classes": ({**NAMED, "y_train": 0 * Y}, "all training images are of one class; expected at least 2"),
    "few names": ({"classes": np.array(["a", "b"])}, "y_train .*labels up to 3, but there are 2 classes"),
    "one name twice": ({"classes": np.array(["a", "b", "a", "c"])}, "classes .*empty name or the same one twice"),
    "no text": ({"classes": np.arange(4)}, "classes .*is int64 of shape .*; expected text, one name per class"),
    "pickled": (
        {"classes": np.array(["a", None], object)},
        "classes in .* has pickled Python objects, which are not read",
    ),
    "pickled images": ({"x_train": np.array([X[0], None], object)}, "x_train in .* has pickled Python objects"),
    "missing": ({"y_test": None}, r"has no array y_test \(found: x_test, x_train, y_train\); expected x_train"),
    "left out": ({"x_val": X}, "x_val would be left out; expected only x_train"),
}


@pytest.mark.parametrize("how", ["npz", "compressed", "folder"])
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_one_line_before_anything_is_trained(tmp_path, fault, how):
    changes, message = FAULTS[fault]
    root = save(
        tmp_path / "mine", {name: array for name, array in (ARRAYS | changes).items() if array is not None}, how
    )
    with pytest.raises(DataError, match=message) as error:
        sizes_of("arrays", root)
    assert "\n" not in str(error.value) and "mine" in str(error.value)


def cut(path):
    path.write_bytes(path.read_bytes()[:-3000])


def flip_a_pixel(path):
    content = bytearray(path.read_bytes())
    content[content.index(X[7].tobytes()) + 5] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("how", "spoil", "message"),
    [
        ("npz", lambda path: path.write_bytes(b"noise" * 1000), r"is not a \.npz file, or it is damaged"),
        ("npz", cut, r"is not a \.npz file, or it is damaged"),
        ("npz", flip_a_pixel, "Bad CRC-32 for file 'x_train.npy'"),
        (
            "folder",
            lambda path: cut(path / "x_train.npy"),
            r"x_train in .* is damaged: its shape \(40, 6, 8, 3\) takes",
        ),
        ("folder", lambda path: (path / "x_train.npy").write_bytes(b"noise"), r"x_train\.npy can't be read"),
        ("npz", lambda path: path.unlink(), "no such file or folder"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path, how, spoil, message):
    root = save(tmp_path / "mine", ARRAYS, how)
    spoil(root)
    with pytest.raises(DataError, match=message) as error:
        read(root)
    assert "\n" not in str(error.value)


def test_a_header_that_claims_more_than_there_is_allocates_nothing(tmp_path):
    root = save(tmp_path / "mine", {**ARRAYS, "x_train": X[:1]})
    with zipfile.ZipFile(root) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content["x_train.npy"] = (
        content["x_train.npy"].replace(b"(1, 6, 8, 3), ", b"(99999999, 6, 8, 3), ", 1).replace(b" " * 7, b"", 1)
    )
    with zipfile.ZipFile(root, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    with pytest.raises(DataError, match=r"is damaged: its shape \(99999999, 6, 8, 3\) takes 14,399,999,856 bytes"):
        read(root)


def test_compressed_arrays_that_don_t_fit_into_memory_are_refused(tmp_path, monkeypatch):
    root = save(tmp_path / "mine", ARRAYS, "compressed")
    monkeypatch.setattr(npy.psutil, "virtual_memory", lambda: SimpleNamespace(available=5000))
    with pytest.raises(DataError, match=r"x_train in .* needs 0\.0 GB of memory, .*uncompressed \(np\.savez\)"):
        read(root)


@pytest.mark.parametrize("how", ["npz", "compressed", "folder"])
def test_other_contents_are_another_data_set(tmp_path, how):
    identify = DATASETS["arrays"].identify
    known = identify(save(tmp_path / "one", ARRAYS, how))
    assert identify(save(tmp_path / "copy", ARRAYS, how)) == known
    pixel, label = X.copy(), Y.copy()
    pixel[39, 5, 7, 2] ^= 1
    label[0] = 1
    for number, change in enumerate(({"x_train": pixel}, {"y_train": label})):
        assert identify(save(tmp_path / f"other{number}", ARRAYS | change, how)) != known


def test_a_run_trains_on_arrays_and_records_them(tmp_path, composed):
    root, run = save(tmp_path / "mine", NAMED), RunDir(tmp_path / "run")
    keys = ["depth=8", "model.width=4", "optim.batch_size=8", "optim.epochs=1", "runtime.threads=1"]
    run.write_config(composed("data=arrays", f"data.root='{root}'", *keys))
    done = work(run)
    assert done.returncode == 0, done.stderr
    data = run.read_status()["data"]
    assert (data["name"], data["class_names"], data["image_shape"]) == ("mine", ["a", "b", "größte", "日本"], [6, 8, 3])
    assert data["identity"] == DATASETS["arrays"].identify(root)


SNIPPETS = re.findall(
    r"^    import (?:.*\n    )+.*\.npz.*$", (REPO_ROOT / "docs/running.md").read_text("utf-8"), re.MULTILINE
)
IMAGES = [Image.fromarray(one) for one in X[:4]]


class Part:
    """Stands for a data set of Hugging Face in NumPy's format: columns, and the names of the classes."""

    def __init__(self):
        self.features = {"label": SimpleNamespace(names=["a", "b", "c", "d"])}

    def __getitem__(self, rows):
        return {"image": X[:4], "label": Y[:4]}


class Hub(dict):
    def with_format(self, kind):
        assert kind == "numpy"
        return self


class Pairs(list):
    """Stands for a data set of torchvision: pairs of an image and a label, and the names of the classes."""

    classes = ("a", "b", "c", "d")

    def __init__(self, root, train, download):
        super().__init__(zip(IMAGES, range(4), strict=True))


@pytest.mark.parametrize("snippet", SNIPPETS, ids=["hugging face", "torchvision"])
def test_the_lines_in_the_docs_make_such_a_file(tmp_path, monkeypatch, snippet):
    hugging_face = SimpleNamespace(load_dataset=lambda name: Hub(train=Part(), test=Part()))
    torchvision = SimpleNamespace(datasets=SimpleNamespace(FashionMNIST=Pairs))
    monkeypatch.setitem(sys.modules, "datasets", hugging_face)
    monkeypatch.setitem(sys.modules, "torchvision", torchvision)
    monkeypatch.chdir(tmp_path)
    exec(textwrap.dedent(snippet), {})
    (root,) = tmp_path.glob("*.npz")
    data = read(root)
    assert np.array_equal(data.test.images.numpy(), X[:4])
    assert data.train.labels.tolist() == [0, 1, 2, 3] and data.classes == Pairs.classes
    assert len(snippet.splitlines()) == 4
