"""Joins the parts of an archive that `prepare.py` made, verifies them, and extracts the images.

python benchmarks/gpu/unpack.py PARTS_FOLDER SHA256 TARGET
"""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from pathlib import Path


def main(parts: Path, sha256: str, target: Path) -> None:
    """Extracts the archive into `target`."""
    content = b"".join(path.read_bytes() for path in sorted(parts.glob("part-*")))
    if hashlib.sha256(content).hexdigest() != sha256:
        sys.exit(f"error: the parts in {parts} don't form the archive with SHA-256 {sha256}")
    zipfile.ZipFile(io.BytesIO(content)).extractall(target)
    print(f"{target}: {len(content):,} bytes unpacked")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
