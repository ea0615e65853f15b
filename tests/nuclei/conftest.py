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
    """Network that returns the exact maps of given instances (from the top left), or of the ids in the red channel."""

    def __init__(self, instances=None, types=(), mpp=0.25, noise=0.0):
        super().__init__("fast", 3, width=1 / 16)
        self.instances, self.noise, self.mpp, self.types = instances, noise, mpp, ("round", "odd")
        self.type_of = np.concatenate([[0], types, np.ones(256 - len(types))]).astype(int)

    def forward(self, images):
        margin = self.margin_px
        ids = (images[0, 0, margin:-margin, margin:-margin] * 255).round().int().numpy()
        if self.instances is not None:
            ids = np.pad(self.instances, [(0, n - m) for n, m in zip(ids.shape, self.instances.shape, strict=True)])
        hv = hover_targets(ids) + np.random.default_rng(0).normal(0, self.noise, (*ids.shape, 2))
        logit = torch.from_numpy(16.0 * (ids > 0) - 8)
        kinds = torch.nn.functional.one_hot(torch.from_numpy(self.type_of[ids]), 3)
        maps = {"np": torch.stack([-logit, logit], -1), "hv": torch.from_numpy(hv), "tp": kinds}
        return {name: values[None].permute(0, 3, 1, 2) for name, values in maps.items()}


@pytest.fixture
def oracle():
    return lambda *arguments, **options: Oracle(*arguments, **options).eval()


@pytest.fixture
def sample():
    """Build a sample with dark nuclei on white; types default to 1."""

    def build(instances, mpp=0.5, types=None, name="tile"):
        instances = np.unique(instances, return_inverse=True)[1].reshape(np.shape(instances)).astype(np.int32)
        image = np.where(instances[..., None] > 0, (120, 60, 140), 245).astype(np.uint8)
        types = np.ones(instances.max(), np.int64) if types is None else np.asarray(types, np.int64)
        return InstanceSample(Patch(image, mpp, name), instances, types, "", "")

    return build


@pytest.fixture
def tiles(discs, sample):
    return [
        sample(discs((60, 50), (15, 15, 7), (30, 40, 9)), types=[1, 2]),
        sample(discs((64, 64), (10, 50, 6), (40, 20, 8)), types=[2, 1]),
        sample(np.zeros((60, 60), int)),
    ]
