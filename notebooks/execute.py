"""Runs lab.ipynb from top to bottom without a GPU, and saves it with its two pictures: `python notebooks/execute.py`.

Needs the extra `notebook`. Run it after changing the notebook; the pictures are its only output that is committed.
"""

from __future__ import annotations

import base64
import io
import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell
from PIL import Image

NOTEBOOK = Path(__file__).with_name("lab.ipynb")
PICTURE = "picture"
"""Tag of the cells whose output is committed."""
_TIMEOUT = 1800  # seconds for one cell, such as the sweep, which takes a few minutes
_COLORS = 64


def execute(outputs: Path) -> nbformat.NotebookNode:
    """The notebook as it is after "Run all" on a machine without a GPU.

    Args:
        outputs: absolute path of the folder for its runs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    parameters = next(index for index, cell in enumerate(notebook.cells) if "parameters" in tags(cell))
    notebook.cells.insert(parameters + 1, new_code_cell(f"OUTPUTS = {str(outputs)!r}"))
    client = NotebookClient(notebook, timeout=_TIMEOUT, resources={"metadata": {"path": str(NOTEBOOK.parent)}})
    client.execute(env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    del notebook.cells[parameters + 1]
    return notebook


def tags(cell: nbformat.NotebookNode) -> list[str]:
    """The cell's tags."""
    return list(cell.metadata.get("tags", []))


def keep_pictures(notebook: nbformat.NotebookNode) -> None:
    """Removes all that running left in the notebook, except the pictures of the cells tagged for it."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        drawn = [output for output in cell.outputs if "image/png" in output.get("data", {})]
        for output in drawn:
            output.data = {"image/png": _fewer_colors(output.data["image/png"])}
        cell.outputs = drawn if PICTURE in tags(cell) else []
        cell.execution_count = None


def _fewer_colors(picture: str) -> str:
    """A figure as a smaller PNG (both in base64); lines and text look the same in 64 colors."""
    file = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB").quantize(_COLORS).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        executed = execute(Path(folder))
    keep_pictures(executed)
    nbformat.write(executed, NOTEBOOK)
