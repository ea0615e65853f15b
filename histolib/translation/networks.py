"""The two CycleGAN networks: a ResNet generator and a PatchGAN discriminator."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as spectrally_normalised

from ..io import Provenance, load_network, save_weights
from .content import DENSITY_BINS, DENSITY_STEP, stain_amount

PALEST = 0.98  # largest initial colour magnitude in (-1, 1): tanh has almost no gradient beyond it
SMALLEST_PX = 8  # smallest padded side: a quarter of it still has a pixel for reflection padding


class InstanceNorm(nn.Module):
    """Instance norm without affine parameters. `held_statistics` can fix its statistics to those of a sample."""

    sampling = False
    held: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each channel of (N, C, H, W)."""
        if self.sampling:
            variance, mean = torch.var_mean(x.float(), (0, 2, 3), correction=0)
            self.held = mean, variance
        if self.held is not None:
            return F.batch_norm(x, *self.held)
        # Group norm with one channel per group is the same operation, and several times faster on a CPU.
        return F.instance_norm(x) if x.is_cuda else F.group_norm(x, x.shape[1])


@contextmanager
def held_statistics(network: nn.Module, sample: Tensor) -> Iterator[None]:
    """Fix the statistics of every instance norm to those of a sample, pooled over its images, within the context.

    With fixed statistics the network is local: overlapping tiles of a large image agree if their margins cover the
    receptive field. Standard instance norm computes statistics per tile and leaves seams.

    Args:
        network: a network with instance norms of this module, such as `Generator`.
        sample: crops of the large image, shape (N, 3, H, W), in [0, 1].
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
    """Two 3x3 convolutions with a skip connection (Johnson et al. 2016, without the last ReLU)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = (
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False) for _ in range(2)
        )
        self.body = nn.Sequential(*_normed(first), second, InstanceNorm())

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return x + self.body(x)


class Enlargement(nn.Module):
    """Nearest-neighbour upsampling by 2 followed by a 3x3 convolution, as one transposed convolution at half the cost.

    Every output pixel uses the whole kernel. In the published transposed 3x3 convolution each pixel of a 2x2 square
    uses another part of the kernel, which causes checkerboards (Odena et al. 2016, doi 10.23915/distill.00003).
    """

    def __init__(self, channels: int, wanted: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, wanted, 3, 3).normal_(0.0, 0.02))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, wanted, 2 H, 2 W)."""
        # Each weight applies to all four pixels that one input pixel is upsampled to.
        shifts = [F.pad(self.weight, (i, 1 - i, j, 1 - j)) for i in (0, 1) for j in (0, 1)]
        return F.conv_transpose2d(x, torch.stack(shifts).sum(0), stride=2, padding=1)


class Recolouring(nn.Module):
    """`recolour_od` as a layer: each pixel gets the colour of its stain amount, interpolated between bins."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Buffer(torch.ones(DENSITY_BINS, 3))
        self.weights = nn.Buffer(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] to the same shape and range."""
        place = (stain_amount(x, self.weights) / DENSITY_STEP - 0.5).clamp(0, DENSITY_BINS - 1.001)
        low = place.detach().long()
        share = (place - low).unsqueeze(-1)
        return torch.lerp(self.table[low], self.table[low + 1], share).permute(0, 3, 1, 2)


class Generator(nn.Module):
    """ResNet generator of CycleGAN: translates images of one stain to the other at the same size.

    Zhu et al., Unpaired image-to-image translation using cycle-consistent adversarial networks, ICCV 2017
    (doi 10.1109/ICCV.2017.244). Published sizes: width 64, 9 blocks from 256 px on, 6 below. Convolutions before an
    instance norm have no bias, because the norm would subtract it, and `Enlargement` replaces transposed convolutions.

    Args:
        width: channels at full resolution; 2x at half, 4x at a quarter.
        blocks: residual blocks at a quarter of the resolution.
        on_od: add the output to the `recolour_od` recolouring (see `begin_with`), which preserves fine detail that the
            path through a quarter of the resolution loses. The published generator does not have this.

    Attributes:
        mpp: microns per pixel of the training images; None if unknown.
        direction: "ihc_to_he" or "he_to_ihc".
        marker: structure that the brown stains in the IHC of the training set, one of `imaging.MARKERS`.
        provenance: training data and settings.
        reach_px: receptive field to each side in pixels, once normalisation statistics are held.

    >>> Generator(width=4, blocks=1)(torch.rand(1, 3, 30, 50)).shape
    torch.Size([1, 3, 30, 50])
    """

    def __init__(self, width: int = 64, blocks: int = 9, on_od: bool = False) -> None:
        super().__init__()
        self.config: dict[str, int] = {"width": width, "blocks": blocks} | ({"on_od": True} if on_od else {})
        self.mpp: float | None = None
        self.direction, self.marker, self.provenance = "ihc_to_he", "nuclear", Provenance()
        self.encoder = nn.Sequential(
            *_normed(nn.Conv2d(3, width, 7, padding=3, padding_mode="reflect", bias=False)),  # H
            *_normed(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False)),  # H / 2
            *_normed(nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1, bias=False)),  # H / 4
        )
        self.blocks = nn.Sequential(*(ResidualBlock(4 * width) for _ in range(blocks)))
        self.decoder = nn.Sequential(
            *_normed(Enlargement(4 * width, 2 * width)),  # H / 2
            *_normed(Enlargement(2 * width, width)),  # H
            nn.Conv2d(width, 3, 7, padding=3, padding_mode="reflect"),
        )
        self.apply(_initialise)
        self.recolouring = Recolouring() if on_od else None
        if on_od:
            self.decoder[-1].weight.data.zero_()  # type: ignore[operator]

    def begin_with(self, table: Tensor, weights: Tensor) -> None:
        """Set the recolouring that a generator with `on_od` starts from.

        Args:
            table: colour (B, 3) in [0, 1] of each stain amount bin of width `DENSITY_STEP`.
            weights: optical density weights (3,) of the stain amount.
        """
        assert self.recolouring is not None, "only a generator with on_od has a recolouring"
        self.recolouring.table.copy_(table)
        self.recolouring.weights.copy_(weights)

    @property
    def reach_px(self) -> int:
        """7x7 (3), two strided 3x3 (1 + 2), two 3x3 per block at stride 4 (8), two enlargements (4 + 2), 7x7 (3)."""
        return 8 * len(self.blocks) + 15

    @property
    def holds_statistics(self) -> bool:
        """Whether `held_statistics` is in effect."""
        return any(module.held is not None for module in self.modules() if isinstance(module, InstanceNorm))

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] to images of the same shape and range; any H and W."""
        height, width = x.shape[-2:]
        # Padding only at the bottom and right keeps the strided grid in place, so that tiles stay aligned.
        padding = (0, _missing(width), 0, _missing(height))
        x = F.pad(2 * x - 1, padding, mode="replicate") if any(padding) else 2 * x - 1
        y = self.decoder(self.blocks(self.encoder(x)))[..., :height, :width]
        if self.recolouring is not None:
            below = 2 * self.recolouring((x[..., :height, :width] + 1) / 2) - 1
            y = y + torch.atanh(below.clamp(-PALEST, PALEST))
        return (torch.tanh(y) + 1) / 2

    def save(self, path: str | Path) -> None:
        """Write weights and attributes to one safetensors file."""
        known = {name: getattr(self, name) for name in ("config", "mpp", "direction", "marker")}
        save_weights(path, self.state_dict(), self.provenance.card() | known)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a generator written by `save`, in evaluation mode.

        Raises:
            FileNotFoundError: the file does not exist.
            ValueError: the file is damaged or contains other weights.
        """
        generator, card = load_network(path, "the weights of a generator", cls)
        for name in ("mpp", "direction", "marker"):
            setattr(generator, name, card.pop(name, getattr(generator, name)))
        generator.provenance = Provenance.from_card(card)
        return generator.eval()


class PatchDiscriminator(nn.Module):
    """PatchGAN: a map of scores, each for one patch of the image (70 px with three strided layers).

    Isola et al., Image-to-image translation with conditional adversarial networks, CVPR 2017
    (doi 10.1109/CVPR.2017.632).

    Args:
        width: channels of the first layer; each further layer doubles them, up to 8x.
        layers: strided layers; the receptive field is 16, 34, 70, 142 px for 1 to 4.
        spectral_norm: divide every layer by its largest singular value (Miyato et al., ICLR 2018). It replaces instance
            norm, which would cancel this bound.

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
            modules += [*([] if spectral_norm else [InstanceNorm()]), nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*modules, nn.Conv2d(channels[-1], 1, 4, padding=1))
        self.apply(_initialise)
        for module in self.layers:
            if spectral_norm and isinstance(module, nn.Conv2d):
                spectrally_normalised(module)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] to scores (N, 1, h, w), near 1 for real and 0 for translated images."""
        return self.layers(2 * x - 1)


def _normed(layer: nn.Module) -> tuple[nn.Module, ...]:
    return layer, InstanceNorm(), nn.ReLU(inplace=True)


def _missing(size: int) -> int:
    """Pixels of padding to a multiple of 4 that is large enough for reflection padding."""
    return max(SMALLEST_PX, -(-size // 4) * 4) - size


def _initialise(module: nn.Module) -> None:
    """Published initialisation: weights from N(0, 0.02), biases zero."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
