import pytest
import torch
from torch import nn

from histolib.io import Provenance, save_weights
from histolib.translation import Generator, PatchDiscriminator, held_statistics
from histolib.translation.content import DENSITY_BINS
from histolib.translation.networks import Enlargement, InstanceNorm

torch.set_num_threads(1)


def small() -> Generator:
    torch.manual_seed(0)
    return Generator(width=4, blocks=2)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 5), (8, 8), (33, 50), (64, 64)])
def test_any_size_comes_out_as_it_went_in_and_in_range(size):
    image = torch.rand(2, 3, *size)
    out = small()(image)
    assert out.shape == image.shape
    assert ((out >= 0) & (out <= 1)).all()


@pytest.mark.parametrize("network", [small(), PatchDiscriminator(4), PatchDiscriminator(4, spectral_norm=True)])
def test_gradients_are_finite_and_reach_every_parameter(network):
    network(torch.rand(1, 3, 64, 64)).square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_both_networks_run_in_half_precision(dtype):
    image = torch.rand(1, 3, 32, 34)
    network = small()
    expected = network(image)
    out = network.to(dtype)(image.to(dtype))
    assert out.dtype == dtype
    assert (out.float() - expected).abs().max() < 0.05
    assert PatchDiscriminator(4).to(dtype)(image.to(dtype)).isfinite().all()


def test_a_generator_and_its_metadata_survive_a_file(tmp_path):
    network, image = small(), torch.rand(1, 3, 16, 16)
    network.mpp, network.direction, network.marker = 0.25, "he_to_ihc", "membrane"
    network.provenance = Provenance("BCI: train", ("train",))
    network.save(tmp_path / "g.safetensors")
    again = Generator.load(tmp_path / "g.safetensors")
    assert torch.equal(network(image), again(image))
    assert (again.mpp, again.direction, again.marker, again.training) == (0.25, "he_to_ihc", "membrane", False)
    assert (again.provenance.trained_on, again.provenance.groups) == ("BCI: train", ("train",))


@pytest.mark.parametrize("card", [{}, {"config": {"width": 4, "blocks": 1}, "mpp": 0.5}, {"config": {"depth": 1}}])
def test_other_weights_are_no_generator(tmp_path, card):
    save_weights(tmp_path / "x.safetensors", {"w": torch.zeros(1)}, card)
    with pytest.raises(ValueError, match=r"x\.safetensors.*generator"):
        Generator.load(tmp_path / "x.safetensors")


def test_layers_are_those_of_torch_with_the_published_number_of_weights():
    weights = [p for p in Generator().parameters() if p.ndim > 1]
    assert sum(p.numel() for p in weights) == 11_378_179 - (64 + 128 + 256 + 18 * 256 + 128 + 64 + 3)
    assert torch.cat([p.flatten() for p in weights]).std().item() == pytest.approx(0.02, rel=0.01)
    network = PatchDiscriminator(8, spectral_norm=True)
    for _ in range(30):
        network(torch.rand(1, 3, 64, 64))
    assert not any(isinstance(m, InstanceNorm) for m in network.modules())
    for layer in network.layers:
        if isinstance(layer, nn.Conv2d):
            assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)
    x = 3 * torch.rand(2, 5, 7, 4) - 1
    torch.testing.assert_close(InstanceNorm()(x), nn.InstanceNorm2d(5)(x), atol=1e-5, rtol=0)
    layer = Enlargement(3, 2)
    for size in ((1, 1), (5, 4)):
        x, kernel = torch.rand(2, 3, *size), layer.weight.flip(2, 3).transpose(0, 1)
        expected = torch.nn.functional.conv2d(torch.nn.functional.interpolate(x, scale_factor=2), kernel, padding=1)
        torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize(("layers", "patch_px"), [(1, 16), (2, 34), (3, 70)])
def test_a_discriminator_score_sees_one_patch(layers, patch_px):
    network = PatchDiscriminator(4, layers)
    for i, module in enumerate(network.layers):
        if isinstance(module, InstanceNorm):
            network.layers[i] = nn.Identity()
    image = torch.rand(1, 3, 160, 160, requires_grad=True)
    scores = network(image)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    assert image.grad.abs().sum((0, 1, 2)).count_nonzero() == patch_px


def test_held_statistics_are_those_of_the_sample_and_end_with_the_context():
    network, sample = small(), torch.rand(1, 3, 32, 32)
    proper = network(sample)
    with held_statistics(network, sample):
        torch.testing.assert_close(network(sample), proper, atol=2e-3, rtol=0)
        other = network(sample * 0.5)
    assert not torch.allclose(other, network(sample * 0.5), atol=1e-3)
    assert torch.equal(network(sample), proper)
    assert all(m.held is None for m in network.modules() if isinstance(m, InstanceNorm))


def test_on_od_black_and_white_stay_in_range_and_its_table_travels_with_the_weights():
    network = Generator(4, 1, on_od=True)
    network.begin_with(torch.rand(DENSITY_BINS, 3), torch.ones(3))
    image = 10 ** -torch.rand(1, 3, 20, 22)
    image[..., :2, :], image[..., 2:4, :] = 0, 1
    out = network(image.requires_grad_())
    assert ((out >= 0) & (out <= 1)).all()
    out.sum().backward()
    assert image.grad.isfinite().all()
    assert image.grad.abs().sum() > 0
    assert network.decoder[-1].weight.grad.abs().sum() > 0
    again = Generator(**network.config)
    again.load_state_dict(network.state_dict())
    assert torch.equal(network(image), again(image))
    assert "on_od" not in small().config
