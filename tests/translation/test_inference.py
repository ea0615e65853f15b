import numpy as np
import pytest
import torch

from histolib.imaging import Patch
from histolib.translation import Generator, to_tensor, translate
from histolib.translation.inference import to_image


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    network = Generator(width=4, blocks=1)
    with torch.no_grad():
        for weight in network.parameters():
            weight *= 5  # so that the untrained output spans the whole range
    return network.eval()


@pytest.fixture(scope="module")
def large(painted) -> Patch:
    return painted("dab", size=300)[0]


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (37, 64), (131, 90), (1, 200)])
@pytest.mark.parametrize("mpp", [0.25, 0.31, 0.5, 1.0])
def test_size_scale_and_name_are_kept(size, mpp, generator, monkeypatch):
    monkeypatch.setattr(generator, "mpp", 0.5)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    out = translate(Patch(image, mpp, "a"), generator, tile_px=96)
    assert (out.image.shape, out.mpp, out.name) == (image.shape, mpp, "a")


@pytest.mark.parametrize(("own", "mpp", "side"), [(0.5, 0.5, 64), (0.5, 0.25, 32), (None, 0.25, 64)])
def test_the_generator_runs_at_its_own_scale(own, mpp, side, generator, large, monkeypatch):
    monkeypatch.setattr(generator, "mpp", own)
    seen = []
    handle = generator.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[-2:]))
    translate(Patch(large.image[:64, :64], mpp), generator, device="cpu")
    handle.remove()
    assert seen == [(side, side)]


def test_tiles_meet_without_seams_and_tilings_agree(generator, large):
    first, *others = (translate(large, generator, tile_px=size).image.astype(int) for size in (128, 200, 299))
    assert all(abs(other - first).max() <= 1 for other in others)


def test_tiles_are_close_to_the_translation_in_one_piece(generator, large):
    whole, tiled = (translate(large, generator, tile_px=size).image.astype(int) for size in (512, 128))
    assert abs(tiled - whole).mean() < 4


@pytest.mark.parametrize("shape", [(300, 300), (100, 3000), (2202, 2202), (513, 20), (40, 99_999)])
def test_statistics_come_from_few_crops_that_span_the_image(shape, generator):
    image = np.zeros((*shape, 3), np.uint8)
    image[0, 0], image[-1, -1] = 51, 255

    def stop(_, inputs):
        raise InterruptedError(inputs[0])

    handle = generator.register_forward_pre_hook(stop)
    with pytest.raises(InterruptedError) as stopped:
        translate(Patch(image, 0.5), generator, tile_px=256)
    handle.remove()
    crops = stopped.value.args[0]
    assert 1 <= len(crops) <= 16
    assert max(crops.shape[2:]) <= 256
    assert crops[0, 0, 0, 0] == pytest.approx(0.2)
    assert crops[-1, 0, -1, -1] == 1


def test_a_tile_that_is_not_larger_than_its_margins_is_refused(generator, large):
    with pytest.raises(ValueError, match="a tile of 40 px keeps nothing between two margins of 24 px"):
        translate(large, generator, tile_px=40)


def test_images_and_tensors_convert_back_and_forth():
    image = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(to_image(to_tensor(image)), image)
    assert to_tensor(image[0]).shape == (3, 5, 7)
    np.testing.assert_array_equal(to_image(torch.tensor([-1.0, 0.5, 2.0]).view(3, 1, 1)), [[[0, 128, 255]]])
