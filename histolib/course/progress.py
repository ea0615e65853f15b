"""How far a run of the course is, said so that it can be read on a terminal and in a log file."""

from __future__ import annotations

import logging
import shutil
import sys
from pathlib import Path

from .notebook import position
from .plan import Plan, duration

__all__ = ["Progress"]

logger = logging.getLogger(__name__)

TERMINAL_S = 1.0  # between two looks on a terminal
FIRST_S, LAST_S = 15.0, 600.0  # between two lines in a file: at first, and at most
CLEAR = "\r\x1b[K"


class Progress:
    """Which cell a notebook is at, and what has passed of the planned time.

    On a terminal one line is written over; elsewhere each is a new one, and they become rarer.

    Args:
        label: which notebook of how many.
        name: file name of the notebook.
        copy: what papermill writes while it executes.
        plan: of the run.
        before: seconds that earlier notebooks took.
    """

    def __init__(self, label: str, name: str, copy: Path, plan: Plan, before: float) -> None:
        self.label, self.copy, self.before = label, copy, before
        self.planned, self.total = plan.costs[name].seconds, plan.seconds
        self.terminal = sys.stderr.isatty()
        self.due = TERMINAL_S if self.terminal else FIRST_S

    def __call__(self, seconds: float) -> None:
        """Say it if it is time to, `seconds` after the notebook began."""
        if seconds < self.due:
            return
        self.due = seconds + (TERMINAL_S if self.terminal else min(max(FIRST_S, seconds / 10), LAST_S))
        cell, cells = position(self.copy)
        text = f"{self.label}: cell {cell} of {cells}, {_of(seconds, self.planned)}"
        if self.before:
            text += f"; the whole run {_of(self.before + seconds, self.total)}"
        if self.terminal:
            width = shutil.get_terminal_size().columns - 1  # what wraps cannot be written over
            print(f"{CLEAR}{text[:width]}", end="", file=sys.stderr, flush=True)
        else:
            logger.info(text)

    def close(self) -> None:
        """Leave the terminal's line empty for what comes next."""
        if self.terminal:
            print(CLEAR, end="", file=sys.stderr, flush=True)


def _of(seconds: float, planned: float | None) -> str:
    return duration(seconds) + (f" of about {duration(planned)}" if planned is not None else "")
