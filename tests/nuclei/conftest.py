from collections.abc import Callable

import numpy as np
import pytest
import torch

from histolib.data.samples import InstanceSample
from histolib.imaging import Patch
from histolib.nuclei import HoVerNet, hover_targets


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def narrow():
    """Build a narrow network with settled batch norms; `sharp` gives every layer weights of trained size."""

    def build(mode="fast", num_types=3, sharp=True, mpp=0.5):
        torch.manual_seed(0)
        net = HoVerNet(mode, num_types, width=1 / 16)
        net.mpp = mpp
        side = net.input_px(16)
        for module in net.modules():
            if sharp and isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight)
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None  # cumulative average, settled after one batch
        with torch.no_grad():
            net(torch.rand(2, 3, side, side))
        return net.eval()

    return build


@pytest.fixture
def discs():
    """Draw discs (x, y, radius) as instances 1, 2, ...; later ones lie on top."""

    def draw(shape, *circles):
        y, x = np.indices(shape)
        instances = np.zeros(shape, np.int32)
        for number, (cx, cy, radius) in enumerate(circles, start=1):
            instances[(x - cx) ** 2 + (y - cy) ** 2 <= radius**2] = number
        return instances

    return draw


class Oracle(HoVerNet):
    """Network that returns the exact maps of the instances that `draw` finds in an image."""

    def __init__(
        self, draw: Callable[[np.ndarray], np.ndarray], types: np.ndarray = (), mpp: float = 0.25, noise: float = 0.0
    ):
        super().__init__("fast", 3, width=1 / 16)
        self.draw, self.noise, self.mpp, self.types = draw, noise, mpp, ("round", "odd")
        self.type_of = np.concatenate([[0], types, np.ones(256 - len(types))]).astype(int)

    def forward(self, images):
        margin, found = self.margin_px, []
        for image in (images * 255).round().byte()[..., margin:-margin, margin:-margin]:
            ids = self.draw(image.permute(1, 2, 0).numpy())
            noise = np.random.default_rng(0).normal(0, self.noise, (*ids.shape, 2))
            found.append((ids > 0, hover_targets(ids) + noise, self.type_of[ids]))
        nuclear, hv, kinds = (torch.from_numpy(np.stack(maps)) for maps in zip(*found, strict=True))
        logit = 16.0 * nuclear - 8
        kinds = torch.nn.functional.one_hot(kinds, 3).permute(0, 3, 1, 2)
        return {"np": torch.stack([-logit, logit], 1), "hv": hv.permute(0, 3, 1, 2), "tp": kinds}


@pytest.fixture
def oracle():
    """Build an `Oracle` for an array of instances (drawn from the top left), or for images that contain the ids."""

    def build(instances=None, **options):
        def draw(image):
            if instances is None:
                return image[..., 0].astype(np.int32)
            ids = np.zeros(image.shape[:2], np.int32)
            ids[: instances.shape[0], : instances.shape[1]] = instances
            return ids

        return Oracle(draw, **options).eval()

    return build


@pytest.fixture
def sample():
    """Build a sample with dark nuclei on white; types default to 1."""

    def build(instances, mpp=0.5, types=None, name="tile", tissue="", group=""):
        instances = np.unique(instances, return_inverse=True)[1].reshape(np.shape(instances)).astype(np.int32)
        image = np.where(instances[..., None] > 0, (120, 60, 140), 245).astype(np.uint8)
        types = np.ones(instances.max(), np.int64) if types is None else np.asarray(types, np.int64)
        return InstanceSample(Patch(image, mpp, name), instances, types, tissue, group)

    return build
