"""HoVer-Net on disk: our own weights with their card, and the published ones with the card that they lack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..data import InstanceTiles, PanNuke
from ..io import load_weights, save_weights
from .hovernet import HoVerNet, load_state

__all__ = ["load_hovernet", "save_hovernet"]

PUBLISHED_SUFFIXES = (".tar", ".pth", ".pt")
# What the authors trained on, by mode and number of types, for the checkpoints whose training data our readers know.
PUBLISHED: dict[tuple[str, int | None], dict[str, Any]] = {
    ("fast", 6): {
        "trained_on": "PanNuke, all three folds",
        "types": list(PanNuke.types.values()),
        "groups": ["fold1", "fold2", "fold3"],
    },
    ("original", 5): {
        "trained_on": "CoNSeP, all 27 training images",
        "types": list(InstanceTiles.types.values()),
        "groups": [f"train_{image}" for image in range(1, 28)],
    },
}


def save_hovernet(path: str | Path, net: HoVerNet, card: Mapping[str, Any]) -> None:
    """Write a network with its card, to which its architecture is added.

    Args:
        path: safetensors file to write.
        net: what to save.
        card: plain values; "mpp", the scale that it was trained at, and "types", the names of types 1, 2, ...
    """
    save_weights(path, net.state_dict(), {**card, "config": net.config})


def load_hovernet(path: str | Path) -> tuple[HoVerNet, dict[str, Any]]:
    """Read a network in evaluation mode, and its card.

    Args:
        path: file of `save_hovernet`, or a published checkpoint (`.tar`, `.pth`, as `HoVerNet.from_official`). Those
            carry no card: theirs has 0.25 microns per pixel, and what the authors trained on as far as mode and number
            of types tell; "groups" is None where they do not, so that scores are marked as possibly leaked.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or holds another network than its card says; every mismatch is named.
    """
    if Path(path).suffix in PUBLISHED_SUFFIXES:
        net = HoVerNet.from_official(path)
        types = [f"type {number}" for number in range(1, net.num_types or 1)]
        card: dict[str, Any] = {"trained_on": "unknown", "types": types, "groups": None}
        return net, card | PUBLISHED.get((net.mode, net.num_types), {}) | {"mpp": PanNuke.mpp, "config": net.config}
    state, card = load_weights(path)
    try:
        net = HoVerNet(**card["config"])
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: expected the weights of a HoVer-Net, found a card without its config ({error})"
        ) from None
    load_state(net, state, path)
    return net.eval(), card
