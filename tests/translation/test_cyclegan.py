from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from histolib.imaging import Patch
from histolib.translation import CycleGAN, StainReference, recolour_od, to_tensor
from histolib.translation.content import DENSITY_BINS
from histolib.translation.cyclegan import DIRECTIONS
from histolib.translation.inference import to_image

from .conftest import SMALL

torch.set_num_threads(1)
TABLES = {domain: torch.linspace(255, 0, DENSITY_BINS)[:, None].repeat(1, 3).numpy() for domain in ("he", "ihc")}


@pytest.fixture(scope="module")
def accelerator() -> Accelerator:
    return Accelerator(cpu=True)


def batch(seed: int = 0, count: int = 1) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {domain: torch.rand(count, 3, 32, 32, generator=rng) for domain in ("ihc", "he")}


@pytest.mark.parametrize("off", [(), ("identity",), ("cycle",), ("cycle", "identity", "content")])
def test_a_term_of_zero_weight_is_not_computed(off, accelerator):
    losses = CycleGAN(replace(SMALL, **dict.fromkeys(off, 0.0))).step(batch(), accelerator)
    assert {"cycle", "identity"} - losses.keys() == {*off} - {"content"}
    assert {"adversarial", "discriminator_he", "discriminator_ihc"} <= losses.keys()


class Fixed(nn.Module):
    """A generator that returns its image, or a discriminator that scores every patch with a quarter."""

    def __init__(self, factor: float, score: float) -> None:
        super().__init__()
        self.factor, self.score = factor, nn.Parameter(torch.tensor(score))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x + self.score


def test_losses_are_those_of_the_paper_for_networks_that_do_nothing(accelerator):
    task = CycleGAN(replace(SMALL, label_smoothing=0.1))
    for name in task.generators:
        task.modules[name] = task.generators[name] = Fixed(1.0, 0.0)
    for domain in task.discriminators:
        task.modules[f"discriminator_{domain}"] = task.discriminators[domain] = Fixed(0.0, 0.25)
    losses = {name: value.item() for name, value in task.step(batch(), accelerator).items()}
    nothing = {"cycle": 0.0, "identity": 0.0, "correlation": 1.0, "adversarial": 2 * 0.75**2}
    discriminators = {f"discriminator_{domain}": (0.65**2 + 0.25**2) / 2 for domain in ("he", "ihc")}
    assert losses == pytest.approx(nothing | discriminators, abs=1e-5)


def test_the_rate_falls_to_zero_and_frozen_stages_stay_bit_equal(accelerator):
    task = CycleGAN(replace(SMALL, steps=4, lr_generator=1.0e-3, lr_discriminator=4.0e-3))
    rates = []
    for seed in range(4):
        rates.append([task.optimizers[kind].param_groups[0]["lr"] for kind in ("generators", "discriminators")])
        task.step(batch(seed), accelerator)
    assert rates == [[1.0e-3, 4.0e-3]] * 3 + [[0.5e-3, 2.0e-3]]
    task = CycleGAN(replace(SMALL, freeze=("encoder", "blocks")))
    before = {name: deepcopy(network.state_dict()) for name, network in task.modules.items()}
    for seed in range(3):
        task.step(batch(seed), accelerator)
    for name, network in task.modules.items():
        held = () if name.startswith("discriminator") else ("encoder.", "blocks.")
        for key, parameter in network.named_parameters():
            assert torch.equal(parameter, before[name][key]) == key.startswith(held), f"{name} {key}"
            assert (parameter.grad is None) == key.startswith(held)


def test_the_warm_start_imitates_the_recolouring_and_the_adversarial_steps_follow(accelerator):
    torch.manual_seed(3)
    task, expected = CycleGAN(replace(SMALL, warm_steps=20, lr_generator=2e-3), TABLES), torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(1), expected), "the global seed stays untouched"
    steps = [task.step(batch(), accelerator) for _ in range(21)]
    assert [sorted(losses) for losses in steps[:20]] == [["correlation", "warm"]] * 20
    assert steps[19]["warm"] < 0.7 * steps[0]["warm"]
    assert "adversarial" in steps[20]
    assert task.schedulers["generators"].last_epoch == 1
    for change in ({"warm_steps": 2}, {"on_od": True}):
        with pytest.raises(ValueError, match="expected colour tables"):
            CycleGAN(replace(SMALL, **change))


@pytest.mark.parametrize("marker", ["nuclear", "membrane"])
def test_on_od_both_generators_begin_as_the_classical_recolouring(marker, tissue):
    reference = StainReference.fit([tissue], "he")
    tables = {"he": reference.colours(marker), "ihc": reference.colours(marker)}
    task = CycleGAN(replace(SMALL, on_od=True, marker=marker), tables)
    patch = Patch(tissue.image[::-1].copy(), 0.5)
    with torch.no_grad():
        painted = to_image(task.generators["ihc_to_he"](to_tensor(patch.image)[None]))[0]
    assert list(DIRECTIONS) == list(task.generators)
    assert abs(painted.astype(int) - recolour_od(patch, reference, marker=marker).image).mean() < 5


def test_consistency_is_computed_for_ihc_only_and_trains_its_generator(accelerator):
    asked, sample = [], batch()

    def agree(ihc, translated):
        asked.append(ihc)
        return translated.mean()

    task = CycleGAN(replace(SMALL, consistency=1e6, content_limit=-1.0), consistency=agree)
    means = [task.step(sample, accelerator)["consistency"].item() for _ in range(6)]
    assert means[-1] < means[0]
    CycleGAN(SMALL, consistency=agree).step(sample, accelerator)
    assert len(asked) == 6
    assert all(torch.equal(ihc, sample["ihc"]) for ihc in asked)
    with pytest.raises(ValueError, match="expected a loss for consistency=1, found none"):
        CycleGAN(replace(SMALL, consistency=1.0))
