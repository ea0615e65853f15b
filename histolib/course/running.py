"""`histolib run`: the notebooks in order through papermill, planned, watched, parameters checked, figures collected."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from ..config import HEADLESS, PROFILES, Paths, Profile, writable_folder
from ..config import profile as known_profile
from ..parameters import assignments, check_parameters, check_ranges
from .notebook import cell_number, parameters_of, running_source, write_back
from .plan import Plan, duration, make_plan, size_of
from .progress import Progress
from .summary import COPIES, SUMMARY, Summary

__all__ = ["NotebookFailed", "add_parsers", "collect_figures", "notebook_files", "plan_course", "run_course"]

logger = logging.getLogger(__name__)

OPTIONS = {"profile": "--profile", "output_dir": "--output"}  # parameters that decide where results are looked for
EPILOG = f"""\
Before the first notebook the plan is printed: time and memory of each notebook (measured in an earlier run, or for
the full profile estimated from single steps on a CPU), which data is there or is drawn, what is there already and
gone on with, and the disk that it takes. --plan prints it and runs nothing.

While it runs, stderr says which notebook and cell it is at, and how much of the planned time has passed.

OUTPUT holds at the end: {COPIES}/ (executed copies), figures/, weights and results, and {SUMMARY}: for each
notebook whether it was done, its seconds and its kernel's peak memory, the cell and the error where it failed, and what
it made. It is there when a notebook failed, too. Parameters are described in each notebook, in a table above them.

examples:
  histolib run                                          # quick profile, all four notebooks, into runs/quick
  histolib run --plan --profile full                    # what would the full profile take?
  histolib run --only 01,02 --output /tmp/try --set seed=3
  histolib run --profile full --set data_dir=data       # real sets in data/bci, data/pannuke and data/endonuke
  histolib run --profile full --set resume=True         # go on after a cut

exit codes: 0 done; 2 wrong usage or unusable input, nothing was run; 1 a notebook failed
"""


class NotebookFailed(RuntimeError):
    """A cell of a notebook raised; the message names notebook, cell and error.

    Attributes:
        cell: its number, counted from 1 in the notebook's file, None where papermill's own cell failed.
        reason: the error alone.
    """

    def __init__(self, file: Path, copy: Path, source: str, reason: str) -> None:
        self.cell, self.reason = cell_number(file, source), reason
        where = "of papermill's" if self.cell is None else self.cell
        lines = f"{file.name}: cell {where} failed with {reason}", source.strip(), f"executed up to there: {copy}"
        super().__init__("\n".join(lines))


@dataclass(frozen=True, slots=True)
class _Course:
    """A run that was checked and may begin."""

    size: Profile
    files: Sequence[Path]  # to run
    known: Mapping[Path, Mapping[str, Any]]  # their parameters with defaults
    given: Mapping[str, Any]
    parameters: Mapping[str, Any]  # all of them with the values that hold
    folder: Path
    figures: Path
    paths: Paths
    plan: Plan


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


def plan_course(
    profile: str = "quick",
    only: Sequence[str] = (),
    output: Path | None = None,
    parameters: Mapping[str, Any] | None = None,
    paths: Paths | None = None,
) -> Plan:
    """What `run_course` would do with the same arguments; nothing is run or written.

    Raises:
        FileNotFoundError, ValueError: as `run_course`, but for data that is missing: the plan says so.
    """
    return _checked(profile, only, output, parameters, paths).plan


def run_course(
    profile: str = "quick",
    only: Sequence[str] = (),
    output: Path | None = None,
    parameters: Mapping[str, Any] | None = None,
    paths: Paths | None = None,
    update: bool = False,
) -> list[Path]:
    """Execute the notebooks in order, each in its own kernel, and stop at the first that fails.

    The plan and the progress are logged, and `summary.json` in the folder of the run records it.

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
        ValueError: a parameter is unknown, of another type or has an option of its own, data is missing, or the copies
            would replace the notebooks. Nothing was run.
        OSError: the results cannot be written. Nothing was run.
        NotebookFailed: a cell raised, or its kernel died. The executed copy up to there is kept.
    """
    course = _checked(profile, only, output, parameters, paths)
    if course.plan.missing:
        raise ValueError("; ".join(course.plan.missing))
    writable_folder(course.folder / COPIES)
    logger.info(course.plan.text)
    names = [file.name for file in notebook_files(course.paths.root)]
    about = {"profile": course.size.name, "parameters": course.parameters, "found": course.plan.found}
    summary = Summary(course.folder, names, about, course.paths.root)
    for number, file in enumerate(course.files, 1):
        copy = course.folder / COPIES / file.name
        label = f"[{number}/{len(course.files)}] {file.name}"
        logger.info("%s, profile %s", label, profile)
        here = {name: value for name, value in course.given.items() if name in course.known[file]}
        progress = Progress(label, file.name, copy, course.plan, summary.record["seconds"])
        with _headless(), closing(progress), summary.notebook(file.name, progress):
            _execute(file, copy, here, course.paths.root)
        entry = summary.notebooks[file.name]
        logger.info("%s: done in %s, %s", label, duration(entry["seconds"]), size_of(entry["memory_mb"]))
        if update:
            write_back(file, copy, profile)
    phantom = course.plan.phantom
    drawn = sum(path.stat().st_size for path in phantom.rglob("*") if path.is_file()) if phantom else 0
    summary.finish(phantom_mb=drawn / 1e6)
    return collect_figures(course.folder / "figures", course.figures)


def collect_figures(made: Path, target: Path) -> list[Path]:
    """Copy the figures (PNG and PDF) of a run to another folder; returns their paths there."""
    files = sorted(path for kind in ("png", "pdf") for path in made.glob(f"*.{kind}"))
    target.mkdir(parents=True, exist_ok=True)
    if made != target:
        files = [Path(shutil.copy2(file, target / file.name)) for file in files]
    return files


def _checked(
    profile: str, only: Sequence[str], output: Path | None, parameters: Mapping[str, Any] | None, paths: Paths | None
) -> _Course:
    """Everything that can be known before the first cell runs, or the error that it would end in."""
    size, paths = known_profile(profile), paths or Paths.find()
    files = notebook_files(paths.root, only)
    folder = (output or paths.runs / size.name).expanduser().resolve()
    if folder == paths.root.resolve():
        raise ValueError(
            f"{folder}: expected a folder for results, found the checkout: the copies would replace notebooks"
        )
    known = _parameters(files)
    everything = {name: value for here in known.values() for name, value in here.items()}
    check_parameters(parameters or {}, everything, "--set")
    check_ranges(parameters or {}, "--set")
    for name, option in OPTIONS.items():
        if name in (parameters or {}):
            raise ValueError(f"--set: expected {name} to be given as {option}, found it among the parameters")
    given = {"profile": profile, "output_dir": str(folder), **(parameters or {})}
    figures = folder / "figures" if output else paths.figures
    plan = make_plan(files, size, everything | given, paths, folder, figures)
    return _Course(size, files, known, given, everything | given, folder, figures, paths, plan)


def _parameters(files: Sequence[Path]) -> dict[Path, dict[str, Any]]:
    """Parameters of each notebook with their defaults."""
    return {file: parameters_of(nbformat.read(file, as_version=4), file.name) for file in files}


def _execute(file: Path, copy: Path, parameters: Mapping[str, Any], root: Path) -> None:
    """One notebook through papermill; whatever ends it becomes `NotebookFailed`."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    try:
        papermill.execute_notebook(
            file,
            copy,
            dict(parameters),
            kernel_name="python3",
            cwd=root,
            progress_bar=False,
            request_save_on_cell_execute=True,
        )
    except PapermillExecutionError as error:
        raise NotebookFailed(file, copy, error.source, f"{error.ename}: {error.evalue}") from None
    except RuntimeError as error:  # the kernel died (out of memory, say) or did not start
        raise NotebookFailed(file, copy, running_source(copy), str(error)) from None


@contextmanager
def _headless() -> Iterator[None]:
    """Tell kernels started in the block that nobody can click, so that viewers show a still figure; hush papermill."""
    before, papermill = os.environ.get(HEADLESS), logging.getLogger("papermill")
    level = papermill.level
    os.environ[HEADLESS] = "1"
    papermill.setLevel(logging.WARNING)
    try:
        yield
    finally:
        papermill.setLevel(level)
        os.environ.pop(HEADLESS) if before is None else os.environ.update({HEADLESS: before})


def add_parsers(subparsers: argparse._SubParsersAction) -> None:
    """Add `run` to the command line."""
    parser = subparsers.add_parser(
        "run",
        description="Execute the notebooks of the course in order, each in its own kernel.",
        epilog=EPILOG,
    )
    parser.add_argument("--profile", choices=list(PROFILES), default="quick", help="how much work (default: quick)")
    parser.add_argument(
        "--only", type=lambda text: text.split(","), default=[], metavar="NUMBERS", help="as 01,02 (default: all)"
    )
    parser.add_argument("--output", type=Path, metavar="OUTPUT", help="folder for all results (default: runs/PROFILE)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a notebook parameter; once for each"
    )
    parser.add_argument("--plan", action="store_true", help="print what would be done, and do nothing")
    parser.add_argument("--update", action="store_true", help="write the executed notebooks back, to be committed")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    assignments(args.set, {})  # wrong usage is told before anything is looked for
    known = _parameters(notebook_files(Paths.find().root, args.only)).values()
    parameters = assignments(args.set, {name: value for here in known for name, value in here.items()})
    if args.plan:
        print(plan_course(args.profile, args.only, args.output, parameters).text)
        return 0
    try:
        figures = run_course(args.profile, args.only, args.output, parameters, update=args.update)
    except NotebookFailed as error:
        print(f"histolib run: {error}", file=sys.stderr)
        return 1
    print(f"{len(figures)} figures in {figures[0].parent}" if figures else "no figures were made")
    return 0
