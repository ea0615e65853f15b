import numpy as np
import pytest
import torch

from histolib.nuclei import HoVerNet


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def narrow():
    """Build a narrow network whose batch norms have seen an image; sharp: every layer counts as after training."""

    def build(mode="fast", num_types=3, sharp=True):
        torch.manual_seed(0)
        net = HoVerNet(mode, num_types, width=1 / 16)
        side = net.input_px(16)
        for module in net.modules():
            if sharp and isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight)
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None  # the plain average, which one batch settles
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
