"""Results on disk: plain values that are valid JSON, written whole or not at all."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .config import replacing

__all__ = ["plain", "write_results"]

DIGITS = 6


def plain(value: Any) -> Any:
    """The same of Python's own values: numbers of six digits, None for those that do not exist (NaN, infinity)."""
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def write_results(path: str | Path, results: Mapping[str, Any]) -> None:
    """Write results as JSON; a file that was there survives a failure.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(plain(results), indent=2, allow_nan=False) + "\n")
