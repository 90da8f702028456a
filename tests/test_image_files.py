"""Single files of images are read as people see them, or refused with a reason."""

import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from cifar_resnet.datasets import image_files
from cifar_resnet.errors import DataError

COLOR = (200, 30, 10)
RGB = Image.new("RGB", (8, 8), COLOR)
SIXTEEN_BITS = (np.arange(64).reshape(8, 8) * 600 + 3000).astype(np.uint16)


def read(path, size=(8, 8), resize=False):
    return image_files.read_rgb(path, size, resize)


@pytest.mark.parametrize(
    ("image", "kind", "options"),
    [
        (RGB, "PNG", {}),
        (RGB.quantize(4), "PNG", {}),
        (RGB.convert("RGBA"), "PNG", {}),
        (RGB, "PNG", {"transparency": (1, 2, 3)}),  # a color that no pixel has
        (RGB.convert("CMYK"), "JPEG", {"quality": 95}),
        (RGB, "JPEG", {"quality": 95}),
    ],
    ids=["RGB", "palette", "opaque alpha", "unused transparent color", "CMYK", "JPEG"],
)
def test_color_is_the_same_from_every_kind_of_file(tmp_path, image, kind, options):
    image.save(tmp_path / "a.png", kind, **options)
    pixels = read(tmp_path / "a.png")
    assert pixels.shape == (8, 8, 3) and pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - COLOR).max() <= 2


def test_gray_is_scaled_from_16_bits_and_from_1(tmp_path):
    Image.fromarray(SIXTEEN_BITS).save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png"), np.repeat((SIXTEEN_BITS >> 8)[..., None], 3, axis=2))
    Image.fromarray(np.eye(8, dtype=np.uint8) * 255).convert("1").save(tmp_path / "b.png")
    assert np.array_equal(read(tmp_path / "b.png")[..., 1], np.eye(8) * 255)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("resize", [False, True])
def test_an_image_is_turned_upright_as_its_exif_says(tmp_path, kind, resize):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned left by 90°
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8] = 255
    Image.fromarray(pixels).save(tmp_path / "a", kind, exif=exif)
    assert image_files.read_size(tmp_path / "a") == (8, 16)
    upright = read(tmp_path / "a", (8, 16), resize)
    assert upright.shape == (16, 8, 3)
    assert upright[:7].min() > 200 and upright[9:].max() < 50


def translucent():
    image = RGB.convert("RGBA")
    image.putpixel((3, 3), (0, 0, 0, 128))
    return image


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (translucent(), {}),
        (translucent().convert("LA"), {}),
        (RGB, {"transparency": COLOR}),
        (RGB.quantize(4), {"transparency": 0}),
        (Image.fromarray(SIXTEEN_BITS), {"transparency": 3000}),
    ],
    ids=["RGBA", "LA", "RGB", "palette", "16 bits"],
)
def test_transparent_pixels_are_refused(tmp_path, image, options):
    image.save(tmp_path / "a.png", **options)
    with pytest.raises(DataError, match=r"a\.png is partly transparent"):
        read(tmp_path / "a.png")


def test_an_animation_is_refused(tmp_path):
    RGB.save(tmp_path / "a.png", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    with pytest.raises(DataError, match=r"a\.png is an animation; expected one image"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["EPS", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_only_jpeg_and_png_decoders_are_tried_whatever_the_name(tmp_path, monkeypatch, kind):
    RGB.save(tmp_path / "a.png", kind)
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *args, **more: pytest.fail("Ghostscript was called"))
    for reading in (read, image_files.read_size, image_files.read_format):
        with pytest.raises(DataError, match=r"a\.png is not a JPEG or PNG image"):
            reading(tmp_path / "a.png")


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.filterwarnings("ignore:.*:Warning")  # pytest drops the module's own filters
@pytest.mark.parametrize("side", [9_500, 16_000, 60_000])
def test_an_image_with_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, monkeypatch, side):
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    compressed = zlib.compress(bytes(1000))
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", compressed) + chunk(b"IEND", b"")
    )
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda image: pytest.fail("decoded"))
    for resize in (False, True):
        with pytest.raises(DataError, match=r"a\.png has more than 89,478,485 pixels"):
            read(tmp_path / "a.png", resize=resize)


def test_another_size_is_refused_before_the_image_is_decoded(tmp_path, monkeypatch):
    Image.new("RGB", (3000, 3000)).save(tmp_path / "a.png")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda image: pytest.fail("decoded"))
    with pytest.raises(DataError, match=r"a\.png is 3000×3000 pixels, the first image is 8×8"):
        read(tmp_path / "a.png")


@pytest.mark.filterwarnings("ignore:.*:Warning")  # pytest drops the module's own filters
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_damaged_file_is_one_line_wherever_the_damage_is(tmp_path, kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / "a", kind, exif=exif)
    content = (tmp_path / "a").read_bytes()
    refused = 0
    for place in range(0, len(content), 3):
        (tmp_path / "a").write_bytes(content[:place] + bytes([content[place] ^ 0xA5]) + content[place + 1 :])
        try:
            read(tmp_path / "a")
        except DataError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 5


def test_damaged_exif_data_print_no_warning(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "a description"
    RGB.save(tmp_path / "a.jpg", exif=exif)
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content.replace(b"\0\0\0\x0e", b"\0\0\x7f\x0e", 1))
    command = (
        "import sys; from cifar_resnet.datasets import image_files; image_files.read_rgb(sys.argv[1], (8, 8), False)"
    )
    done = subprocess.run([sys.executable, "-W", "default", "-c", command, tmp_path / "a.jpg"], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
