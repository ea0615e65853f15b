"""What a notebook file holds beside its cells: its parameters, the hash of its code, and how far papermill has come."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from ..config import replacing
from ..parameters import check_parameters

__all__ = ["cell_number", "check_injected", "code_hash", "parameters_of", "position", "running_source", "write_back"]

PARAMETERS_TAG = "parameters"
INJECTED_TAG = "injected-parameters"
INJECTED_HEAD = "# Parameters\n"  # what papermill writes on top of the cell that it injects
VIEW_MIMETYPE = "application/vnd.jupyter.widget-view+json"


def parameters_of(notebook: NotebookNode, name: str = "notebook") -> dict[str, Any]:
    """Names and default values of the cell tagged `parameters`, which holds literals alone.

    Raises:
        ValueError: there is no such cell, or it holds more than `name = literal` lines.
    """
    cells = [cell for cell in notebook.cells if _tagged(cell, PARAMETERS_TAG)]
    if len(cells) != 1:
        raise ValueError(f"{name}: expected one cell tagged {PARAMETERS_TAG!r}, found {len(cells)}")
    return _literals(cells[0].source, name)


def check_injected(history: Sequence[str]) -> None:
    """Refuse misspelt parameters inside a notebook too, for papermill itself only warns and exits with 0.

    A notebook calls `check_injected(In)` in the first cell after its parameters. The documented ones need no
    repetition: papermill injects its cell right behind the tagged one, so the last cell before it that holds literals
    alone has the known names. Where nothing was injected, as in Jupyter or Colab, nothing is checked.

    Args:
        history: the notebook's `In`, sources of the cells that have run.

    Raises:
        ValueError: papermill injected a name that is not documented, or a value of another type.
    """
    known: dict[str, Any] = {}
    for source in history:
        if source.startswith(INJECTED_HEAD):
            check_parameters(_literals(source, "papermill"), known, "papermill")
            continue
        with suppress(ValueError):  # a cell that does something documents no parameters
            known = _literals(source, "cell") or known


def code_hash(notebook: NotebookNode) -> str:
    """SHA-256 of the code cells' sources, injected parameters aside."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code" and not _tagged(cell, INJECTED_TAG)]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def write_back(source: Path, executed: Path, profile: str) -> None:
    """Replace a notebook by its executed copy, less what is noise: timings, injected parameters, dead widget views."""
    notebook, original = nbformat.read(executed, as_version=4), nbformat.read(source, as_version=4)
    for either in (notebook, original):
        either.cells = [cell for cell in either.cells if not _tagged(cell, INJECTED_TAG)]
    notebook.metadata = original.metadata
    notebook.metadata["histolib"] = {"executed_code": code_hash(notebook), "profile": profile}
    for cell, before in zip(notebook.cells, original.cells, strict=True):
        cell.metadata = before.metadata
        if cell.cell_type == "code":
            cell.outputs = [kept for kept in map(_without_noise, cell.outputs) if kept is not None]
    for count, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), 1):
        cell.execution_count = count
        for item in cell.outputs:
            if item.output_type == "execute_result":
                item.execution_count = count
    with replacing(source) as temporary:
        temporary.write_text(nbformat.writes(notebook).rstrip("\n") + "\n", encoding="utf-8")


def cell_number(file: Path, source: str) -> int | None:
    """Which cell of a notebook this is, counted from 1 as a reader does; papermill's own cells have no number."""
    sources = [cell.source for cell in nbformat.read(file, as_version=4).cells]
    return sources.index(source) + 1 if source in sources else None


def running_source(copy: Path) -> str:
    """Source of the cell that a notebook was at when its kernel died: the last that papermill started."""
    cells = nbformat.read(copy, as_version=4).cells if copy.is_file() else []
    started = [cell.source for cell in cells if _started(cell)]
    return started[-1] if started else ""


def position(copy: Path) -> tuple[int, int]:
    """Number of the cell that an executing notebook is at, and of all its cells, as a reader counts.

    Args:
        copy: what papermill writes while it executes; where it is missing or half written, it is at cell 0 of 0.
    """
    try:
        cells = json.loads(copy.read_text("utf-8"))["cells"]
    except (OSError, ValueError):
        return 0, 0
    cells = [cell for cell in cells if INJECTED_TAG not in cell["metadata"].get("tags", ())]
    return sum(map(_started, cells)), len(cells)


def _started(cell: Mapping[str, Any]) -> bool:
    return bool(cell["metadata"].get("papermill", {}).get("start_time"))


def _without_noise(output: NotebookNode) -> NotebookNode | None:
    if output.output_type == "stream" and output.name == "stderr":
        return None
    data = output.get("data", {})
    return None if VIEW_MIMETYPE in data else output


def _tagged(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", ())


def _literals(source: str, name: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    try:
        nodes = ast.parse(source).body
    except SyntaxError as error:
        raise ValueError(f"{name}: expected `name = literal` lines, found {error.msg} in line {error.lineno}") from None
    for node in nodes:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(target, ast.Name) or node.value is None:
            raise ValueError(
                f"{name}: expected only `name = literal` among the parameters, found {ast.unparse(node)!r}"
            )
        try:
            values[target.id] = ast.literal_eval(node.value)
        except (ValueError, TypeError):
            raise ValueError(f"{name}: expected a literal for {target.id}, found {ast.unparse(node.value)!r}") from None
    return values
