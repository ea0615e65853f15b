"""Parameters and settings that a user changes by `NAME=VALUE`, checked against their default values."""

import ast
import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

Settings = TypeVar("Settings", bound=Any)


def parse_assignments(texts: Iterable[str], known: Mapping[str, Any]) -> dict[str, Any]:
    """Parse `NAME=VALUE` texts.

    A value that is no Python literal is a string; so is any value whose default is a string. Where the default is a
    tuple, a comma-separated text becomes a tuple.

    Args:
        texts: assignments; the last one of a name counts.
        known: default values by name.

    Raises:
        ValueError: a text is no assignment.
    """
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, raw = text.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"--set: expected NAME=VALUE, found {text!r}")
        try:
            values[name] = raw if isinstance(known.get(name), str) else ast.literal_eval(raw)
        except (ValueError, SyntaxError):
            parts = tuple(part for part in raw.split(",") if part)
            values[name] = parts if isinstance(known.get(name), tuple) else raw
    return values


def check_parameters(given: Mapping[str, Any], known: Mapping[str, Any], name: str = "notebook") -> None:
    """Refuse parameters with an unknown name, another type than the default, or a value out of range.

    Args:
        given: values by name.
        known: default values by name; an int is accepted for a float.
        name: prefix of the error message.

    Raises:
        ValueError: the message names the parameter, what was expected and what was found.
    """
    for parameter, value in given.items():
        if parameter not in known:
            raise ValueError(f"{name}: unknown parameter {parameter!r}, expected {', '.join(known)}")
        default = known[parameter]
        kind = float | int if isinstance(default, float) else type(default)
        if not isinstance(value, kind) or (isinstance(value, bool) and not isinstance(default, bool)):
            wanted, found = f"{type(default).__name__} (as {default!r})", f"{type(value).__name__} {value!r}"
            raise ValueError(f"{name}: expected {parameter} to be {wanted}, found {found}")
        if parameter == "seed" and value < 0:
            raise ValueError(f"{name}: expected seed to be 0 or more, found {value}")
        if parameter == "radius_um" and not 0 < value < math.inf:
            raise ValueError(f"{name}: expected radius_um to be a positive length in microns, found {value:g}")


def changed(settings: Settings, texts: Iterable[str]) -> Settings:
    """Apply `NAME=VALUE` texts to settings.

    Raises:
        ValueError: a text is no assignment, or the setting is unknown, of another type or out of range.
    """
    known = {field.name: getattr(settings, field.name) for field in fields(settings)}
    values = parse_assignments(texts, known)
    check_parameters(values, known, "--set")
    return replace(settings, **values)
