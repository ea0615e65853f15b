"""Published HoVer-Net checkpoints, which have no metadata."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..data import InstanceTiles, PanNuke
from ..io import reading
from .postprocess import PUBLISHED_MPP

MODES = {3: "fast", 5: "original"}  # by kernel size of the decoders
MARK = "decoder.np.u3.conva.weight"
# Types and training data, by mode and number of types.
PUBLISHED: dict[Any, Any] = {
    ("fast", 6): (PanNuke.types, "PanNuke, all three folds", ["fold1", "fold2", "fold3"]),
    ("original", 5): (InstanceTiles.types, "CoNSeP, all 27 training images", [f"train_{i}" for i in range(1, 28)]),
}


def read_published(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State of a published checkpoint, and the card that it lacks; see `HoVerNet.from_official`."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: expected a HoVer-Net checkpoint, found nothing")
    with reading(path, f"a HoVer-Net checkpoint with {MARK}", Exception):  # torch.load raises many types
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        items = loaded.get("desc", loaded).items()
        state = {name.removeprefix("module."): value for name, value in items if isinstance(value, Tensor)}
        mode, last = MODES[state[MARK].shape[-1]], state.get("decoder.tp.u0.conv.weight")
    num_types = None if last is None else len(last)
    unnamed = {number: f"type {number}" for number in range(1, num_types or 1)}
    types, trained_on, groups = PUBLISHED.get((mode, num_types), (unnamed, None, None))
    card = {"trained_on": trained_on, "groups": groups, "mpp": PUBLISHED_MPP, "types": types.values()}
    return state, {"config": {"mode": mode, "num_types": num_types}, **card}
