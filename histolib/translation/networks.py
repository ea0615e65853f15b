"""The two networks of the CycleGAN, read top to bottom: a ResNet generator and a PatchGAN discriminator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as spectrally_normalised

from .content import DENSITY_BINS, DENSITY_STEP, stain_amount

__all__ = ["Generator", "PatchDiscriminator", "held_statistics"]

PALEST = 0.98  # of colours in (-1, 1) that a generator begins with: beyond, tanh has no slope to learn by
SMALLEST_PX = 8  # at a quarter of this size a reflection by one pixel still has a pixel to reflect


class InstanceNorm(nn.Module):
    """Instance norm without affine parameters, whose statistics `held_statistics` can take from a sample and keep."""

    def __init__(self) -> None:
        super().__init__()
        self.sampling = False
        self.held: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each channel of (N, C, H, W)."""
        if self.sampling:
            variance, mean = torch.var_mean(x.float(), (0, 2, 3), correction=0)
            self.held = mean, variance
        if self.held is not None:
            return F.batch_norm(x, *self.held)
        # One group a channel is the same norm, whose kernel is several times faster on a CPU.
        return F.instance_norm(x) if x.is_cuda else F.group_norm(x, x.shape[1])


@contextmanager
def held_statistics(network: nn.Module, sample: Tensor) -> Iterator[None]:
    """Within the context, every instance norm of `network` uses the statistics of `sample`, pooled over its images.

    A convolutional network with fixed statistics is local: tiles of a large image agree where their margins cover its
    reach. Instance norm proper gives each tile statistics of its own, and seams.

    Args:
        network: any module that holds this file's instance norms, such as `Generator`.
        sample: images of the large picture, shape (N, 3, H, W), in [0, 1].
    """
    norms = [module for module in network.modules() if isinstance(module, InstanceNorm)]
    try:
        for norm in norms:
            norm.sampling = True
        with torch.no_grad():
            network(sample)
        for norm in norms:
            norm.sampling = False
        yield
    finally:
        for norm in norms:
            norm.sampling, norm.held = False, None


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around which the input is carried (Johnson et al. 2016, without the last ReLU)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False),
            InstanceNorm(),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False),
            InstanceNorm(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return x + self.body(x)


class Enlargement(nn.Module):
    """Nearest-neighbour enlargement by 2 and a 3x3 convolution, done as one transposed convolution at half the cost.

    Every output pixel sees the whole kernel. The published transposed 3x3 convolution gives each pixel of a 2x2 square
    its own part of the kernel, which paints a checkerboard (Odena et al. 2016, doi 10.23915/distill.00003).
    """

    def __init__(self, channels: int, wanted: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, wanted, 3, 3).normal_(0.0, 0.02))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, wanted, 2 H, 2 W)."""
        # Each weight falls on the 2x2 pixels that a pixel becomes.
        shifts = [F.pad(self.weight, (i, 1 - i, j, 1 - j)) for i in (0, 1) for j in (0, 1)]
        return F.conv_transpose2d(x, torch.stack(shifts).sum(0), stride=2, padding=1)


class Recolouring(nn.Module):
    """`recolour_od` as a layer: each pixel in the colour of its amount of stain, linear between bins."""

    def __init__(self) -> None:
        super().__init__()
        self.table: Tensor
        self.weights: Tensor
        self.register_buffer("table", torch.ones(DENSITY_BINS, 3))
        self.register_buffer("weights", torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] to the same."""
        place = (stain_amount(x, self.weights) / DENSITY_STEP - 0.5).clamp(0, DENSITY_BINS - 1.001)
        low = place.detach().long()
        share = (place - low).unsqueeze(-1)
        return torch.lerp(self.table[low], self.table[low + 1], share).permute(0, 3, 1, 2)


class Generator(nn.Module):
    """ResNet generator of CycleGAN: images of one stain to images of the other, same size.

    Zhu et al., Unpaired image-to-image translation using cycle-consistent adversarial networks, ICCV 2017
    (doi 10.1109/ICCV.2017.244). Published sizes: width 64, 9 blocks from 256 px on, 6 below. Convolutions before an
    instance norm have no bias, which the norm would subtract again, and `Enlargement` replaces transposed convolutions.

    Args:
        width: channels at full resolution; 2x at a half, 4x at a quarter.
        blocks: residual blocks at a quarter of the resolution.
        on_od: paint on top of the `od` recolouring, with which it then begins (see `begin_with`), so that nothing fine
            is lost on the way through a quarter of the resolution. As published there is nothing below.

    Attributes:
        mpp: microns per pixel of the images that it was trained on, or None while that is unknown.
        reach_px: how far an output pixel sees, in pixels to each side, once normalisation statistics are held.

    >>> Generator(width=4, blocks=1)(torch.rand(1, 3, 30, 50)).shape
    torch.Size([1, 3, 30, 50])
    """

    def __init__(self, width: int = 64, blocks: int = 9, on_od: bool = False) -> None:
        super().__init__()
        self.config: dict[str, int | bool] = {"width": width, "blocks": blocks, **({"on_od": True} if on_od else {})}
        self.mpp: float | None = None
        self.encoder = nn.Sequential(
            nn.Conv2d(3, width, 7, padding=3, padding_mode="reflect", bias=False),  # H
            InstanceNorm(),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),  # H / 2
            InstanceNorm(),
            nn.ReLU(inplace=True),
            nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1, bias=False),  # H / 4
            InstanceNorm(),
            nn.ReLU(inplace=True),
        )
        self.blocks = nn.Sequential(*(ResidualBlock(4 * width) for _ in range(blocks)))
        self.decoder = nn.Sequential(
            Enlargement(4 * width, 2 * width),  # H / 2
            InstanceNorm(),
            nn.ReLU(inplace=True),
            Enlargement(2 * width, width),  # H
            InstanceNorm(),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 3, 7, padding=3, padding_mode="reflect"),
        )
        self.apply(_initialise)
        self.recolouring = Recolouring() if on_od else None
        if on_od:
            self.decoder[-1].weight.data.zero_()  # type: ignore[operator]

    def begin_with(self, table: Tensor, weights: Tensor) -> None:
        """Begin with the `od` recolouring: the colour (B, 3) in [0, 1] of each bin of the amount of stain.

        Args:
            table: bins of width `DENSITY_STEP`.
            weights: of the optical densities in the amount of stain, (3,).
        """
        assert self.recolouring is not None, "a generator with on_od"
        self.recolouring.table.copy_(table)
        self.recolouring.weights.copy_(weights)

    @property
    def reach_px(self) -> int:
        """7x7 (3), two strided 3x3 (1 + 2), two 3x3 a block at stride 4 (8), two enlargements (4 + 2), 7x7 (3)."""
        return 8 * len(self.blocks) + 15

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] to images of the same shape and range; any H and W."""
        height, width = x.shape[-2:]
        # Padding at the bottom and right alone keeps the strided grid where it is, so that tiles stay aligned.
        padding = (0, _missing(width), 0, _missing(height))
        x = F.pad(2 * x - 1, padding, mode="replicate") if any(padding) else 2 * x - 1
        y = self.decoder(self.blocks(self.encoder(x)))[..., :height, :width]
        if self.recolouring is not None:
            below = 2 * self.recolouring((x[..., :height, :width] + 1) / 2) - 1
            y = y + torch.atanh(below.clamp(-PALEST, PALEST))
        return (torch.tanh(y) + 1) / 2


class PatchDiscriminator(nn.Module):
    """PatchGAN: a map of scores, each for one patch of the image (70 px with three strided layers).

    Isola et al., Image-to-image translation with conditional adversarial networks, CVPR 2017
    (doi 10.1109/CVPR.2017.632).

    Args:
        width: channels of the first layer, doubled by each further one up to 8x.
        layers: strided layers; the patch seen by a score is 16, 34, 70, 142 px for 1 to 4.
        spectral_norm: bound every layer by its largest singular value (Miyato et al., ICLR 2018). It then stands in
            place of instance norm, which would divide the bound out again.

    >>> PatchDiscriminator(width=4)(torch.rand(1, 3, 128, 128)).shape
    torch.Size([1, 1, 14, 14])
    """

    def __init__(self, width: int = 64, layers: int = 3, spectral_norm: bool = False) -> None:
        super().__init__()
        channels = [width * min(2**i, 8) for i in range(layers + 1)]
        modules: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
        for i in range(layers):
            stride = 2 if i < layers - 1 else 1
            modules.append(nn.Conv2d(channels[i], channels[i + 1], 4, stride, padding=1, bias=spectral_norm))
            if not spectral_norm:
                modules.append(InstanceNorm())
            modules.append(nn.LeakyReLU(0.2, inplace=True))
        modules.append(nn.Conv2d(channels[-1], 1, 4, padding=1))
        self.layers = nn.Sequential(*modules)
        self.apply(_initialise)
        if spectral_norm:
            for module in self.layers:
                if isinstance(module, nn.Conv2d):
                    spectrally_normalised(module)

    @property
    def strided(self) -> nn.Sequential:
        """The strided layers, below the last two convolutions."""
        convolutions = [i for i, module in enumerate(self.layers) if isinstance(module, nn.Conv2d)]
        return self.layers[: convolutions[-2]]

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] to scores (N, 1, h, w), near 1 for real and 0 for translated."""
        return self.layers(2 * x - 1)


def _missing(size: int) -> int:
    """Pixels to add so that `size` is a multiple of 4 and large enough to reflect."""
    return max(SMALLEST_PX, -(-size // 4) * 4) - size


def _initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02), biases zero, as published."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
