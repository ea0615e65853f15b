"""`histolib run`: the notebooks in order through papermill, parameters checked and figures collected."""

from __future__ import annotations

import argparse
import ast
import hashlib
import logging
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from .config import HEADLESS, PROFILES, Paths, replacing, writable_folder
from .config import profile as known_profile
from .parameters import assignment, check_parameters

__all__ = [
    "add_parsers",
    "check_injected",
    "code_hash",
    "collect_figures",
    "notebook_files",
    "parameters_of",
    "run_course",
]

logger = logging.getLogger(__name__)

PARAMETERS_TAG = "parameters"
INJECTED_TAG = "injected-parameters"
INJECTED_HEAD = "# Parameters\n"  # what papermill writes on top of the cell that it injects
VIEW_MIMETYPE = "application/vnd.jupyter.widget-view+json"


class NotebookFailed(RuntimeError):
    """A cell of a notebook raised; the message names notebook, cell and error."""


def notebook_files(root: Path, only: Iterable[str] = ()) -> list[Path]:
    """The course's notebooks in order; `only` keeps those whose names start with one of these numbers.

    Raises:
        FileNotFoundError: there is no notebook, or none of a number.
    """
    files = sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not files:
        raise FileNotFoundError(f"{root / 'notebooks'}: expected the notebooks of the course, found none")
    known = [file.name[:2] for file in files]
    wanted = [number.strip() for number in only]
    for number in wanted:
        if number not in known:
            raise FileNotFoundError(
                f"{root / 'notebooks'}: expected the number of a notebook ({', '.join(known)}), found {number!r}"
            )
    return [file for file in files if not wanted or file.name[:2] in wanted]


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


def run_course(
    profile: str = "quick",
    only: Sequence[str] = (),
    output: Path | None = None,
    parameters: Mapping[str, Any] | None = None,
    paths: Paths | None = None,
    update: bool = False,
) -> list[Path]:
    """Execute the notebooks in order, each in its own kernel, and stop at the first that fails.

    Args:
        profile: quick or full.
        only: numbers of the notebooks to run; default all.
        output: folder of everything a run makes; default `runs/<profile>` of the checkout.
        parameters: further notebook parameters; each must be known to a notebook that runs.
        paths: the checkout; default the one around the working folder.
        update: write the executed notebooks back, cleaned, so that they can be committed.

    Returns:
        The figures, collected in `figures/` of the checkout, or of `output` where that is given.

    Raises:
        FileNotFoundError: a notebook is not there.
        ValueError: a parameter is unknown or of another type, or the copies would replace the notebooks.
            Nothing was run.
        OSError: the results cannot be written. Nothing was run.
        NotebookFailed: a cell raised, or its kernel died. The executed copy up to there is kept.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    paths = paths or Paths.find()
    files = notebook_files(paths.root, only)
    folder = (output or paths.runs / known_profile(profile).name).expanduser().resolve()
    if folder == paths.root.resolve():
        raise ValueError(
            f"{folder}: expected a folder for results, found the checkout: the copies would replace notebooks"
        )
    given: dict[str, Any] = {"profile": profile, "output_dir": str(folder), **(parameters or {})}
    known = {file: parameters_of(nbformat.read(file, as_version=4), file.name) for file in files}
    everything: dict[str, Any] = {}
    for parameters_here in known.values():
        everything |= parameters_here
    check_parameters(given, everything, "--set")
    writable_folder(folder / "notebooks")
    for number, file in enumerate(files, 1):
        logger.info("[%d/%d] %s, profile %s", number, len(files), file.name, profile)
        copy = folder / "notebooks" / file.name
        here = {name: value for name, value in given.items() if name in known[file]}
        try:
            with _headless():
                papermill.execute_notebook(
                    file,
                    copy,
                    here,
                    kernel_name="python3",
                    cwd=paths.root,
                    progress_bar=True,
                    request_save_on_cell_execute=True,
                )
        except PapermillExecutionError as error:
            raise NotebookFailed(
                f"{file.name}: cell {_number(file, error.source)} failed with {error.ename}: {error.evalue}\n"
                f"{error.source.strip()}\nexecuted up to there: {copy}"
            ) from None
        except RuntimeError as error:  # the kernel died (out of memory, say) or did not start
            source = _running(copy)
            raise NotebookFailed(
                f"{file.name}: cell {_number(file, source)} failed with {error}\n"
                f"{source.strip()}\nexecuted up to there: {copy}"
            ) from None
        if update:
            _write_back(file, copy, profile)
    return collect_figures(folder / "figures", folder / "figures" if output else paths.figures)


@contextmanager
def _headless() -> Iterator[None]:
    """Tell kernels started inside the block that nobody can click, so that viewers show a still figure."""
    before = os.environ.get(HEADLESS)
    os.environ[HEADLESS] = "1"
    try:
        yield
    finally:
        os.environ.pop(HEADLESS) if before is None else os.environ.update({HEADLESS: before})


def code_hash(notebook: NotebookNode) -> str:
    """SHA-256 of the code cells' sources, injected parameters aside."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code" and not _tagged(cell, INJECTED_TAG)]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def _write_back(source: Path, executed: Path, profile: str) -> None:
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


def _without_noise(output: NotebookNode) -> NotebookNode | None:
    if output.output_type == "stream" and output.name == "stderr":
        return None
    data = output.get("data", {})
    return None if VIEW_MIMETYPE in data else output


def collect_figures(made: Path, target: Path) -> list[Path]:
    """Copy the figures (PNG and PDF) of a run to another folder; returns their paths there."""
    files = sorted(path for kind in ("png", "pdf") for path in made.glob(f"*.{kind}"))
    target.mkdir(parents=True, exist_ok=True)
    if made != target:
        files = [Path(shutil.copy2(file, target / file.name)) for file in files]
    return files


def _tagged(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", ())


def _number(file: Path, source: str) -> str:
    """Which cell of a notebook this is, counted from 1 as a reader does; papermill's own cells have no number."""
    sources = [cell.source for cell in nbformat.read(file, as_version=4).cells]
    return str(sources.index(source) + 1) if source in sources else "of papermill's"


def _running(copy: Path) -> str:
    """Source of the cell that a notebook was at when its kernel died: the last that papermill started."""
    cells = nbformat.read(copy, as_version=4).cells if copy.is_file() else []
    started = [cell.source for cell in cells if cell.metadata.get("papermill", {}).get("start_time")]
    return started[-1] if started else ""


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


def add_parsers(subparsers: argparse._SubParsersAction) -> None:
    """Add `run` to the command line."""
    parser = subparsers.add_parser("run", help="execute the notebooks in order")
    parser.add_argument("--profile", choices=list(PROFILES), default="quick")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], help="numbers, as 01,02")
    parser.add_argument("--output", type=Path, help="folder for all results; default runs/PROFILE")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a notebook parameter")
    parser.add_argument("--update", action="store_true", help="write the executed notebooks back, to be committed")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    parameters = dict(assignment(text) for text in args.set)
    try:
        figures = run_course(args.profile, args.only, args.output, parameters, update=args.update)
    except NotebookFailed as error:
        print(f"histolib run: {error}", file=sys.stderr)
        return 1
    print(f"{len(figures)} figures in {figures[0].parent}" if figures else "no figures were made")
    return 0
