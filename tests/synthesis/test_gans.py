import math

import numpy as np
import pytest
import torch
from torch import tensor

from histolib.io import Provenance
from histolib.synthesis.gans import FAMILIES, CropDiscriminator, CropGenerator
from histolib.synthesis.losses import discriminator_loss, generator_loss, gradient_penalty

TYPES = ("red", "blue")


def test_losses_equal_values_by_hand():
    real, fake = tensor([0.0, 2.0]), tensor([0.0, -1.0])
    assert discriminator_loss("wasserstein", real, fake) == -1.5
    assert discriminator_loss("hinge", real, fake) == 0.5 + 0.5
    assert generator_loss("wasserstein", fake) == generator_loss("hinge", fake) == 0.5

    def log_sigmoid(x):
        return -math.log(1 + math.exp(-x))

    on_fake = -(log_sigmoid(0) + log_sigmoid(1)) / 2  # 1 - s(x) is s(-x)
    hard = -(log_sigmoid(0) + log_sigmoid(2)) / 2 + on_fake
    assert float(discriminator_loss("cross-entropy", real, fake)) == pytest.approx(hard)
    smooth = -(0.9 * (log_sigmoid(0) + log_sigmoid(2)) + 0.1 * (log_sigmoid(0) + log_sigmoid(-2))) / 2 + on_fake
    assert float(discriminator_loss("cross-entropy", real, fake, 0.1)) == pytest.approx(smooth)
    assert float(generator_loss("cross-entropy", fake)) == pytest.approx(-(log_sigmoid(0) + log_sigmoid(-1)) / 2)


@pytest.mark.parametrize(("slope", "penalty"), [(1.0, 0.0), (3.0, 4.0), (0.0, 1.0)])
def test_the_gradient_penalty_of_a_linear_critic_is_exact(slope, penalty):
    direction = torch.randn(3 * 4 * 4, generator=torch.Generator().manual_seed(0))
    direction = slope * direction / direction.norm()
    real, fake = torch.rand(5, 3, 4, 4), torch.rand(5, 3, 4, 4)
    found = gradient_penalty(lambda x: x.flatten(1) @ direction + 7, real, fake)
    assert float(found) == pytest.approx(penalty, abs=1e-5)


@pytest.mark.parametrize(("family", "norm"), [("sngan", ""), ("dcgan", "spectral")])
def test_spectral_norm_makes_the_largest_singular_value_one(family, norm):
    torch.manual_seed(0)
    net = CropDiscriminator(2, family, 4, norm)
    for _ in range(60):  # each step of training does one power iteration
        net.train()(torch.randn(2, 3, 32, 32), tensor([0, 1]))
    for layer in filter(None, [*net.layers[::2], net.score, net.projection]):
        largest = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2)
        assert float(largest.detach()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_scores_each_crop_depends_on_the_type_and_has_finite_gradients(family):
    torch.manual_seed(0)
    generator, net = CropGenerator(TYPES, width=4, latent=8), CropDiscriminator(2, family, width=4)
    images = generator(torch.randn(3, 8), tensor([0, 1, 1]))
    assert images.shape == (3, 3, 32, 32)
    assert images.abs().max() <= 1
    scores, types = net(images, tensor([0, 1, 1]))
    assert scores.shape == (3,)
    assert (types is None) == (family != "acgan")
    (scores.sum() + (0 if types is None else types.sum())).backward()
    assert all(torch.isfinite(weight.grad).all() for weight in [*generator.parameters(), *net.parameters()])
    swapped, _ = net.eval()(images, tensor([1, 0, 0]))
    assert torch.equal(swapped, net(images, tensor([0, 1, 1]))[0]) == (family == "acgan")  # it classifies instead
    assert net(images[:0], tensor([], dtype=torch.int64))[0].shape == (0,)
    with pytest.raises(ValueError, match=r"expected images \(N, 3, 32, 32\), found \(1, 3, 16, 16\)"):
        net(torch.zeros(1, 3, 16, 16), tensor([0]))


def test_a_generator_gives_the_same_crops_again_and_after_loading(tmp_path, weights):
    generator = CropGenerator(TYPES, width=4, latent=8)
    generator.provenance = Provenance("phantom", ("fold1",))
    labels = np.array([0, 1, 1])
    crops = generator.generate(labels, seed=3)
    assert generator.training
    assert (crops.labels.tolist(), crops.types, set(crops.groups)) == ([0, 1, 1], TYPES, {"synthetic"})
    assert not np.array_equal(crops.images, generator.generate(labels, seed=4).images)
    assert len(generator.generate(np.array([], int))) == 0
    generator.save(tmp_path / "g.safetensors")
    loaded = CropGenerator.load(tmp_path / "g.safetensors")
    assert np.array_equal(loaded.generate(labels, seed=3).images, crops.images)
    assert (loaded.types, loaded.provenance.groups, loaded.training) == (TYPES, ("fold1",), False)
    with pytest.raises(ValueError, match=r"hovernet\.safetensors: expected the weights of a crop generator"):
        CropGenerator.load(weights / "hovernet.safetensors")
