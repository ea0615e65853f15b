"""How a large image was cut into tiles must not show in the nuclei that are found."""

import numpy as np
import pytest
import torch

from histolib.data import phantom
from histolib.metrics import detection_scores
from histolib.nuclei import HoVerNet, find_nuclei, predict_maps
from histolib.translation import Generator, translate


@pytest.fixture(scope="module")
def patch():
    return phantom.draw(0, 600, 0.5, slide=2).ihc


@pytest.fixture(scope="module")
def net(patch):
    """An untrained network whose nuclear probability is balanced, so that it finds plenty of something."""
    torch.manual_seed(0)
    net = HoVerNet("fast", None, 0.0625).eval()
    net.mpp = patch.mpp
    with torch.no_grad():
        for name, weight in net.named_parameters():  # residual units start small; full ones give a livelier map
            weight.mul_(10 if name.endswith("conv3.weight") else 1)
        probability = predict_maps(patch.image, net)["np"]
        level = float(np.log(np.percentile(probability, 70) / (1 - np.percentile(probability, 70))))
        net.decoder["np"].u0.conv.bias[0] += level
    return net


def agreement(a, b):
    return detection_scores(a[["x", "y"]].to_numpy(), b[["x", "y"]].to_numpy(), 3.0)["f1"]


def test_two_tilings_find_the_same_nuclei(patch, net):
    a, b = (find_nuclei(patch, net, tile_px=size) for size in (256, 376))
    assert len(a) > 50
    assert agreement(a, b) >= 0.97


def test_two_tilings_of_a_translation_lead_to_the_same_nuclei(patch, net):
    torch.manual_seed(1)
    generator = Generator(width=4, blocks=2).eval()
    a, b = (find_nuclei(translate(patch, generator, tile_px=size), net) for size in (256, 376))
    assert len(a) > 50
    assert agreement(a, b) >= 0.97
