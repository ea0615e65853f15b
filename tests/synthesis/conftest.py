"""Crops with answers known by construction."""

import numpy as np
import pytest

from histolib.synthesis.crops import CROP_PX, Crops

COLOURS = np.array([[200, 60, 60], [60, 60, 200]], np.uint8)


@pytest.fixture
def two_colours():
    """`two_colours(red, blue)`: red and blue crops with noise, in groups of ten."""

    def make(*counts, types=("red", "blue")):
        labels = np.repeat(np.arange(len(types)), counts)
        rng = np.random.default_rng(0)
        noise = rng.integers(-20, 20, (len(labels), CROP_PX, CROP_PX, 3))
        images = (COLOURS[labels % 2][:, None, None].astype(int) + noise).astype(np.uint8)
        return Crops(images, labels, (np.arange(len(labels)) // 10).astype(str), types)

    return make
