"""Features must follow the image alone: not its company, the network's mode or the size of a batch."""

import numpy as np
import pytest
import torch

from histolib.imaging import Patch
from histolib.nuclei import encoder_features


def noise(seed: int, shape: tuple[int, int] = (32, 40), mpp: float = 0.5) -> Patch:
    return Patch(np.random.default_rng(seed).integers(0, 256, (*shape, 3)).astype(np.uint8), mpp)


@pytest.mark.parametrize(("mode", "size"), [("fast", (32, 40)), ("original", (38, 46))])
def test_they_are_the_mean_of_the_last_stage(narrow, mode, size):
    net, patch = narrow(mode), noise(0, size)
    x = torch.from_numpy(patch.image).permute(2, 0, 1)[None].float() / 255
    if mode == "original":  # mirrored by the three pixels that the first convolution takes
        x = torch.nn.functional.pad(x, (3, 5, 3, 5), mode="reflect")
    with torch.no_grad():
        for stage in net.encoder():
            x = stage(x)
    found = encoder_features(net, [patch], 0.5)
    assert (found.shape, found.dtype) == ((1, 128), np.float32)
    np.testing.assert_allclose(found[0], x[0].mean((1, 2)), rtol=1e-5, atol=1e-6)


def test_neither_company_nor_batch_size_changes_them(narrow):
    net = narrow()
    patches = [noise(0), noise(1), noise(2), noise(3, (17, 9)), noise(4), noise(5, (1, 1))]
    together = encoder_features(net, patches, 0.5, batch_size=2)
    alone = np.concatenate([encoder_features(net, [patch], 0.5) for patch in patches])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    assert np.isfinite(together).all()


def test_the_network_is_left_as_it_is(narrow):
    net = narrow().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    encoder_features(net, [noise(0), noise(1)], 0.5)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_the_scale_of_the_file_does_not_count_but_that_of_the_tissue_does(narrow):
    net, patch = narrow(), noise(0, (16, 16))
    twice = Patch(np.repeat(np.repeat(patch.image, 2, 0), 2, 1), 0.25)
    same, other = encoder_features(net, [patch, twice, Patch(patch.image, 1.0)], 0.5)[1:]
    np.testing.assert_allclose(encoder_features(net, [patch], 0.5)[0], same, rtol=1e-4, atol=1e-5)
    assert not np.allclose(same, other, rtol=1e-2)


def test_no_patch_has_no_feature(narrow):
    assert encoder_features(narrow(), [], 0.5).shape == (0, 128)
