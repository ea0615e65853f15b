import numpy as np
import pytest
import torch

from histolib.imaging import Patch
from histolib.translation import Generator, to_tensor, translate
from histolib.translation.inference import to_image

from .conftest import paint

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    network = Generator(width=4, blocks=1)
    with torch.no_grad():
        for weight in network.parameters():
            weight *= 5  # so that the untrained output spans the whole range
    return network.eval()


@pytest.fixture(scope="module")
def large() -> Patch:
    return paint("dab", size=300)


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (37, 64), (131, 90), (1, 200)])
@pytest.mark.parametrize("mpp", [0.25, 0.31, 0.5, 1.0])
def test_size_scale_and_name_stay(size, mpp, generator):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    generator.mpp = 0.5
    out = translate(Patch(image, mpp, "a"), generator, tile_px=96)
    assert (out.image.shape, out.mpp, out.name) == (image.shape, mpp, "a")


def test_tiles_meet_without_seams_and_the_generator_runs_at_its_own_scale(generator, large):
    tilings = [translate(large, generator, tile_px=size).image.astype(int) for size in (128, 200, 299)]
    for other in tilings[1:]:
        assert abs(other - tilings[0]).max() <= 1
    whole = translate(large, generator).image
    assert abs(tilings[0] - whole).mean() < 4, "statistics of a sample stand for those of the whole"
    left, right = (translate(Patch(large.image[:, cut], 0.5), generator).image for cut in (np.s_[:200], np.s_[100:]))
    assert abs(left[:, 150].astype(int) - right[:, 50]).mean() > 2, "own statistics would give a seam"
    with pytest.raises(ValueError, match="expected a tile larger than"):
        translate(large, generator, tile_px=40)
    seen, small = [], paint("dab", size=64).image
    handle = generator.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[-2:]))
    for generator.mpp, mpp in ((0.5, 0.5), (0.5, 0.25), (None, 0.25)):
        translate(Patch(small, mpp), generator)
    handle.remove()
    assert seen == [(64, 64), (32, 32), (64, 64)]
    image = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(to_image(to_tensor(image)), image)
    assert to_tensor(image[0]).shape == (3, 5, 7)
