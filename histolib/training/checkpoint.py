"""Checkpoints: one file, replaced atomically, that says which settings made it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..config import replacing

__all__ = ["load_checkpoint", "save_checkpoint"]


def save_checkpoint(path: str | Path, state: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Write a training state (tensors and plain values, nested) with the settings that made it, whole or not at all.

    Raises:
        OSError: it could not be written, on a full disk for instance; the previous checkpoint is untouched.
    """
    try:
        with replacing(path) as temporary:
            torch.save({"settings": json.dumps(settings, sort_keys=True), "state": dict(state)}, temporary)
    except (OSError, RuntimeError) as error:  # torch reports a failed write as a RuntimeError
        raise OSError(f"{path}: could not write the checkpoint, the previous one is untouched ({error})") from error


def load_checkpoint(path: str | Path, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Read a training state back, on the CPU and without pickle.

    Args:
        path: the file.
        settings: what must have made it; None takes any.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or was made by other settings (each difference is named).
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a checkpoint to resume from, found nothing")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        made_by, state = json.loads(loaded["settings"]), loaded["state"]
    except Exception as error:  # torch.load raises many kinds for a damaged file
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path}: expected a checkpoint of this library, found a damaged file ({reason})") from None
    if settings is None:
        return state
    wanted = json.loads(json.dumps(settings))
    differences = [
        f"{name} {made_by.get(name)!r} there, {wanted.get(name)!r} here"
        for name in sorted(made_by.keys() | wanted.keys())
        if made_by.get(name) != wanted.get(name)
    ]
    if differences:
        raise ValueError(f"{path}: made by other settings: {'; '.join(differences)}")
    return state
