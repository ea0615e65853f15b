"""Weights on disk: safetensors without pickle, with the card that says what they are inside the same file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..config import replacing

__all__ = ["load_weights", "save_weights"]


def save_weights(path: str | Path, state: Mapping[str, torch.Tensor], card: Mapping[str, Any]) -> None:
    """Write tensors and their card (plain JSON values) to one safetensors file, whole or not at all."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"card": json.dumps(card, sort_keys=True)})


def load_weights(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read tensors and card written by `save_weights`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or carries no card.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a weights file, found nothing")
    try:
        with safe_open(path, framework="pt") as file:
            card = (file.metadata() or {}).get("card")
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except SafetensorError as error:
        raise ValueError(f"{path}: expected a whole safetensors file, found a damaged one ({error})") from None
    if card is None:
        raise ValueError(f"{path}: expected weights with a card in their metadata, found none")
    return state, json.loads(card)
