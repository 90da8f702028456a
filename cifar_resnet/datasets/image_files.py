"""Reads single JPEG and PNG files as people see them: upright, opaque, three channels of 8 bits."""

from __future__ import annotations

import contextlib
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from cifar_resnet.errors import DataError

# Pillow can open dozens of formats, one of them by starting Ghostscript. A file's name doesn't choose among them.
FORMATS = ("JPEG", "PNG")
MOST_PIXELS = 89_478_485
"""The most pixels in a file, Pillow's own limit: 256 MB at three channels."""
_SIXTEEN_BITS = ("I;16", "I")  # modes of a 16-bit gray PNG; Pillow before 11 calls it I
_MODES = ("1", "L", "P", "LA", "RGB", "RGBA", "CMYK", *_SIXTEEN_BITS)
_QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
# What Pillow raises for damaged files, apart from its own errors.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError, struct.error, zlib.error)

# Large files are refused below. Damaged EXIF data count as none.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@contextlib.contextmanager
def _opened(file: str | Path) -> Iterator[Image.Image]:
    """The image in a file, of which only the header has been read; an error while it is open names the file."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Image.DecompressionBombError
            yield image
    except UnidentifiedImageError as error:
        raise DataError(f"{file} is not a JPEG or PNG image; repair, convert or remove the file") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{file} has more than {MOST_PIXELS:,} pixels; scale it down or remove the file") from error
    except _DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{file} can't be decoded ({reason}); repair or remove the file") from error


def read_size(file: str | Path) -> tuple[int, int]:
    """Width and height of the upright image; reads the header only.

    Raises:
        DataError: the file can't be read, or it is not a JPEG or PNG image.
    """
    with _opened(file) as image:
        turned = image.getexif().get(ExifTags.Base.Orientation) in _QUARTER_TURNS
        return (image.height, image.width) if turned else image.size


def read_format(file: str | Path) -> str:
    """JPEG or PNG, from the file's contents.

    Raises:
        DataError: the file can't be read, or it is neither.
    """
    with _opened(file) as image:
        return "PNG" if image.format == "PNG" else "JPEG"  # Pillow calls some JPEG files of cameras MPO


def read_rgb(file: str | Path, expected: tuple[int, int], resize: bool) -> np.ndarray:
    """The upright image in RGB, uint8 (H, W, 3); 16-bit channels are reduced to their high bytes.

    Args:
        file: JPEG or PNG.
        expected: width and height.
        resize: resize images of other sizes to `expected` instead of raising an error.

    Raises:
        DataError: the file is damaged, too large, of another size, an animation or partly transparent.
    """
    with _opened(file) as image:
        # Checked before decoding, whatever the orientation.
        if not resize and sorted(image.size) != sorted(expected):
            raise _wrong_size(file, image.size, expected)
        if image.format == "PNG" and getattr(image, "is_animated", False):
            raise DataError(f"{file} is an animation; expected one image")
        ImageOps.exif_transpose(image, in_place=True)
        pixels = _to_rgb(image, file)
    if pixels.size != expected:
        if not resize:
            raise _wrong_size(file, pixels.size, expected)
        pixels = pixels.resize(expected, Image.Resampling.BILINEAR)
    return np.asarray(pixels)


def _wrong_size(file: str | Path, size: tuple[int, int], expected: tuple[int, int]) -> DataError:
    return DataError(
        f"{file} is {size[0]}×{size[1]} pixels, the first image is {expected[0]}×{expected[1]}; expected one size, or "
        "data=image_folder data.image_size=<pixels> to resize all"
    )


def _to_rgb(image: Image.Image, file: str | Path) -> Image.Image:
    if image.mode not in _MODES:
        raise DataError(f"{file} has pixels of type {image.mode}; expected gray, color, palette or CMYK")
    if _is_transparent(image):
        raise DataError(f"{file} is partly transparent, so its colors depend on a background; expected opaque images")
    if image.mode in _SIXTEEN_BITS:
        # Pillow clips these, but reduces 16-bit color to high bytes itself.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")


def _is_transparent(image: Image.Image) -> bool:
    """Whether a pixel of the image is not opaque."""
    if not image.has_transparency_data:
        return False
    if image.mode in _SIXTEEN_BITS:  # one shade stands for transparent pixels
        return bool((np.asarray(image) == image.info["transparency"]).any())
    darkest: Any = image.convert("RGBA").getchannel("A").getextrema()[0]
    return bool(darkest < 255)
