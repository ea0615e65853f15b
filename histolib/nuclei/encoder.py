"""An encoder that has seen ImageNet: published pre-activation ResNet-50 weights under HoVer-Net's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .hovernet import HoVerNet

__all__ = ["load_encoder"]

MEAN, DEVIATION = 0.5, 0.5  # what these weights take off every channel of [0, 1], and what they divide it by


def load_encoder(net: HoVerNet, path: str | Path) -> None:
    """Fill the encoder with timm's `resnetv2_50` (`histolib data download resnetv2-50`).

    The units are the same (He et al. 2016, arXiv:1603.05027); timm's norm before a stage is HoVer-Net's after the stage
    before. What its inputs were normalised by goes into the first convolution and the norm after it. Two things differ,
    as they do for the published start: the first convolution has no stride here, and padding is TensorFlow's.

    Args:
        net: of width 1, changed in place; decoders keep their weights.
        path: safetensors file of the weights.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or does not fit; what is missing is named.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: expected ImageNet weights, found nothing; `histolib data download resnetv2-50`"
        )
    if net.width != 1:
        raise ValueError(f"{path}: expected a network of width 1 for ImageNet weights, found {net.width:g}")
    try:
        given = {_official(name): value for name, value in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: expected a safetensors file, found a damaged one ({error})") from None
    state = net.state_dict()
    wanted = [name for name in state if name.split(".")[0] in ("conv0", "d0", "d1", "d2", "d3")]
    wanted = [name for name in wanted if not name.endswith("num_batches_tracked")]
    wrong = [name for name in wanted if name not in given or given[name].shape != state[name].shape]
    if wrong:
        raise ValueError(f"{path}: expected a pre-activation ResNet-50, found no fitting {', '.join(wrong[:5])}")
    net.load_state_dict({**state, **_normalised({name: given[name] for name in wanted})})


def _normalised(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same network for inputs in [0, 1]: conv((x - m) / d) = conv(x) / d - m / d sum(weights)."""
    weight = state["conv0./.weight"]
    shift = weight.sum(dim=(1, 2, 3)) * MEAN / DEVIATION
    mean = state["conv0.bn.running_mean"] + shift
    return {**state, "conv0./.weight": weight / DEVIATION, "conv0.bn.running_mean": mean}


def _official(name: str) -> str:
    """HoVer-Net's name of a tensor of timm's `resnetv2_50`."""
    if name == "stem.conv.weight":
        return "conv0./.weight"
    if name.startswith("norm."):
        return name.replace("norm.", "d3.blk_bna.bn.")
    found = re.fullmatch(r"stages\.(\d)\.blocks\.(\d+)\.(downsample\.conv|conv\d|norm\d)\.(\w+)", name)
    if not found:
        return name
    stage, unit, layer, what = int(found[1]), int(found[2]), found[3], found[4]
    if layer == "downsample.conv":
        return f"d{stage}.shortcut.{what}"
    if layer.startswith("conv"):
        return f"d{stage}.units.{unit}.{layer}.{what}"
    if layer == "norm1" and unit == 0:
        return f"conv0.bn.{what}" if stage == 0 else f"d{stage - 1}.blk_bna.bn.{what}"
    slot = {"norm1": "preact/bn", "norm2": "conv1/bn", "norm3": "conv2/bn"}[layer]
    return f"d{stage}.units.{unit}.{slot}.{what}"
