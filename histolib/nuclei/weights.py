"""HoVer-Net weights on disk: safetensors with metadata, and the published checkpoints, which have none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..data import InstanceTiles, PanNuke
from ..io import Provenance, load_weights, save_weights

if TYPE_CHECKING:
    from .hovernet import HoVerNet

MODES = {3: "fast", 5: "original"}  # by kernel size of the decoders
CONSEP_TRAINING = tuple(f"train_{image}" for image in range(1, 28))
# Types and training data of the published checkpoints, by mode and number of types.
PUBLISHED = {
    ("fast", 6): (PanNuke.types, Provenance("PanNuke, all three folds", ("fold1", "fold2", "fold3"))),
    ("original", 5): (InstanceTiles.types, Provenance("CoNSeP, all 27 training images", CONSEP_TRAINING)),
}


def save(net: HoVerNet, path: str | Path) -> None:
    """See `HoVerNet.save`."""
    own = {"mpp": net.mpp, "types": list(net.types), "thresholds": net.thresholds, "config": net.config}
    save_weights(path, net.state_dict(), {**net.provenance.card(), **own})


def load(cls: type[HoVerNet], path: str | Path) -> HoVerNet:
    """See `HoVerNet.load`."""
    if Path(path).suffix in (".tar", ".pth", ".pt"):
        return load_official(cls, path)
    state, card = load_weights(path)
    try:
        net = cls(**card.pop("config"))
        net.mpp, net.types = card.pop("mpp"), tuple(card.pop("types"))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: expected HoVer-Net weights, found metadata without {error}") from None
    net.thresholds, net.provenance = card.pop("thresholds", {}), Provenance.from_card(card)
    return _with_state(net, state, path)


def load_official(cls: type[HoVerNet], path: str | Path) -> HoVerNet:
    """See `HoVerNet.from_official`."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a HoVer-Net checkpoint, found nothing")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many types for a damaged file
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path}: expected a checkpoint of tensors, found a file that does not load ({reason})"
        ) from None
    state = state.get("desc", state) if isinstance(state, Mapping) else {}
    items = state.items() if isinstance(state, Mapping) else ()
    state = {str(name).removeprefix("module."): value for name, value in items if isinstance(value, Tensor)}
    first, last = state.get("decoder.np.u3.conva.weight"), state.get("decoder.tp.u0.conv.weight")
    if first is None or first.shape[-1] not in MODES:
        found = ", ".join(list(state)[:3]) or "no tensors"
        raise ValueError(f"{path}: expected a HoVer-Net state (decoder.np.u3.conva.weight), found {found}")
    net = cls(MODES[first.shape[-1]], None if last is None else len(last))
    unnamed = {number: f"type {number}" for number in range(1, net.num_types or 1)}
    types, net.provenance = PUBLISHED.get((net.mode, net.num_types or 1), (unnamed, Provenance()))
    net.types = tuple(types.values())
    return _with_state(net, state, path)


def _with_state(net: HoVerNet, state: Mapping[str, Tensor], path: str | Path) -> HoVerNet:
    try:
        net.load_state_dict(state)
    except RuntimeError as error:  # lists every missing, unknown and misshapen tensor
        found = " ".join(str(error).split())
        raise ValueError(f"{path}: expected the weights of a HoVer-Net with {net.config}, found: {found}") from None
    return net.eval()
