from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from histolib.config import CycleGANSettings
from histolib.translation import ContentLost, CycleGAN, StainReference, recolour_od, to_tensor
from histolib.translation.content import content_correlation

DIRECTIONS = {"ihc_to_he": ("ihc", "he"), "he_to_ihc": ("he", "ihc")}


class Change(nn.Module):
    """A generator without weights of its own: the image, or its negative."""

    def __init__(self, negative: bool = False) -> None:
        super().__init__()
        self.zero, self.negative = nn.Parameter(torch.zeros(())), negative

    def forward(self, x: Tensor) -> Tensor:
        return (1 - x if self.negative else x) + 0 * self.zero


class Constant(nn.Module):
    """A discriminator that gives all patches the same score."""

    def __init__(self, score: float) -> None:
        super().__init__()
        self.score = nn.Parameter(torch.tensor(score))

    def forward(self, x: Tensor) -> Tensor:
        return self.score.expand(len(x), 1, 2, 2)


@pytest.fixture(scope="module")
def accelerator() -> Accelerator:
    return Accelerator(cpu=True)


def batch(seed: int = 0) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {domain: torch.rand(1, 3, 32, 32, generator=rng) for domain in ("ihc", "he")}


def with_generators(task: CycleGAN, negative: bool = False) -> CycleGAN:
    for name in DIRECTIONS:
        task.modules[name] = task.generators[name] = Change(negative)
    return task


def references(patch, marker: str) -> tuple[dict[str, StainReference], dict[str, np.ndarray]]:
    """References of both domains and their colour tables."""
    found = {domain: StainReference.fit([patch], domain) for domain in ("he", "ihc")}
    return found, {domain: reference.colours(marker) for domain, reference in found.items()}


def parameters(networks: Iterable[nn.Module]) -> list[nn.Parameter]:
    return [parameter for network in networks for parameter in network.parameters()]


@pytest.mark.parametrize(
    ("weights", "passes"),
    [
        ({}, 6),
        ({"identity": 0.0}, 4),
        ({"cycle": 0.0}, 4),
        ({"cycle": 0.0, "identity": 0.0, "content": 0.0}, 2),
    ],
)
def test_a_loss_of_weight_zero_is_not_computed(weights, passes, small, accelerator):
    task, calls = CycleGAN(replace(small, **weights)), []
    for generator in task.generators.values():
        generator.register_forward_hook(lambda *_: calls.append(1))
    losses = task.step(batch(), accelerator)
    assert len(calls) == passes
    assert {"cycle", "identity"} - losses.keys() == weights.keys() - {"content"}


def test_gradients_are_those_of_the_equations(small, accelerator):
    settings = replace(small, consistency=2.0, label_smoothing=0.1)
    task = CycleGAN(settings, consistency=lambda ihc, he: (ihc - he).square().mean())
    (g, f), (d_he, d_ihc) = (deepcopy(list(n.values())) for n in (task.generators, task.discriminators))
    images = batch()
    x, y = images["ihc"], images["he"]
    he, ihc = g(x), f(y)

    def kept(before: Tensor, after: Tensor) -> Tensor:
        return content_correlation(*(-image.clamp(1 / 255).log10().sum(1) for image in (before, after))).mean()

    loss = (d_he(he) - 1).square().mean() + (d_ihc(ihc) - 1).square().mean()
    loss = loss + settings.cycle * (F.l1_loss(f(he), x) + F.l1_loss(g(ihc), y))
    loss = loss + settings.identity * (F.l1_loss(g(y), y) + F.l1_loss(f(x), x))
    loss = loss + settings.content * (2 - kept(x, he) - kept(y, ihc)) + 2.0 * (x - he).square().mean()
    expected = torch.autograd.grad(loss, parameters([g, f]))
    loss = sum(
        ((d(real) - 0.9).square().mean() + d(fake.detach()).square().mean()) / 2
        for d, real, fake in ((d_he, y, he), (d_ihc, x, ihc))
    )
    expected += torch.autograd.grad(loss, parameters([d_he, d_ihc]))
    task.step(images, accelerator)
    for parameter, gradient in zip(parameters(task.modules.values()), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-5)


def test_the_learning_rates_are_constant_and_then_fall_to_zero(small, accelerator):
    task, rates = CycleGAN(replace(small, steps=4, lr_generator=1e-3, lr_discriminator=4e-3)), []
    for seed in range(5):
        rates.append([task.optimizers[kind].param_groups[0]["lr"] for kind in ("generators", "discriminators")])
        if seed < 4:
            task.step(batch(seed), accelerator)
    np.testing.assert_allclose(rates, [[1e-3, 4e-3]] * 3 + [[0.5e-3, 2e-3], [0, 0]])


def test_frozen_stages_stay_bit_identical_and_the_others_change(small, accelerator):
    task = CycleGAN(replace(small, freeze=("encoder", "blocks")))
    before = {name: deepcopy(network.state_dict()) for name, network in task.modules.items()}
    for seed in range(3):
        task.step(batch(seed), accelerator)
    for name, network in task.modules.items():
        for key, parameter in network.named_parameters():
            frozen = not name.startswith("discriminator") and key.startswith(("encoder.", "blocks."))
            assert torch.equal(parameter, before[name][key]) == frozen, f"{name} {key}"
            assert (parameter.grad is None) == frozen


def test_adversarial_steps_follow_the_warm_start(small, accelerator, tissue):
    task = CycleGAN(replace(small, warm_steps=20, lr_generator=2e-3), references(tissue, "nuclear")[1])
    before = deepcopy(task.discriminators["he"].state_dict())
    steps = [task.step(batch(), accelerator) for _ in range(20)]
    assert {name for losses in steps for name in losses} == {"correlation", "warm"}
    assert steps[-1]["warm"] < 0.7 * steps[0]["warm"]
    assert all(torch.equal(value, before[key]) for key, value in task.discriminators["he"].state_dict().items())
    assert "adversarial" in task.step(batch(), accelerator)


@pytest.mark.parametrize("marker", ["nuclear", "membrane"])
def test_the_warm_start_imitates_the_classical_recolouring(marker, small, accelerator, tissue):
    found, tables = references(tissue, marker)
    task = with_generators(CycleGAN(replace(small, warm_steps=1, marker=marker), tables))
    recoloured = [recolour_od(tissue, reference, marker=marker).image for reference in found.values()]
    expected = sum(abs(image.astype(float) - tissue.image).mean() / 255 for image in recoloured)
    image = to_tensor(tissue.image)[None]
    warm = task.step({"ihc": image, "he": image}, accelerator)["warm"].item()
    assert warm == pytest.approx(expected, abs=0.003)


@pytest.mark.parametrize("marker", ["nuclear", "membrane"])
def test_with_on_od_both_generators_start_as_the_classical_recolouring(marker, small, tissue):
    found, tables = references(tissue, marker)
    task = CycleGAN(replace(small, on_od=True, marker=marker), tables)
    for name, (_, target) in DIRECTIONS.items():
        with torch.no_grad():
            translated = task.generators[name](to_tensor(tissue.image)[None])[0]
        expected = to_tensor(recolour_od(tissue, found[target], marker=marker).image)
        assert (translated - expected).abs().mean() < 0.02


def test_the_consistency_loss_sees_ihc_alone_and_is_minimised(small, accelerator):
    seen = []

    def brightness(ihc, translated):
        seen.append(ihc)
        return translated.mean()

    task, sample = CycleGAN(replace(small, consistency=1e6, content_limit=-1.0), consistency=brightness), batch()
    means = [task.step(sample, accelerator)["consistency"].item() for _ in range(6)]
    assert means[-1] < means[0]
    assert [torch.equal(ihc, sample["ihc"]) for ihc in seen] == [True] * 6
    CycleGAN(small, consistency=brightness).step(sample, accelerator)
    assert len(seen) == 6, "a weight of 0 skips the loss"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"warm_steps": 2}, "expected colour tables for 2 warm steps or on_od, found none"),
        ({"on_od": True}, "expected colour tables for 0 warm steps or on_od, found none"),
        ({"consistency": 1.0}, "expected a loss for consistency=1, found none"),
    ],
)
def test_missing_inputs_of_the_settings_are_refused(change, message, small):
    with pytest.raises(ValueError, match=message):
        CycleGAN(replace(small, **change))


@pytest.mark.parametrize("negative", [True, False])
def test_inversion_is_stopped_and_preserved_content_is_not(negative, small, accelerator):
    task = with_generators(CycleGAN(replace(small, grace_steps=3)), negative)
    for seed in range(3):
        task.step(batch(seed), accelerator)
    if negative:
        with pytest.raises(ContentLost, match=r"after 4 adversarial steps.*dark and light are exchanged"):
            task.step(batch(3), accelerator)
    else:
        assert task.step(batch(3), accelerator)["correlation"] > 0.99


def test_equal_seeds_give_equal_networks_and_leave_the_global_seed_alone(small: CycleGANSettings):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, two, other = CycleGAN(small), CycleGAN(small), CycleGAN(replace(small, seed=1))
    assert torch.equal(torch.rand(1), expected)
    a, b, c = (parameters(task.modules.values()) for task in (one, two, other))
    assert all(map(torch.equal, a, b))
    assert not any(map(torch.equal, a[:3], c[:3]))
