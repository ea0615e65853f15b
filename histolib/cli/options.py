"""Argument types and the progress bar that several commands share."""

import argparse
import inspect
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

SEED = "random seed, non-negative (default: %(default)s)"


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


def progress(items: Iterable[Any], unit: str, total: int) -> Any:
    """Iterate with a progress bar on stderr; in a log, it first appears and is renewed after 30 s."""
    seconds = 0.1 if sys.stderr.isatty() else 30.0
    return tqdm(items, total=total, unit=unit, mininterval=seconds, delay=seconds)
