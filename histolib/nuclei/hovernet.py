"""HoVer-Net, read top to bottom: a pre-activation ResNet-50 encoder and one dense decoder for each question."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["HoVerNet", "load_state"]

STRIDE = 8  # the encoder halves the size three times
KERNELS = {"fast": 3, "original": 5}  # of the decoders
UNIT_START = 0.1
MARGINS = {"fast": 46, "original": 95}  # input pixels that the valid convolutions take from every side


class Upsample2x(nn.Module):
    """Every pixel becomes a block of 2 x 2. The buffer is of no use but to keep the official names."""

    unpool_mat: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("unpool_mat", torch.ones(2, 2))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, 2H, 2W)."""
        return F.interpolate(x, scale_factor=2, mode="nearest")


def _conv(c_in: int, c_out: int, kernel: int, stride: int = 1, padding: int = 0, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, kernel, stride, padding, groups=groups, bias=False)


def _chain(**layers: nn.Module) -> nn.Sequential:
    """A sequence with the official names, in which "/" stands where an identifier has "__"."""
    return nn.Sequential(OrderedDict((name.replace("__", "/"), layer) for name, layer in layers.items()))


def _bn_relu(channels: int) -> nn.Sequential:
    return _chain(bn=nn.BatchNorm2d(channels), relu=nn.ReLU(inplace=True))


def _crop(x: Tensor, like: Tensor) -> Tensor:
    """Centre of `x` with the height and width of `like`."""
    (height, width), (h, w) = x.shape[-2:], like.shape[-2:]
    top, left = (height - h) // 2, (width - w) // 2
    return x[..., top : top + h, left : left + w]


class ResidualBlock(nn.Module):
    """Bottleneck units 1x1, 3x3, 1x1 that add to what they got; norm and ReLU come before a unit and at the end."""

    def __init__(self, c_in: int, c_mid: int, c_out: int, count: int, stride: int) -> None:
        super().__init__()
        self.units = nn.ModuleList()
        for index in range(count):
            unit_in, unit_stride = (c_out, 1) if index else (c_in, stride)
            preact = {"preact__bn": nn.BatchNorm2d(unit_in), "preact__relu": nn.ReLU(inplace=True)} if index else {}
            # TensorFlow's "same" padding: of even sizes a stride of 2 pads below and to the right alone.
            pad = {"conv2__pad": nn.ZeroPad2d((0, 1, 0, 1))} if unit_stride == 2 else {}
            self.units.append(
                _chain(
                    **preact,
                    conv1=_conv(unit_in, c_mid, 1),
                    conv1__bn=nn.BatchNorm2d(c_mid),
                    conv1__relu=nn.ReLU(inplace=True),
                    **pad,
                    conv2=_conv(c_mid, c_mid, 3, unit_stride, padding=0 if pad else 1),
                    conv2__bn=nn.BatchNorm2d(c_mid),
                    conv2__relu=nn.ReLU(inplace=True),
                    conv3=_conv(c_mid, c_out, 1),
                )
            )
        self.shortcut = _conv(c_in, c_out, 1, stride)
        self.blk_bna = _bn_relu(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, H, W) to (N, c_out, H / stride, W / stride)."""
        carried = self.shortcut(x)
        for unit in self.units:
            x = carried = unit(x).add_(carried)
        return self.blk_bna(x)


class DenseBlock(nn.Module):
    """Units that each see all that came before; valid convolutions, so earlier maps are cropped to the newest."""

    def __init__(self, c_in: int, c_mid: int, c_new: int, kernel: int, count: int) -> None:
        super().__init__()
        self.units = nn.ModuleList(
            _chain(
                preact_bna__bn=nn.BatchNorm2d(channels),
                preact_bna__relu=nn.ReLU(inplace=True),
                conv1=_conv(channels, c_mid, 1),
                conv1__bn=nn.BatchNorm2d(c_mid),
                conv1__relu=nn.ReLU(inplace=True),
                conv2=_conv(c_mid, c_new, kernel, groups=4),
            )
            for channels in range(c_in, c_in + count * c_new, c_new)
        )
        self.c_out = c_in + count * c_new
        self.blk_bna = _bn_relu(self.c_out)

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, H, W) to (N, c_out, H - count (k - 1), W - count (k - 1))."""
        for unit in self.units:
            new = unit(x)
            x = torch.cat([_crop(x, new), new], dim=1)
        return self.blk_bna(x)


class HoVerNet(nn.Module):
    """HoVer-Net: where nuclei are, how far each pixel is from its nucleus' centre, and of which type it is.

    Graham et al., HoVer-Net: Simultaneous segmentation and classification of nuclei in multi-tissue histology images,
    Medical Image Analysis 58 (2019), doi 10.1016/j.media.2019.101563. At width 1 the state has the names and shapes of
    the published code. The published network divides its input by 255 itself; this one takes [0, 1], so that the same
    weights give the same logits.

    Images of any height and width that `input_px` returns: in "fast" a multiple of 8 from 96 on (256 gives 164), in
    "original" a multiple of 8 plus 6 from 198 on (270 gives 80). The output is the centre, smaller by `margin_px` on
    every side.

    Args:
        mode: "fast" (3x3 decoders) or "original" (5x5 decoders, first convolution without padding).
        num_types: types of nuclei, background counted; None leaves the type decoder away.
        width: factor on every number of channels, which are rounded to multiples of 4.

    Raises:
        ValueError: an argument is out of range.

    >>> net = HoVerNet(num_types=6, width=1 / 16).eval()
    >>> with torch.inference_mode():
    ...     logits = net(torch.rand(1, 3, 256, 256))
    >>> {name: tuple(values.shape) for name, values in logits.items()}
    {'tp': (1, 6, 164, 164), 'np': (1, 2, 164, 164), 'hv': (1, 2, 164, 164)}
    """

    def __init__(self, mode: str = "fast", num_types: int | None = None, width: float = 1.0) -> None:
        super().__init__()
        if mode not in KERNELS:
            raise ValueError(f"HoVerNet: expected mode 'fast' or 'original', found {mode!r}")
        if num_types is not None and num_types < 2:
            raise ValueError(f"HoVerNet: expected num_types None or >= 2 (background counts), found {num_types}")
        if not width > 0:
            raise ValueError(f"HoVerNet: expected a width > 0, found {width}")
        self.mode, self.num_types, self.width = mode, num_types, width

        def c(channels: int) -> int:
            return max(4, 4 * round(channels * width / 4))

        conv0 = _conv(3, c(64), 7, padding=3 if mode == "fast" else 0)
        self.conv0 = _chain(__=conv0, bn=nn.BatchNorm2d(c(64)), relu=nn.ReLU(inplace=True))
        self.d0 = ResidualBlock(c(64), c(64), c(256), 3, stride=1)
        self.d1 = ResidualBlock(c(256), c(128), c(512), 4, stride=2)
        self.d2 = ResidualBlock(c(512), c(256), c(1024), 6, stride=2)
        self.d3 = ResidualBlock(c(1024), c(512), c(2048), 3, stride=2)
        self.conv_bot = _conv(c(2048), c(1024), 1)

        def decoder(c_out: int) -> nn.Sequential:
            k = KERNELS[mode]
            dense3 = DenseBlock(c(256), c(128), c(32), k, 8)
            dense2 = DenseBlock(c(128), c(128), c(32), k, 4)
            return _chain(
                u3=_chain(conva=_conv(c(1024), c(256), k), dense=dense3, convf=_conv(dense3.c_out, c(512), 1)),
                u2=_chain(conva=_conv(c(512), c(128), k), dense=dense2, convf=_conv(dense2.c_out, c(256), 1)),
                u1=_chain(conva=_conv(c(256), c(64), k, padding=k // 2)),
                u0=_chain(bn=nn.BatchNorm2d(c(64)), relu=nn.ReLU(inplace=True), conv=nn.Conv2d(c(64), c_out, 1)),
            )

        outputs = {"tp": num_types, "np": 2, "hv": 2}
        self.decoder = nn.ModuleDict({name: decoder(count) for name, count in outputs.items() if count})
        self.upsample2x = Upsample2x()
        for module in self.modules():
            # Heads (they alone have a bias) keep torch's start: fan-out of two maps would begin far beyond [-1, 1].
            if isinstance(module, nn.Conv2d) and module.bias is None:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        # Units that start small let a short training begin as a shallow network (Goyal et al. 2017, arXiv:1706.02677).
        for name, weight in self.named_parameters():
            if name.endswith("conv3.weight"):
                weight.data.mul_(UNIT_START)
        self.decoder["hv"].u0.conv.weight.data.mul_(UNIT_START)  # type: ignore[union-attr, operator]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Logits of the centre of the images.

        Args:
            images: (N, 3, H, W) in [0, 1].

        Returns:
            "np" (N, 2, h, w): background, nucleus. "hv" (N, 2, h, w): horizontal and vertical distance, in [-1, 1] once
            trained. With types "tp" (N, num_types, h, w). h = H - 2 margin_px, w = W - 2 margin_px.

        Raises:
            ValueError: a size that the network cannot take; the next larger one is named.
        """
        fitting = [self.input_px(size - 2 * self.margin_px) for size in images.shape[2:]]
        if images.ndim != 4 or images.shape[1] != 3 or fitting != list(images.shape[2:]):
            size = ", ".join(map(str, fitting)) if images.ndim == 4 else "H, W"
            raise ValueError(f"HoVerNet ({self.mode}): expected images (N, 3, {size}), found {tuple(images.shape)}")
        d0 = self.d0(self.conv0(images))  # 1/1 of the size
        d1 = self.d1(d0)  # 1/2
        d2 = self.d2(d1)  # 1/4
        d3 = self.upsample2x(self.conv_bot(self.d3(d2))).add_(d2)  # 1/4
        logits = {}
        for name, branch in self.decoder.items():
            u3, u2, u1, u0 = branch.children()
            x = self.upsample2x(u3(d3))  # 1/2
            x = self.upsample2x(u2(x.add_(_crop(d1, x))))  # 1/1
            logits[name] = u0(u1(x.add_(_crop(d0, x))))
        return logits

    @property
    def margin_px(self) -> int:
        """Pixels by which the output is smaller than the input, on every side."""
        return MARGINS[self.mode]

    def input_px(self, output_px: int) -> int:
        """Smallest size of an input whose output covers `output_px`."""
        lead = 0 if self.mode == "fast" else 6  # what an unpadded first convolution takes before the grid of 8 begins
        return -(-(max(1, output_px) + 2 * self.margin_px - lead) // STRIDE) * STRIDE + lead

    @property
    def config(self) -> dict[str, Any]:
        """Arguments that build this network again."""
        return {"mode": self.mode, "num_types": self.num_types, "width": self.width}

    def encoder(self) -> list[nn.Module]:
        """The modules before the decoders, which an ImageNet start can fill."""
        return [self.conv0, self.d0, self.d1, self.d2, self.d3]

    @classmethod
    def from_official(cls, path: str | Path) -> HoVerNet:
        """Load a published checkpoint; mode and number of types are read from the weights.

        Args:
            path: `.tar` of the HoVer-Net repository (the state is under "desc") or a plain state (TIAToolbox `.pth`),
                saved from `DataParallel` or not. Read without unpickling code.

        Returns:
            the network in evaluation mode.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no checkpoint, or not of this network; every tensor that does not fit is named.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: expected a HoVer-Net checkpoint, found nothing")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch.load raises many kinds for a damaged file
            reason = str(error).partition("\n")[0]
            raise ValueError(
                f"{path}: expected a checkpoint of tensors, found a file that does not load ({reason})"
            ) from None
        state = state.get("desc", state) if isinstance(state, Mapping) else {}
        state = state if isinstance(state, Mapping) else {}
        state = {str(name).removeprefix("module."): value for name, value in state.items() if isinstance(value, Tensor)}
        first, types = state.get("decoder.np.u3.conva.weight"), state.get("decoder.tp.u0.conv.weight")
        modes = {kernel: mode for mode, kernel in KERNELS.items()}
        if first is None or first.shape[-1] not in modes:
            found = ", ".join(list(state)[:3]) or "no tensors"
            raise ValueError(f"{path}: expected the state of a HoVer-Net (decoder.np.u3.conva.weight), found {found}")
        net = cls(modes[first.shape[-1]], None if types is None else len(types))
        load_state(net, state, path)
        return net.eval()


def load_state(net: HoVerNet, state: Mapping[str, Tensor], path: str | Path) -> None:
    """Load a state, or raise a ValueError that names the file and all that does not fit."""
    own = net.state_dict()
    wrong = [f"missing {name}" for name in own if name not in state]
    wrong += [f"unknown {name}" for name in state if name not in own]
    wrong += [
        f"{name} of shape {tuple(value.shape)}, expected {tuple(own[name].shape)}"
        for name, value in state.items()
        if name in own and value.shape != own[name].shape
    ]
    if wrong:
        config = f"mode {net.mode!r}, num_types {net.num_types}, width {net.width:g}"
        raise ValueError(f"{path}: does not fit HoVer-Net of {config}: {'; '.join(wrong)}")
    net.load_state_dict(state)
