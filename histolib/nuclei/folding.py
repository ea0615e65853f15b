"""Copies of HoVer-Net for inference: batch norms folded into convolutions and, on a CPU, fewer passes over memory."""

import copy
from itertools import pairwise
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .hovernet import HoVerNet, ResidualBlock

_COPIES: WeakKeyDictionary[nn.Module, tuple[list[Any], Any]] = WeakKeyDictionary()


def inference_copy(net: HoVerNet, dtype: torch.dtype) -> Any:
    """Copy of a network for inference in a precision, in channels-last layout; its maps differ by rounding.

    Batch norms are folded into neighbouring convolutions. On a CPU, ReLU and the sums of residual units are computed
    by the convolution before them (oneDNN), because memory is the bottleneck of these narrow layers.

    The copy is reused until a weight changes: in-place updates raise the version of a tensor, other updates replace it.
    Tensors created in inference mode have no version; networks with such weights are copied on every call.
    """
    tensors = [*net.parameters(), *net.buffers()]
    key = [dtype, *((t.data_ptr(), t.dtype, t.device, object() if t.is_inference() else t._version) for t in tensors)]
    known, copied = _COPIES.get(net, (None, None))
    if known != key:
        copied = copy.deepcopy(net).eval().requires_grad_(False)
        chains = [module for module in copied.modules() if isinstance(module, nn.Sequential)]
        for chain in chains:
            _fold_norms_behind(chain)
        if tensors[0].device.type == "cpu" and _has_fused_kernels(dtype):
            for chain in chains:
                _fold_norms_ahead(chain)
                _fuse_relus(chain)
            for name, block in list(copied.named_children()):
                if isinstance(block, ResidualBlock):
                    setattr(copied, name, _FusedBlock(block))
        copied = copied.to(dtype).to(memory_format=torch.channels_last)
        _COPIES[net] = key, copied
    return copied


def _has_fused_kernels(dtype: torch.dtype) -> bool:
    """Whether torch offers the oneDNN operators that its compiler uses; they are not part of its public interface."""
    known = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise_")
    bf16 = dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return known and (dtype == torch.float32 or bf16)


def _fold_norms_behind(chain: nn.Sequential) -> None:
    for (name, conv), (norm_name, norm) in pairwise(list(chain.named_children())):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(chain, name, fuse_conv_bn_eval(conv, norm))
            delattr(chain, norm_name)


def _fold_norms_ahead(chain: nn.Sequential) -> None:
    """Replace norm, ReLU and 1x1 convolution by a limit and a convolution: max(a x + b, 0) = a max(x, -b / a) + b."""
    layers = list(chain.named_children())
    for (name, norm), (relu_name, _), (_, conv) in zip(layers, layers[1:], layers[2:], strict=False):
        if isinstance(norm, nn.BatchNorm2d) and isinstance(conv, nn.Conv2d) and conv.kernel_size == (1, 1):
            at: Any = norm
            scale = at.weight / (at.running_var + at.eps).sqrt()
            shift = at.bias - scale * at.running_mean
            if (scale > 0).all():
                bias = (conv.weight * shift.view(1, -1, 1, 1)).sum((1, 2, 3))
                conv.bias = nn.Parameter(bias if conv.bias is None else bias + conv.bias, requires_grad=False)
                conv.weight.mul_(scale.view(1, -1, 1, 1))
                setattr(chain, name, _AtLeast(-shift / scale))
                delattr(chain, relu_name)


def _fuse_relus(chain: nn.Sequential) -> None:
    layers = list(chain.named_children())
    for (name, conv), (relu_name, relu) in pairwise([*layers, ("", nn.Identity())]):
        if isinstance(conv, nn.Conv2d):
            fused = isinstance(relu, nn.ReLU)
            setattr(chain, name, _FusedConv(conv, "relu" if fused else "none"))
            if fused:
                delattr(chain, relu_name)


class _AtLeast(nn.Module):
    """Raise the values of each channel to a limit."""

    limits: Tensor

    def __init__(self, limits: Tensor) -> None:
        super().__init__()
        self.register_buffer("limits", limits.view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.maximum(x, self.limits)


class _FusedConv(nn.Module):
    def __init__(self, conv: nn.Conv2d, then: str) -> None:
        super().__init__()
        self.conv, self.then = conv, then

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._convolution_pointwise(x, *self._arguments(), self.then, [], "")

    def add_to(self, total: Tensor, x: Tensor) -> Tensor:
        """Add the result to `total`."""
        add = torch.ops.mkldnn._convolution_pointwise_.binary
        return add(total, x, *self._arguments(), "add", 1.0, None, [], None)

    def _arguments(self) -> tuple[Any, ...]:
        conv = self.conv
        return conv.weight, conv.bias, conv.padding, conv.stride, conv.dilation, conv.groups


class _FusedBlock(nn.Module):
    """`ResidualBlock` whose last convolution of each unit adds the skip connection."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.block: Any = block

    def forward(self, x: Tensor) -> Tensor:
        skip = self.block.shortcut(x)
        for unit in self.block.units:
            x = skip = unit[-1].add_to(skip, unit[:-1](x))
        return self.block.blk_bna(x)
