"""`summary.json`: what a run of the course did, for programs to read, also when a notebook failed."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .. import __version__
from ..config import best_device
from ..results import write_results
from .watch import Watch

__all__ = ["COPIES", "SUMMARY", "Summary", "commit_of"]

SUMMARY = "summary.json"
COPIES = "notebooks"  # folder of the executed copies
FIGURES = (".png", ".pdf")


class Summary:
    """The record of one run, written whole after every change, so that a run that is killed leaves one too.

    Each notebook has `status` (done, failed, running, not run), `seconds`, `cpu_seconds`, `memory_mb` (the most that
    its kernel had in memory, in 10^6 bytes), the number of the failing `cell` and its `error`, the path of the
    `executed` copy, the `figures` and other `results` that were new or changed after it, and the size of all these in
    `results_mb`. Paths are relative to `output`. What is not known is None.

    Args:
        folder: of everything the run makes.
        names: file names of all notebooks of the course, run or not.
        about: further entries of the record: profile, parameters, what was found at the start.
        root: the checkout, for the commit.
    """

    def __init__(self, folder: Path, names: Sequence[str], about: Mapping[str, Any], root: Path) -> None:
        self.folder = folder
        unknown = dict.fromkeys(("seconds", "cpu_seconds", "memory_mb", "cell", "error", "executed"))
        blank: dict[str, Any] = {"status": "not run", **unknown, "figures": [], "results": [], "results_mb": None}
        self.notebooks: dict[str, dict[str, Any]] = {name: {"name": name, **blank} for name in names}
        self.record: dict[str, Any] = {
            "status": "running",
            "began": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": 0.0,
            "histolib": __version__,
            "commit": commit_of(root) or None,
            "python": platform.python_version(),
            "torch": version("torch"),
            "device": best_device(),
            "cpus": os.cpu_count(),
            "output": str(folder),
            **about,
        }
        self.write()

    @contextmanager
    def notebook(self, name: str, tell: Callable[[float], None]) -> Iterator[None]:
        """Record what happens to one notebook inside the block; an error passes through, once it is on file.

        Args:
            name: file name of the notebook.
            tell: as of `Watch`.
        """
        entry, before, watch = self.notebooks[name], self._files(), Watch(tell)
        entry["status"] = "running"
        self.write()
        try:
            with watch:
                yield
            entry["status"] = "done"
        except BaseException as error:
            entry |= {"status": "failed", "cell": getattr(error, "cell", None), "error": _first_line(error)}
            self.record["status"] = "failed"
            raise
        finally:
            entry |= {"seconds": watch.seconds, "cpu_seconds": watch.cpu_seconds, "memory_mb": watch.memory_mb}
            entry |= self._made(name, before)
            self.record["seconds"] += watch.seconds
            self.write()

    def finish(self, **more: Any) -> None:
        """Say that all is done, with further entries."""
        self.record |= {"status": "done", **more}
        self.write()

    def write(self) -> None:
        """Write the record.

        Raises:
            OSError: it cannot be written.
        """
        write_results(self.folder / SUMMARY, {**self.record, "notebooks": list(self.notebooks.values())})

    def _files(self) -> dict[str, tuple[int, int]]:
        """Time and size of every file of the run but the summary itself and what is half written."""
        found = {}
        for path in self.folder.rglob("*"):
            if path.is_file() and path.name != SUMMARY and not path.name.startswith("."):
                state = path.stat()
                found[path.relative_to(self.folder).as_posix()] = (state.st_mtime_ns, state.st_size)
        return found

    def _made(self, name: str, before: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
        copy = f"{COPIES}/{name}"
        made = {path: state for path, state in sorted(self._files().items()) if before.get(path) != state}
        figures = [path for path in made if path.startswith("figures/") and path.endswith(FIGURES)]
        return {
            "executed": copy if copy in made else None,
            "figures": figures,
            "results": [path for path in made if path not in (copy, *figures)],
            "results_mb": sum(size for _, size in made.values()) / 1e6,
        }


def commit_of(root: Path) -> str:
    """The commit of the checkout, marked where it has changes; empty outside of git."""
    found = _git(root, "rev-parse", "--short", "HEAD")
    return f"{found}, with changes" if found and _git(root, "status", "--porcelain") else found


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _first_line(error: BaseException) -> str:
    reason = getattr(error, "reason", "") or f"{type(error).__name__}: {error}"
    return reason.strip().splitlines()[0].rstrip(": ")
