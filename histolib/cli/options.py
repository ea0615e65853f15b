"""Argument types and progress messages that several commands share."""

import argparse
import inspect
import logging
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")
LOG_SHARE, LOG_SECONDS = 0.1, 30.0  # least progress and least time between two lines in a log

logger = logging.getLogger(__name__)


def documented(docstring: str | None) -> dict[str, Any]:
    """Description (first paragraph) and epilog (the rest) of a parser."""
    description, _, epilog = inspect.cleandoc(docstring or "").partition("\n\n")
    return {"description": description, "epilog": epilog}


def add_weights(parser: argparse.ArgumentParser) -> None:
    """Add the option --weights."""
    parser.add_argument("--weights", type=Path, help="folder with model weights (default: the pretrained weights)")


def choices(known: Iterable[str], what: str) -> Callable[[str], list[str]]:
    """Argument type for a comma-separated list of known names."""

    def parse(text: str) -> list[str]:
        names = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
        unknown = ", ".join(name for name in names if name not in known)
        if unknown or not names:
            raise argparse.ArgumentTypeError(f"unknown {what} {unknown or text!r}, expected {', '.join(known)}")
        return names

    return parse


def number(low: float, high: float = math.inf, kind: Callable[[str], float] = float) -> Callable[[str], float]:
    """Argument type for a finite number in [low, high]; `kind` is float or int."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (low <= value <= high and math.isfinite(value)):
            limits = f"{low:g} or more" if high == math.inf else f"{low:g} to {high:g}"
            name = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"expected {name}, {limits}, found {text!r}")
        return value

    return parse


def progress(items: Iterable[T], unit: str, total: int) -> Iterator[T]:
    """Iterate with a progress bar on a terminal, else with a log line every 10 % or 30 s, whichever is later."""
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, unit=unit)
        return
    start = logged = time.monotonic()
    share = 0.0
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if done / total - share >= LOG_SHARE - 1e-9 and now - logged >= LOG_SECONDS:
            logged, share = now, done / total
            rate, left = done / (now - start), (now - start) * (total - done) / done
            message = "%d of %d %ss (%.0f %%) in %.0f s, %.2g per second, about %.0f s left"
            logger.info(message, done, total, unit, 100 * share, now - start, rate, left)
