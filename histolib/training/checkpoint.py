"""Checkpoints: one file, replaced atomically, that records the settings of its run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..io import reading, replacing


def save_checkpoint(path: str | Path, state: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Write a training state (nested tensors and plain values) with the settings of the run.

    Raises:
        OSError: the file could not be written (a full disk, for example); the previous checkpoint is unchanged.
    """
    try:
        with replacing(path) as temporary:
            torch.save({"settings": json.dumps(settings, sort_keys=True), "state": dict(state)}, temporary)
    except (OSError, RuntimeError) as error:  # torch reports a failed write as a RuntimeError
        raise OSError(f"{path}: could not write the checkpoint, the previous one is unchanged ({error})") from error


def load_checkpoint(path: str | Path, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Read a training state on the CPU, without pickle.

    Args:
        path: checkpoint file.
        settings: settings that the checkpoint must have; None accepts any.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is damaged or has other settings; the message lists each difference.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a checkpoint to resume from, found nothing")
    with reading(path, "a checkpoint of histolib", Exception):  # torch.load raises many types for a damaged file
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        made_by, state = json.loads(loaded["settings"]), loaded["state"]
    if settings is None:
        return state
    wanted = json.loads(json.dumps(settings))
    names = [name for name in sorted(made_by.keys() | wanted.keys()) if made_by.get(name) != wanted.get(name)]
    differences = [f"{name} {made_by.get(name)!r} in the file, {wanted.get(name)!r} in this run" for name in names]
    if differences:
        raise ValueError(f"{path}: expected a checkpoint with the settings of this run, found {'; '.join(differences)}")
    return state
