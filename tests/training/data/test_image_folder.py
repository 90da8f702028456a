"""A folder of images is decoded once into a reliable cache, and errors name the file."""

import copy
import json
import multiprocessing
import os
import resource
import shutil
import signal

import numpy as np
import pytest
from PIL import Image

from cifar_resnet.errors import DataError
from cifar_resnet.training.data import image_cache, image_folder, load
from cifar_resnet.training.data.source import fingerprint
from tests.training.data.test_dataset import config


@pytest.fixture
def images(tmp_path):
    """Two classes of 8×8 images: three PNG each for training, one PNG and one JPEG each for testing."""
    rng = np.random.default_rng(0)
    for split, names in {"train": ("a.png", "b.PNG", "c.png"), "test": ("a.png", "b.jpeg")}.items():
        for label in ("cat", "dog"):
            folder = tmp_path / "images" / split / label
            folder.mkdir(parents=True)
            for name in names:
                Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / name)
            (folder / "Thumbs.db").write_text("not an image")
            (folder / ".hidden.png").write_text("not an image")
    return tmp_path


def read(base, **changes):
    return load(config("image_folder", root=str(base / "images"), cache=str(base / "cache"), **changes), seed=0)


def test_pixels_and_labels_are_those_of_the_files(images):
    data = read(images)
    assert data.classes == ("cat", "dog")
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.test.images.shape == (4, 8, 8, 3)
    with Image.open(images / "images/train/dog/b.PNG") as file:
        assert np.array_equal(data.train.images[4].numpy(), np.asarray(file))


def test_second_load_decodes_nothing(images, monkeypatch):
    first = read(images)
    monkeypatch.setattr(image_folder, "decode", lambda *arguments: pytest.fail("decoded again"))
    second = read(images)
    assert second.fingerprint == first.fingerprint
    assert np.array_equal(second.train.images.numpy(), first.train.images.numpy())


def test_a_changed_file_makes_a_new_cache(images):
    before = read(images).fingerprint
    Image.new("RGB", (8, 8), (1, 2, 3)).save(images / "images/train/cat/a.png")
    assert read(images).fingerprint != before


def test_images_that_agree_in_name_size_and_time_have_a_cache_of_their_own(images):
    before = copy.deepcopy(read(images))
    for path in (images / "images").rglob("[a-c].png"):
        times = path.stat()
        with Image.open(path) as image:
            pixels = np.array(image)
        Image.fromarray(pixels ^ 255).save(path)
        assert path.stat().st_size == times.st_size  # noise can't be compressed
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert read(images).train.images[0].tolist() == (255 - before.train.images[0]).tolist()


def test_writing_to_the_tensor_leaves_the_cache_alone(images):
    data = read(images)
    pixel = data.train.images[0, 0, 0, 0].item()
    data.train.images[0, 0, 0, 0] = 255 - pixel
    assert read(images).train.images[0, 0, 0, 0].item() == pixel


def test_a_killed_preparation_leaves_no_half_cache(images, monkeypatch):
    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(image_folder, "_fill", killed)
    with pytest.raises(KeyboardInterrupt):
        read(images)
    monkeypatch.undo()
    assert not (images / "cache").exists()
    assert len(read(images).train.labels) == 6


def test_what_a_killed_process_left_of_a_cache_is_removed(images):
    read(images)
    (cache,) = (images / "cache").iterdir()
    left = cache.rename(cache.with_name(f".{cache.name}.tmp123"))
    assert len(read(images).train.labels) == 6
    assert not left.exists()


def test_two_processes_prepare_it_once(images, monkeypatch):
    fill = image_folder._fill

    def counted(*arguments):
        with (images / "fills").open("a") as file:
            file.write("x")
        fill(*arguments)

    monkeypatch.setattr(image_folder, "_fill", counted)
    fork = multiprocessing.get_context("fork")  # not "spawn", which takes seconds to import torch
    processes = [fork.Process(target=read, args=(images,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert (images / "fills").read_text() == "x"


def test_grey_images_become_rgb_and_sizes_are_brought_to_image_size(images):
    Image.new("L", (20, 10), 77).save(images / "images/train/cat/a.png")
    data = read(images, image_size=6)
    assert data.train.images.shape == (6, 6, 6, 3)
    assert (data.train.images[0] == 77).all()


def break_file(base):
    (base / "images/train/dog/b.PNG").write_bytes(b"\x89PNG broken")


def cut_off(base):
    path = base / "images/train/dog/b.PNG"
    path.write_bytes(path.read_bytes()[:60])


def empty_class(base):
    (base / "images/train/eel").mkdir()
    (base / "images/test/eel").mkdir()


def other_size(base):
    Image.new("RGB", (9, 8)).save(base / "images/test/dog/b.jpeg")


def one_sided_class(base):
    (base / "images/test/emu").mkdir()


def one_class(base):
    for split in ("train", "test"):
        shutil.rmtree(base / "images" / split / "dog")


def no_test(base):
    (base / "images/test").rename(base / "images/tset")


def subfolder(base):
    """Three of four images in a folder within the class."""
    (base / "images/train/cat/more").mkdir()
    for name in ("b.PNG", "c.png"):
        (base / "images/train/cat" / name).rename(base / "images/train/cat/more" / name)


def other_formats(base):
    for name in ("c.webp", "notes.txt"):
        (base / "images/test/dog" / name).write_bytes(b"")


def beside_the_classes(base):
    Image.new("RGB", (8, 8)).save(base / "images/train/d.png")


def pipe(base):
    os.mkfifo(base / "images/train/cat/p.png")


def name_in_latin1(base):
    path = base / "images/test/cat/a.png"
    path.rename(os.fsdecode(os.fsencode(path.parent) + b"/gr\xfcn.png"))


def class_in_latin1(base):
    for path in (base / "images/train/cat", base / "images/test/cat"):
        path.rename(os.fsdecode(os.fsencode(path.parent) + b"/gr\xfcn"))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (break_file, r"dog/b\.PNG is not a JPEG or PNG image"),
        (cut_off, r"dog/b\.PNG can't be decoded \(.*\); repair or remove"),
        (empty_class, "train/eel has no images"),
        (other_size, r"dog/b\.jpeg is 9×8 pixels, the first image is 8×8; .*data\.image_size"),
        (one_sided_class, "class 'emu' is in only one"),
        (one_class, r"data\.root=.*/images: all training images are of one class; expected at least 2 classes"),
        (no_test, "no folder .*/images/test; expected"),
        (subfolder, "1 entry would be left out, the first is .*train/cat/more; expected only"),
        (other_formats, "2 entries would be left out, the first is .*test/dog/c.webp; expected only"),
        (beside_the_classes, "1 entry would be left out, the first is .*train/d.png; expected only"),
        (pipe, r"1 entry would be left out, the first is .*train/cat/p\.png; expected only"),
        (name_in_latin1, r"the name of .*test/cat/gr�n\.png is not valid UTF-8; rename it"),
        (class_in_latin1, r"the name of .*train/gr�n is not valid UTF-8; rename it"),
    ],
)
def test_each_fault_is_one_line_that_names_the_place(images, fault, message):
    fault(images)
    with pytest.raises(DataError, match=message) as error:
        read(images)
    assert "\n" not in str(error.value)


def test_a_cache_that_cannot_be_written_is_named(images):
    (images / "cache").write_text("a file")
    with pytest.raises(DataError, match=r"data\.cache=.*can't be used \(File exists\); set another"):
        read(images)


@pytest.fixture
def cache(images):
    """The folder of a cache, and the data read through it; copied, because the tests damage the mapped files."""
    data = copy.deepcopy(read(images))
    (folder,) = (images / "cache").iterdir()
    return folder, data


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, flip, os.unlink], ids=["cut", "flip", "unlink"])
@pytest.mark.parametrize("name", ["train-images.npy", "test-images.npy", "train-labels.npy", "meta.json"])
def test_a_damaged_cache_is_filled_again(images, cache, caplog, name, damage):
    folder, before = cache
    damage(folder / name)
    after = read(images)
    assert "are damaged" in caplog.text
    assert after.fingerprint == before.fingerprint and after.classes == before.classes
    assert np.array_equal(after.train.images.numpy(), before.train.images.numpy())
    assert (after.mean, after.std) == (before.mean, before.std)


def test_a_cache_is_read_through_only_after_a_file_has_changed(images, cache, monkeypatch):
    folder, _ = cache
    compared = []
    monkeypatch.setattr(image_cache, "fingerprint", lambda *arrays: compared.append(1) or fingerprint(*arrays))
    read(images)
    assert not compared
    (folder / "train-images.npy").touch()
    for _ in range(2):
        read(images)
    assert len(compared) == 1


def test_without_space_for_a_cache_nothing_is_killed(images):
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(DataError, match=r"data\.cache=.*can't be used \(File too large\)"):
            read(images)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert len(read(images).train.labels) == 6


@pytest.mark.parametrize(("mask", "others"), [(0o022, 0o5), (0o027, 0)])
def test_the_umask_says_who_may_use_a_cache(images, mask, others):
    before = os.umask(mask)
    try:
        read(images)
    finally:
        os.umask(before)
    (folder,) = (images / "cache").iterdir()
    assert folder.stat().st_mode & 0o7 == others
    assert {path.stat().st_mode & 0o7 for path in folder.iterdir()} == {others & 0o4}
    assert json.loads((folder / "meta.json").read_text())["fingerprint"]
