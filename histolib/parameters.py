"""Named values from outside, such as NAME=VALUE on the command line, checked against what is known."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["assignment", "assignments", "check_parameters", "check_ranges"]


def assignment(text: str) -> tuple[str, Any]:
    """Name and value of `NAME=VALUE`; a value that is no Python literal is a string.

    Raises:
        ValueError: the text is no assignment.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ValueError(f"--set: expected NAME=VALUE, found {text!r}")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def assignments(texts: Iterable[str], known: Mapping[str, Any]) -> dict[str, Any]:
    """Values by name of several `NAME=VALUE`; where the default is a string, `2024` is one too.

    Args:
        texts: as `assignment` takes them; of a repeated name the last counts.
        known: defaults by name.

    Raises:
        ValueError: as `assignment`.
    """
    values = {}
    for text in texts:
        name, value = assignment(text)
        as_text = isinstance(known.get(name), str) and not isinstance(value, str)
        values[name] = text.partition("=")[2] if as_text else value
    return values


def check_parameters(given: Mapping[str, Any], known: Mapping[str, Any], name: str = "notebook") -> None:
    """Refuse values whose name is unknown, or of another type than the default.

    Args:
        given: values by name.
        known: defaults by name; an int passes for a float.
        name: what the message begins with.

    Raises:
        ValueError: names the parameter, what was expected and what was found.
    """
    for parameter, value in given.items():
        if parameter not in known:
            raise ValueError(f"{name}: unknown parameter {parameter!r}, expected {', '.join(known)}")
        default = known[parameter]
        fits = isinstance(value, type(default)) or (isinstance(default, float) and type(value) is int)
        if not fits or (isinstance(value, bool) and not isinstance(default, bool)):
            raise ValueError(
                f"{name}: expected {parameter} to be {type(default).__name__} (as {default!r}), "
                f"found {type(value).__name__} {value!r}"
            )


def check_ranges(values: Mapping[str, Any], name: str = "notebook") -> None:
    """Refuse a `seed` below 0 and a `radius_um` that is no length, where there is one.

    Raises:
        ValueError: names the parameter, what was expected and what was found.
    """
    if values.get("seed", 0) < 0:
        raise ValueError(f"{name}: expected seed to be 0 or more, found {values['seed']}")
    if not 0 < values.get("radius_um", 1.0) < math.inf:
        raise ValueError(f"{name}: expected radius_um to be a length in microns above 0, found {values['radius_um']:g}")
