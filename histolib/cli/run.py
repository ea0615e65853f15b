"""Execute the notebooks of the course in order, each in its own kernel, and collect their figures.

OUTPUT holds notebooks/ (executed copies), figures/, weights, results and summary.json: status, seconds, figures and
failing cell of each notebook. Figures, manifest.json and contact_sheet.png go to figures/ of the checkout, or to
OUTPUT/figures. Each notebook describes its parameters in its first cells.

examples:
  histolib run                                          # quick profile, all notebooks, into runs/quick
  histolib run --only 01,02 --output /tmp/try --set seed=3
  histolib run --profile full --set data_dir=data       # real data in data/bci, data/pannuke and data/endonuke
  histolib run --profile full --set resume=True         # continue an interrupted run
"""

import argparse
import ast
import hashlib
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from ..config import HEADLESS, Paths, check_parameters, parse_assignments
from ..io import commit_of, replacing, writable_folder, write_json
from .options import documented

logger = logging.getLogger(__name__)

COSTS = "course_cost.json"  # in data/results: seconds and peak memory of each notebook on the quick profile
PAPERMILL_TAGS = {"injected-parameters", "papermill-error-cell-tag"}  # cells that papermill adds


class NotebookFailed(RuntimeError):
    """A cell raised an error or its kernel died; `cell` is its number in the file from 1, `reason` the error."""

    def __init__(self, file: Path, copy: Path, reason: str) -> None:
        cells = own_cells(nbformat.read(copy, as_version=4)) if copy.is_file() else []
        started = [i for i, cell in enumerate(cells, 1) if cell.metadata.get("papermill", {}).get("start_time")]
        self.cell, self.reason = (started[-1] if started else None), reason.strip()
        source = cells[started[-1] - 1].source if started else ""
        super().__init__(f"{file.name}: cell {self.cell} failed with {reason}\n{source}\nexecuted copy: {copy}")


def notebook_files(root: Path, only: Iterable[str] = ()) -> list[Path]:
    """The notebooks of the course in order; `only` selects them by number (FileNotFoundError if one is missing)."""
    folder, wanted = root / "notebooks", [number.strip() for number in only]
    files = {file.name[:2]: file for file in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    if not files:
        raise FileNotFoundError(f"{folder}: expected the notebooks of the course, found none")
    for number in set(wanted) - set(files):
        raise FileNotFoundError(f"{folder}: expected the number of a notebook ({', '.join(files)}), found {number!r}")
    return [file for number, file in files.items() if not wanted or number in wanted]


def notebook_parameters(file: Path) -> dict[str, Any]:
    """Names and default values of a notebook's parameters (ValueError if a default is no literal)."""
    values = {}
    for name, parameter in papermill.inspect_notebook(file).items():
        try:
            values[name] = ast.literal_eval(parameter["default"])
        except (ValueError, SyntaxError):
            raise ValueError(f"{file}: expected a literal for {name}, found {parameter['default']!r}") from None
    return values


def code_hash(notebook: nbformat.NotebookNode) -> str:
    """SHA-256 of the sources of all code cells except those that papermill adds."""
    sources = [cell.source for cell in own_cells(notebook) if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def run_course(
    profile: str = "quick", only: Sequence[str] = (), output: Path | None = None, assignments: Sequence[str] = ()
) -> list[Path]:
    """Execute the notebooks in order, each in its own kernel, and stop at the first that fails.

    Args:
        profile: quick or full.
        only: numbers of the notebooks, such as "02"; empty runs all.
        output: folder of all results; default `runs/PROFILE` of the checkout.
        assignments: notebook parameters as NAME=VALUE; each notebook gets those that it has.

    Returns the paths of the collected figures.

    Raises:
        ValueError, OSError: unusable arguments; nothing was run.
        NotebookFailed: a cell failed; `summary.json` in the folder of results has the details.
    """
    logging.getLogger("papermill").setLevel(logging.WARNING)
    os.environ[HEADLESS] = "1"  # kernels inherit it, and viewers become still figures
    paths = Paths.find()
    folder = (output or paths.runs / profile).expanduser().resolve()
    if folder == paths.root.resolve():
        raise ValueError(f"{folder}: expected a folder for results, found the checkout with the notebooks")
    known = {file: notebook_parameters(file) for file in notebook_files(paths.root, only)}
    fixed = {"profile": profile, "output_dir": str(folder)}
    defaults = {name: value for here in known.values() for name, value in here.items() if name not in fixed}
    given = parse_assignments(assignments, defaults)
    check_parameters(given, defaults, "--set")
    if not (paths.root / Path(given.get("data_dir", "")).expanduser()).is_dir():
        raise FileNotFoundError(f"data_dir: expected a folder of data sets, found none at {given['data_dir']}")
    given |= fixed
    writable_folder(folder)
    blank = {"status": "not run", "seconds": None, "cell": None, "error": None}
    entries: list[dict[str, Any]] = [{"name": file.name, **blank} for file in known]
    summary: dict[str, Any] = {"status": "running", "profile": profile, "commit": commit_of(paths.root)}
    summary |= {"parameters": given, "notebooks": entries}
    costs_file = paths.data / "results" / COSTS
    costs = json.loads(costs_file.read_text())["notebooks"] if costs_file.is_file() and profile == "quick" else {}
    for file, entry in zip(known, entries, strict=True):
        start, entry["status"] = time.time(), "running"
        cost = costs.get(file.name[:2])
        expected = f"{cost['seconds'] / 60:.1f} min, {cost['memory_mb'] / 1000:.1f} GB" if cost else "unknown"
        logger.info("%s, profile %s, expected time and memory: %s", file.name, profile, expected)
        write_json(folder / "summary.json", summary)
        try:
            here = {name: value for name, value in given.items() if name in known[file]}
            _execute(file, folder / "notebooks" / file.name, here, paths.root)
            entry["status"] = "done"
            summary["status"] = "done" if entry is entries[-1] else "running"
        except BaseException as error:
            summary["status"] = "failed"
            reason = getattr(error, "reason", f"{type(error).__name__}: {error}").splitlines()[0].rstrip(": ")
            entry |= {"status": "failed", "cell": getattr(error, "cell", None), "error": reason}
            raise
        finally:
            made = [path.name for path in _figures(folder) if path.stat().st_mtime >= start]
            entry |= {"seconds": time.time() - start, "figures": made}
            write_json(folder / "summary.json", summary)
    return collect_figures(folder, folder / "figures" if output else paths.figures, paths.root)


def collect_figures(folder: Path, target: Path, root: Path) -> list[Path]:
    """Copy the figures (`figures/NN_name.png` and `.pdf` of a run) to `target`, with a manifest and a contact sheet."""
    from PIL import Image

    from ..viz.style import contact_sheet

    figures, entries, pictures = _figures(folder), [], []
    writable_folder(target)
    notebooks, commit = {file.name[:2]: file.name for file in notebook_files(root)}, commit_of(root)
    for path in figures:
        if path.parent != target:
            shutil.copy2(path, target)
        if path.suffix == ".png":
            with Image.open(path) as image:
                entry = json.loads(image.info.get("Description", "{}")) | {"name": path.stem, "commit": commit}
                entry |= {"size_px": list(image.size), "dpi": round(image.info.get("dpi", (0, 0))[0])}
                entries.append(entry | {"notebook": notebooks.get(path.stem[:2], "")})
                pictures.append((path.stem, image.convert("RGB")))
    write_json(target / "manifest.json", entries)
    with replacing(target / "contact_sheet.png") as temporary:
        contact_sheet(pictures).save(temporary, format="png")
    return [target / path.name for path in figures]


def _execute(file: Path, copy: Path, parameters: Mapping[str, Any], root: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.unlink(missing_ok=True)  # if no cell starts, an older copy would name a wrong cell
    try:
        papermill.execute_notebook(file, copy, dict(parameters), kernel_name="python3", cwd=root)
    except (PapermillExecutionError, RuntimeError) as error:  # or the kernel died (out of memory) or did not start
        reason = f"{error.ename}: {error.evalue}" if isinstance(error, PapermillExecutionError) else str(error)
        raise NotebookFailed(file, copy, reason) from None


def own_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The cells of a notebook without those that papermill adds."""
    return [cell for cell in notebook.cells if not PAPERMILL_TAGS & set(cell.metadata.get("tags", ()))]


def _figures(folder: Path) -> list[Path]:
    files = (folder / "figures").glob("[0-9][0-9]_*.p*")
    return sorted(path for path in files if path.suffix in (".png", ".pdf"))


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `run` to the command line."""
    parser = subparsers.add_parser("run", **documented(__doc__))
    parser.add_argument("--profile", choices=("quick", "full"), default="quick", help="default: %(default)s")
    only = "numbers of notebooks, such as 01,02 (default: all)"
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], metavar="NUMBERS", help=only)
    parser.add_argument("--output", type=Path, metavar="OUTPUT", help="folder of all results (default: runs/PROFILE)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a notebook parameter")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    try:
        figures = run_course(args.profile, args.only, args.output, args.set)
    except NotebookFailed as error:
        print(f"histolib run: {error}", file=sys.stderr)
        return 1
    print(f"{len(figures)} figures in {figures[0].parent}" if figures else "no figures were made")
    return 0
