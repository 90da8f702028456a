"""Packs everything that a GPU machine without network access needs into one folder: wheels, and CIFAR-10 in parts.

    python benchmarks/gpu/prepare.py --archive cifar10-png.zip --python 3.12

The folder (default: .gpu, which git should ignore) gets wheels/ and images/part-0, part-1, …, each small enough to copy
separately. On the other machine, `python benchmarks/gpu/unpack.py` joins the parts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

# Packages that this project needs in addition to those on a machine set up for PyTorch.
PACKAGES = ("hydra-core", "omegaconf", "hydra-joblib-launcher", "rich", "filelock", "psutil")
SOURCES = ("antlr4-python3-runtime==4.9.3",)  # published as source only
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
PART_BYTES = 40 * 2**20


def download(folder: Path, python: str, constraints: Path) -> None:
    """Downloads the wheels for Linux on x86-64 into `folder`."""
    versions = dict(
        line.split(";")[0].strip().split("==") for line in constraints.read_text().splitlines() if "==" in line
    )
    names = [f"{name}=={versions[name]}" for name in PACKAGES]
    platforms = [f"--platform={platform}" for platform in PLATFORMS]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    target = ["--only-binary=:all:", f"--python-version={python}", "--implementation=cp", *platforms]
    subprocess.run([*pip, "download", "--no-deps", *target, "--dest", str(folder), *names], check=True)
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), *SOURCES], check=True)


def split(archive: Path, folder: Path) -> int:
    """Splits the archive into parts; returns their number."""
    folder.mkdir(parents=True, exist_ok=True)
    content = archive.read_bytes()
    parts = [content[begin : begin + PART_BYTES] for begin in range(0, len(content), PART_BYTES)]
    for number, part in enumerate(parts):
        (folder / f"part-{number}").write_bytes(part)
    return len(parts)


def main() -> None:
    """Packs the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archive", type=Path, help="zip file of the images; without it, wheels only")
    parser.add_argument("--python", default="3.12", help="the other machine's Python (default: 3.12)")
    parser.add_argument("--folder", type=Path, default=Path(".gpu"))
    options = parser.parse_args()
    download(options.folder / "wheels", options.python, Path(__file__).parents[2] / "constraints.txt")
    if options.archive:
        print(f"{split(options.archive, options.folder / 'images')} parts in {options.folder / 'images'}")


if __name__ == "__main__":
    main()
