"""HoVer-Net in reading order: a pre-activation ResNet-50 encoder and one dense decoder per output."""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..io import Provenance, load_weights, save_weights
from .postprocess import PUBLISHED_MPP, published_thresholds
from .weights import read_published

STRIDE = 8  # the encoder halves the size three times
# Kernel size of the decoders; input pixels that the unpadded convolutions remove on each side; input pixels that the
# first convolution removes in total.
MODES = {"fast": (3, 46, 0), "original": (5, 95, 6)}
UNIT_SCALE = 0.1  # initial scale of the last convolution in each residual unit and of the distances


class Upsample2x(nn.Upsample):
    """Nearest-neighbour upsampling by 2. The buffer is unused; it keeps the official state names."""

    def __init__(self) -> None:
        super().__init__(scale_factor=2, mode="nearest")
        self.register_buffer("unpool_mat", torch.ones(2, 2))


def _conv(c_in: int, c_out: int, kernel: int, stride: int = 1, padding: int = 0, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, kernel, stride, padding, groups=groups, bias=False)


def _norm(name: str, channels: int) -> dict[str, nn.Module]:
    return {f"{name}bn": nn.BatchNorm2d(channels), f"{name}relu": nn.ReLU(inplace=True)}


def _chain(layers: Mapping[str, nn.Module]) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def _crop(x: Tensor, like: Tensor) -> Tensor:
    """Centre of `x` with the height and width of `like`."""
    (height, width), (h, w) = x.shape[-2:], like.shape[-2:]
    top, left = (height - h) // 2, (width - w) // 2
    padding = (-left, left + w - width, -top, top + h - height)  # the gradient of a slice is not channels-last: slow
    return F.pad(x, padding) if x.requires_grad else x[..., top : top + h, left : left + w]


class ResidualBlock(nn.Module):
    """Bottleneck units (1x1, 3x3, 1x1) with skip connections; norm and ReLU precede each unit and end the block."""

    def __init__(self, c_in: int, c_mid: int, c_out: int, count: int, stride: int) -> None:
        super().__init__()
        self.units = nn.ModuleList()
        for index in range(count):
            unit_in, unit_stride = (c_out, 1) if index else (c_in, stride)
            even = unit_stride == 2
            unit = {
                **(_norm("preact/", unit_in) if index else {}),
                "conv1": _conv(unit_in, c_mid, 1),
                **_norm("conv1/", c_mid),
                # "Same" padding of TensorFlow: for even sizes, stride 2 pads only the bottom and the right.
                **({"conv2/pad": nn.ZeroPad2d((0, 1, 0, 1))} if even else {}),
                "conv2": _conv(c_mid, c_mid, 3, unit_stride, padding=0 if even else 1),
                **_norm("conv2/", c_mid),
                "conv3": _conv(c_mid, c_out, 1),
            }
            self.units.append(_chain(unit))
        self.shortcut = _conv(c_in, c_out, 1, stride)
        self.blk_bna = _chain(_norm("", c_out))

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, H, W) to (N, c_out, H / stride, W / stride)."""
        skip = self.shortcut(x)
        for unit in self.units:
            x = skip = unit(x).add_(skip)
        return self.blk_bna(x)


class DenseBlock(nn.Module):
    """Densely connected units; their convolutions are not padded, so earlier maps are cropped to the newest one."""

    def __init__(self, c_in: int, c_mid: int, c_new: int, kernel: int, count: int) -> None:
        super().__init__()
        self.units = nn.ModuleList()
        for channels in range(c_in, c_in + count * c_new, c_new):
            unit = {
                **_norm("preact_bna/", channels),
                "conv1": _conv(channels, c_mid, 1),
                **_norm("conv1/", c_mid),
                "conv2": _conv(c_mid, c_new, kernel, groups=4),
            }
            self.units.append(_chain(unit))
        self.c_out = c_in + count * c_new
        self.blk_bna = _chain(_norm("", self.c_out))

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, H, W) to (N, c_out, H - count (k - 1), W - count (k - 1))."""
        for unit in self.units:
            new = unit(x)
            x = torch.cat([_crop(x, new), new], dim=1)
        return self.blk_bna(x)


class HoVerNet(nn.Module):
    """HoVer-Net: nuclear pixels, their distances to the nucleus centre, and optionally nucleus types.

    Graham et al., HoVer-Net: Simultaneous segmentation and classification of nuclei in multi-tissue histology images,
    Medical Image Analysis 58 (2019), doi 10.1016/j.media.2019.101563. At width 1 the state has the names and shapes of
    the published code. The published network divides its input by 255; this one takes [0, 1] and returns the same
    logits for the same weights.

    `input_px` returns the accepted input sizes: in "fast" mode multiples of 8 from 96 (256 gives 164), in "original"
    mode multiples of 8 plus 6 from 198 (270 gives 80). The output is smaller by `margin_px` on each side.

    Args:
        mode: "fast" (3x3 decoders) or "original" (5x5 decoders, first convolution without padding).
        num_types: number of nucleus types including background; None omits the type decoder.
        width: factor on the number of channels, which are rounded to multiples of 4.

    Attributes:
        mpp: microns per pixel of the input.
        types: names of the nucleus types 1, 2, ...
        margin_px: difference between input and output size on each side.
        thresholds: keyword arguments of `postprocess` at `mpp`; the published ones unless set.
        provenance: training data, for the leak check.
        precision: type of the numbers in inference, by default that of the weights; `forward` does not use it.

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
        self.mode, self.num_types, self.width = mode, num_types, width
        self.config = {"mode": mode, "num_types": num_types, "width": width}  # builds the same network again
        if mode not in MODES or (num_types is not None and num_types < 2) or not width > 0:
            wanted = "mode 'fast' or 'original', num_types None or >= 2 (with background), width > 0"
            raise ValueError(f"HoVerNet: expected {wanted}, found {self.config}")
        self.mpp, self.types, self.provenance = PUBLISHED_MPP, tuple[str, ...](), Provenance()
        self._thresholds: Mapping[str, Any] = {}
        self.precision: torch.dtype | None = None
        k, self.margin_px, self.grid_start_px = MODES[mode]

        def c(channels: int) -> int:
            return max(4, 4 * round(channels * width / 4))

        conv0 = _conv(3, c(64), 7, padding=(6 - self.grid_start_px) // 2)
        self.conv0 = _chain({"/": conv0, **_norm("", c(64))})
        self.d0 = ResidualBlock(c(64), c(64), c(256), 3, stride=1)
        self.d1 = ResidualBlock(c(256), c(128), c(512), 4, stride=2)
        self.d2 = ResidualBlock(c(512), c(256), c(1024), 6, stride=2)
        self.d3 = ResidualBlock(c(1024), c(512), c(2048), 3, stride=2)
        self.conv_bot = _conv(c(2048), c(1024), 1)

        def decoder(c_out: int) -> nn.Sequential:
            dense3 = DenseBlock(c(256), c(128), c(32), k, 8)
            dense2 = DenseBlock(c(128), c(128), c(32), k, 4)
            u3 = {"conva": _conv(c(1024), c(256), k), "dense": dense3, "convf": _conv(dense3.c_out, c(512), 1)}
            u2 = {"conva": _conv(c(512), c(128), k), "dense": dense2, "convf": _conv(dense2.c_out, c(256), 1)}
            u1 = {"conva": _conv(c(256), c(64), k, padding=k // 2)}
            u0 = {**_norm("", c(64)), "conv": nn.Conv2d(c(64), c_out, 1)}
            return _chain({"u3": _chain(u3), "u2": _chain(u2), "u1": _chain(u1), "u0": _chain(u0)})

        outputs = ("tp", num_types), ("np", 2), ("hv", 2)
        self.decoder = nn.ModuleDict({name: decoder(count) for name, count in outputs if count})
        self.upsample2x = Upsample2x()
        for module in self.modules():
            # The heads (the only layers with a bias) keep the default of torch: fan-out scaling would exceed [-1, 1].
            if isinstance(module, nn.Conv2d) and module.bias is None:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        # Small initial units make the network shallow at first, which helps short runs (Goyal et al. 2017,
        # arXiv:1706.02677).
        for name, weight in self.named_parameters():
            if name.endswith(("conv3.weight", "decoder.hv.u0.conv.weight")):
                weight.data.mul_(UNIT_SCALE)

    def encode(self, images: Tensor) -> list[Tensor]:
        """Maps of the four encoder stages, at 1/1, 1/2, 1/4 and 1/8 of the size, from images as in `forward`."""
        maps = [self.d0(self.conv0(images))]
        for stage in (self.d1, self.d2, self.d3):
            maps.append(stage(maps[-1]))
        return maps

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Logits for the central part of the images.

        Args:
            images: (N, 3, H, W) in [0, 1].

        Returns:
            "np" (N, 2, h, w): background, nucleus. "hv" (N, 2, h, w): horizontal and vertical distance, in [-1, 1]
            after training. With types "tp" (N, num_types, h, w). h = H - 2 margin_px, w = W - 2 margin_px.

        Raises:
            ValueError: the size is not accepted; the message names the next larger one.
        """
        fitting = [self.input_px(size - 2 * self.margin_px) for size in images.shape[2:]]
        if images.ndim != 4 or images.shape[1] != 3 or fitting != list(images.shape[2:]):
            size = ", ".join(map(str, fitting)) if images.ndim == 4 else "H, W"
            raise ValueError(f"HoVerNet ({self.mode}): expected images (N, 3, {size}), found {tuple(images.shape)}")
        d0, d1, d2, d3 = self.encode(images)
        d3 = self.upsample2x(self.conv_bot(d3)).add_(d2)  # 1/4
        logits = {}
        for name, branch in self.decoder.items():
            u3, u2, u1, u0 = branch.children()
            x = self.upsample2x(u3(d3))  # 1/2
            x = self.upsample2x(u2(x.add_(_crop(d1, x))))  # 1/1
            logits[name] = u0(u1(x.add_(_crop(d0, x))))
        return logits

    def same_size_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Differentiable maps of the full images, which are mirrored at their borders.

        Args:
            images: (N, 3, h, w) in [0, 1], larger than the margin; the network moves to their device.

        Returns:
            logit of nucleus (N, h, w), and distances (N, 2, h, w).
        """
        self.to(images.device)
        (height, width), margin = images.shape[-2:], self.margin_px
        padding = [side for size in (width, height) for side in (margin, self.input_px(size) - size - margin)]
        found = self(F.pad(images.float(), padding, mode="reflect"))
        logits = (found["np"][:, 1] - found["np"][:, 0])[..., :height, :width]
        return logits, found["hv"][..., :height, :width]

    def input_px(self, output_px: int) -> int:
        """Smallest input size whose output covers `output_px`."""
        start = self.grid_start_px
        return -(-(max(1, output_px) + 2 * self.margin_px - start) // STRIDE) * STRIDE + start

    @property
    def thresholds(self) -> dict[str, Any]:
        """Keyword arguments of `postprocess` at `mpp`; by default the published ones."""
        return dict(self._thresholds or published_thresholds(self.mpp))

    @thresholds.setter
    def thresholds(self, thresholds: Mapping[str, Any]) -> None:
        self._thresholds = thresholds

    def save(self, path: str | Path) -> None:
        """Write weights and metadata to a safetensors file (OSError if that fails)."""
        own = {"mpp": self.mpp, "types": list(self.types), "thresholds": self.thresholds, "config": self.config}
        save_weights(path, self.state_dict(), {**self.provenance.card(), **own})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a network in evaluation mode, with its metadata.

        Args:
            path: file of `save`, or a published checkpoint (`.tar`, `.pth`, `.pt`), see `from_official`.

        Raises:
            FileNotFoundError: the file does not exist.
            ValueError: it is damaged, or its weights do not fit its metadata; the message lists every mismatch.
        """
        if Path(path).suffix in (".tar", ".pth", ".pt"):
            return cls.from_official(path)
        return cls._build(path, *load_weights(path))

    @classmethod
    def from_official(cls, path: str | Path) -> Self:
        """Load a published checkpoint; mode and number of types are read from the weights.

        Published files have no metadata: `mpp` is 0.25, and `types` and `provenance` are known for the checkpoints
        that were trained on PanNuke or CoNSeP. For others the training groups are unknown.

        Args:
            path: `.tar` of the HoVer-Net repository (state under "desc") or a plain state (TIAToolbox `.pth`), with or
                without the names of `DataParallel`. Read without unpickling code.

        Raises:
            FileNotFoundError: the file does not exist.
            ValueError: it is not a HoVer-Net checkpoint; the message lists every tensor that does not fit.
        """
        return cls._build(path, *read_published(path))

    @classmethod
    def _build(cls, path: str | Path, state: Mapping[str, Tensor], card: dict[str, Any]) -> Self:
        try:
            net = cls(**card.pop("config"))
            net.mpp, net.types = card.pop("mpp"), tuple(card.pop("types"))
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path}: expected HoVer-Net weights, found metadata without {error}") from None
        net.thresholds, net.provenance = card.pop("thresholds", {}), Provenance.from_card(card)
        try:
            net.load_state_dict(state)
        except RuntimeError as error:  # lists every missing, unknown and misshapen tensor
            found = " ".join(str(error).split())
            raise ValueError(f"{path}: expected the weights of a HoVer-Net with {net.config}, found: {found}") from None
        return net.eval()
