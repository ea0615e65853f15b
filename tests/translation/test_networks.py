import pytest
import torch
from torch import nn

from histolib.io import Provenance, save_weights
from histolib.translation import Generator, PatchDiscriminator, held_statistics
from histolib.translation.content import DENSITY_BINS, DENSITY_STEP
from histolib.translation.networks import Enlargement, InstanceNorm


def generator(**config: int) -> Generator:
    torch.manual_seed(0)
    return Generator(**{"width": 4, "blocks": 2} | config)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 5), (8, 8), (33, 50), (64, 64)])
def test_the_output_has_the_size_of_the_input_and_stays_in_range(size):
    image = torch.rand(2, 3, *size)
    out = generator()(image)
    assert out.shape == image.shape
    assert out.min() >= 0
    assert out.max() <= 1


@pytest.mark.parametrize("network", [generator(), PatchDiscriminator(4), PatchDiscriminator(4, spectral_norm=True)])
def test_gradients_are_finite_and_reach_every_parameter(network):
    network(torch.rand(1, 3, 64, 64)).square().mean().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_both_networks_run_in_half_precision(dtype):
    image = torch.rand(1, 3, 32, 34)
    network = generator()
    expected = network(image)
    out = network.to(dtype)(image.to(dtype))
    assert out.dtype == dtype
    assert (out.float() - expected).abs().max() < 0.05
    assert PatchDiscriminator(4).to(dtype)(image.to(dtype)).isfinite().all()


@pytest.mark.parametrize("on_od", [False, True])
def test_a_generator_survives_a_file(tmp_path, on_od):
    network, image = generator(on_od=on_od).half().float(), torch.rand(1, 3, 9, 10)
    if on_od:
        network.begin_with(torch.rand(DENSITY_BINS, 3), torch.tensor([1.0, 0.5, 0.2]))
    network.mpp, network.direction, network.marker = 0.3, "he_to_ihc", "membrane"
    network.provenance = Provenance("two stains", ("1-9", "fold1"), {"settings": {"steps": 4}})
    network.save(tmp_path / "g.safetensors")
    again = Generator.load(tmp_path / "g.safetensors")
    assert torch.equal(network(image), again(image))
    assert not again.training
    for name in ("config", "mpp", "direction", "marker", "provenance"):
        assert getattr(again, name) == getattr(network, name), name


@pytest.mark.parametrize("card", [{}, {"config": {"width": 4, "blocks": 1}, "mpp": 0.5}, {"config": {"depth": 1}}])
def test_other_weights_are_refused(tmp_path, card):
    save_weights(tmp_path / "x.safetensors", {"w": torch.zeros(1)}, card)
    with pytest.raises(ValueError, match=r"x\.safetensors: expected the weights of a generator, found others \(.+\)"):
        Generator.load(tmp_path / "x.safetensors")
    with pytest.raises(FileNotFoundError, match=r"y\.safetensors"):
        Generator.load(tmp_path / "y.safetensors")


def test_the_published_generator_has_the_published_number_of_weights():
    weights = [p for p in Generator().parameters() if p.ndim > 1]
    assert sum(p.numel() for p in weights) == 11_378_179 - (64 + 128 + 256 + 18 * 256 + 128 + 64 + 3)
    assert torch.cat([p.flatten() for p in weights]).std().item() == pytest.approx(0.02, rel=0.01)


def support(network: nn.Module, size: int, pick) -> tuple[int, int]:
    """First and last column of the input that one output depends on."""
    image = torch.rand(1, 3, size, size, requires_grad=True)
    pick(network(image)).backward()
    columns = image.grad.abs().sum((0, 1, 2)).nonzero().flatten()
    return int(columns[0]), int(columns[-1])


@pytest.mark.parametrize(("layers", "patch_px"), [(1, 16), (2, 34), (3, 70)])
def test_a_discriminator_score_depends_on_one_patch(layers, patch_px):
    network = PatchDiscriminator(4, layers)
    for i, module in enumerate(network.layers):
        if isinstance(module, InstanceNorm):
            network.layers[i] = nn.Identity()
    first, last = support(network, 160, lambda scores: scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2])
    assert last - first + 1 == patch_px


def test_a_spectrally_normalised_discriminator_has_bounded_layers_and_no_instance_norm():
    network = PatchDiscriminator(8, spectral_norm=True)
    for _ in range(30):
        network(torch.rand(1, 3, 64, 64))
    assert not any(isinstance(m, InstanceNorm) for m in network.modules())
    for layer in network.layers:
        if isinstance(layer, nn.Conv2d):
            assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("blocks", [1, 3])
def test_with_held_statistics_an_output_depends_on_no_input_beyond_the_reach(blocks):
    torch.manual_seed(1)
    network = Generator(4, blocks)
    with held_statistics(network, torch.rand(2, 3, 32, 32)):
        ends = [support(network, 160, lambda out, x=x: out[0, :, 80, x].sum()) for x in range(80, 84)]
    reach = [max(x - first, last - x) for x, (first, last) in zip(range(80, 84), ends, strict=True)]
    assert max(reach) == network.reach_px


def test_held_statistics_are_those_of_the_sample_and_end_with_the_context():
    network, sample = generator(), torch.rand(1, 3, 32, 32)
    proper = network(sample)
    with held_statistics(network, sample):
        torch.testing.assert_close(network(sample), proper, atol=2e-3, rtol=0)
        other = network(sample * 0.5)
    assert not torch.allclose(other, network(sample * 0.5), atol=1e-3)
    assert torch.equal(network(sample), proper)
    assert all(m.held is None for m in network.modules() if isinstance(m, InstanceNorm))


def test_instance_norm_equals_that_of_torch():
    x = 3 * torch.rand(2, 5, 7, 4) - 1
    torch.testing.assert_close(InstanceNorm()(x), nn.InstanceNorm2d(5)(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (5, 4)])
def test_an_enlargement_equals_upsampling_and_convolution(size):
    layer, x = Enlargement(3, 2), torch.rand(2, 3, *size)
    kernel = layer.weight.flip(2, 3).transpose(0, 1)
    expected = torch.nn.functional.conv2d(torch.nn.functional.interpolate(x, scale_factor=2), kernel, padding=1)
    torch.testing.assert_close(layer(x), expected)


def test_an_enlargement_of_a_flat_image_has_no_checkerboard():
    inside = Enlargement(3, 2)(torch.rand(1, 3, 1, 1).expand(1, 3, 6, 6))[..., 1:-1, 1:-1]
    torch.testing.assert_close(inside, inside[..., :1, :1].expand_as(inside))


def test_with_on_od_a_generator_starts_as_its_recolouring():
    table = torch.rand(DENSITY_BINS, 3)
    network = Generator(4, 1, on_od=True)
    network.begin_with(table, torch.ones(3))
    image = (10 ** -torch.rand(1, 3, 20, 22)).requires_grad_()
    out = network(image)
    place = (-image.log10().sum(1) / DENSITY_STEP - 0.5).detach()
    low, high = (table[bins.long()].permute(0, 3, 1, 2) for bins in (place.floor(), place.ceil()))
    inside = (torch.minimum(low, high) > 0.02) & (torch.maximum(low, high) < 0.98)
    assert ((out >= torch.minimum(low, high) - 1e-4) & (out <= torch.maximum(low, high) + 1e-4))[inside].all()
    out.sum().backward()
    assert image.grad.isfinite().all()
    assert image.grad.abs().sum() > 0
    assert network.decoder[-1].weight.grad.abs().sum() > 0
