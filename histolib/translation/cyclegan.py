"""The CycleGAN: two generators, two discriminators, their losses, and the order of one training step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from .content import DENSITY_STEP, ContentGuard, content_correlation, density_weights, stain_amount
from .networks import Generator, PatchDiscriminator
from .pool import ImagePool
from .settings import TranslationSettings

__all__ = ["CycleGAN", "linear_decay"]

DIRECTIONS = {"ihc_to_he": ("ihc", "he"), "he_to_ihc": ("he", "ihc")}


class CycleGAN:
    r"""Unpaired translation between IHC and H&E (Zhu et al., ICCV 2017, doi 10.1109/ICCV.2017.244), content guarded.

    With generators G: IHC -> H&E and F: H&E -> IHC, discriminators D of H&E and of IHC, x an IHC and y an H&E image,
    s(x) the amount of stain in each pixel and r Pearson's correlation over pixels, the generators minimise

        adversarial    (D_he(G(x)) - 1)^2 + (D_ihc(F(y)) - 1)^2
        cycle          + cycle    * ( |F(G(x)) - x| + |G(F(y)) - y| )
        identity       + identity * ( |G(y) - y| + |F(x) - x| )
        content        + content  * ( 1 - r(s(x), s(G(x))) + 1 - r(s(y), s(F(y))) )
        agreement      + agreement * a(x, G(x))

    and then each discriminator, on a real image and on one from its pool of past translations,

        discriminator  1/2 * ( (D(real) - (1 - label_smoothing))^2 + D(past)^2 )

    where every |.| and square is a mean over pixels. The warm start minimises |G(x) - od(x)| + |F(y) - od(y)| instead,
    od(.) being the mean colour of the other stain at that amount of stain. Fulfils `histolib.training.Task`, with
    batches {"ihc", "he"} of images (N, 3, H, W) in [0, 1].

    Args:
        settings: what to train and how.
        tables: for the warm start, by target domain the colour (B, 3) in [0, 255] for each bin of the amount of stain
            in the source (`StainReference.colours`); not needed where `warm_steps` is 0 and `on_od` off.
        agreement: a, of IHC images and their translations, (N, 3, H, W) in [0, 1] each: how far a task done on the one
            differs from the same done on the other (semantic consistency; Hoffman et al. 2018, arXiv:1711.03213).

    Raises:
        ValueError: a warm start, or `on_od`, without tables; a weight of the agreement without it.
        ContentLost: from `step`, where the translations stop showing the tissue.

    >>> small = TranslationSettings(width=4, blocks=1, discriminator_width=4, warm_steps=0)
    >>> list(CycleGAN(small).modules)
    ['ihc_to_he', 'he_to_ihc', 'discriminator_he', 'discriminator_ihc']
    """

    def __init__(
        self,
        settings: TranslationSettings,
        tables: Mapping[str, np.ndarray] | None = None,
        agreement: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        if (settings.warm_steps or settings.on_od) and (tables is None or not {"he", "ihc"} <= tables.keys()):
            raise ValueError(f"CycleGAN: {settings.warm_steps} warm steps or on_od need colour tables of both domains")
        if settings.agreement and agreement is None:
            raise ValueError(f"CycleGAN: expected a loss for an agreement of {settings.agreement:g}, found none")
        self.settings, self.agreement = settings, agreement
        self.tables = {domain: torch.from_numpy(table).float() / 255 for domain, table in (tables or {}).items()}
        self.weights = {domain: torch.from_numpy(density_weights(domain, settings.marker)) for domain in ("he", "ihc")}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.generators = {name: Generator(settings.width, settings.blocks, settings.on_od) for name in DIRECTIONS}
            self.discriminators = {
                domain: PatchDiscriminator(settings.discriminator_width, spectral_norm=settings.spectral_norm)
                for domain in ("he", "ihc")
            }
        for name, (source, target) in DIRECTIONS.items():
            self.generators[name].mpp = settings.mpp
            if settings.on_od:
                self.generators[name].begin_with(self.tables[target], self.weights[source])
        # Accelerate replaces the entries of `modules` by wrappers that share the parameters of the networks above.
        self.modules: dict[str, nn.Module] = {
            **self.generators,
            **{f"discriminator_{domain}": network for domain, network in self.discriminators.items()},
        }
        for stage in settings.freeze:
            for network in self.discriminators.values() if stage == "strided" else self.generators.values():
                # In evaluation mode, where a spectral norm holds still too.
                getattr(network, stage).requires_grad_(False).eval()
        self.optimizers: dict[str, Optimizer] = {
            kind: Adam(_trained(networks), lr, betas=(0.5, 0.999))
            for kind, networks, lr in (
                ("generators", self.generators.values(), settings.lr_generator),
                ("discriminators", self.discriminators.values(), settings.lr_discriminator),
            )
        }
        self.schedulers: dict[str, LRScheduler] = {
            kind: LambdaLR(optimizer, lambda step: linear_decay(step, settings.steps, settings.decay_from))
            for kind, optimizer in self.optimizers.items()
        }
        self.pools = {domain: ImagePool(settings.pool, settings.seed + i) for i, domain in enumerate(("he", "ihc"))}
        self.guard = ContentGuard(settings.content_limit, settings.grace_steps)
        self.averages = deepcopy(self.generators) if settings.ema else {}
        self.steps_done = 0

    def start_from(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take weights, by name in `modules`, from an earlier training; the averages begin at them.

        Raises:
            RuntimeError: they do not fit.
        """
        for name, state in states.items():
            self.modules[name].load_state_dict(state)
            if name in self.averages:
                self.averages[name].load_state_dict(state)

    def step(self, batch: Mapping[str, Tensor], accelerator: Accelerator) -> dict[str, Tensor]:
        """One step: a warm one, or one of the generators and then one of the discriminators.

        Args:
            batch: {"ihc", "he"}, unpaired images (N, 3, H, W) in [0, 1].
            accelerator: does the backward pass.

        Returns:
            the detached losses, each before its weight, and `correlation`, the amount of stain's before and after.
        """
        if self.steps_done < self.settings.warm_steps:
            losses = self._warm_step(batch, accelerator)
        else:
            losses, fakes = self._generator_step(batch, accelerator)
            losses |= self._discriminator_step(batch, fakes, accelerator)
            for scheduler in self.schedulers.values():
                scheduler.step()
            # Every process sees the same number, so that all of them stop or none.
            self.guard.update(float(accelerator.reduce(losses["correlation"].detach(), "mean")))
        for name, average in self.averages.items():
            average_weights(average, self.generators[name], self.settings.ema, self.steps_done)
        self.steps_done += 1
        return {name: value.detach() for name, value in losses.items()}

    def _warm_step(self, batch: Mapping[str, Tensor], accelerator: Accelerator) -> dict[str, Tensor]:
        fakes = {target: self.modules[name](batch[source]) for name, (source, target) in DIRECTIONS.items()}
        warm = _sum(F.l1_loss(fakes[t], self._recoloured(batch[s], s, t)) for s, t in DIRECTIONS.values())
        with torch.no_grad():
            kept = [self._correlation(batch[s], fakes[t], s, t) for s, t in DIRECTIONS.values()]
        self._descend("generators", warm, accelerator)
        return {"warm": warm, "correlation": _sum(kept) / len(kept)}

    def _generator_step(
        self, batch: Mapping[str, Tensor], accelerator: Accelerator
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One step of both generators, each term that shares no pass with another backwards by itself.

        The gradients are those of the sum, but never more than two passes of a generator are held in memory.
        """
        settings, fakes = self.settings, {}
        losses: dict[str, list[Tensor]] = {}
        self.optimizers["generators"].zero_grad()
        with _without_gradients(*self.discriminators.values()):
            for name, (source, target) in DIRECTIONS.items():
                fake = self.modules[name](batch[source])
                # The network, not its wrapper: no gradient of a discriminator is to be shared between processes here.
                score = self.discriminators[target](fake)
                terms = {"adversarial": F.mse_loss(score, torch.ones_like(score))}
                total = terms["adversarial"]
                if settings.cycle:
                    terms["cycle"] = F.l1_loss(self.modules[_reverse(name)](fake), batch[source])
                    total = total + settings.cycle * terms["cycle"]
                with torch.set_grad_enabled(settings.content > 0):
                    terms["correlation"] = self._correlation(batch[source], fake, source, target)
                if settings.content:
                    total = total + settings.content * (1 - terms["correlation"])
                if settings.agreement and self.agreement is not None and source == "ihc":
                    terms["agreement"] = self.agreement(batch[source], fake)
                    total = total + settings.agreement * terms["agreement"]
                accelerator.backward(total)
                if settings.identity:
                    terms["identity"] = F.l1_loss(self.modules[name](batch[target]), batch[target])
                    accelerator.backward(settings.identity * terms["identity"])
                fakes[target] = fake.detach()
                for term, value in terms.items():
                    losses.setdefault(term, []).append(value.detach())
        self.optimizers["generators"].step()
        summed = {term: _sum(values) for term, values in losses.items()}
        summed["correlation"] = summed["correlation"] / len(DIRECTIONS)
        return summed, fakes

    def _discriminator_step(
        self, batch: Mapping[str, Tensor], fakes: Mapping[str, Tensor], accelerator: Accelerator
    ) -> dict[str, Tensor]:
        losses = {}
        for domain, pool in self.pools.items():
            # One pass over both, since a wrapper's buffers must not change between two passes and one backward.
            images = torch.cat([batch[domain], pool.query(fakes[domain])])
            real, past = self.modules[f"discriminator_{domain}"](images).chunk(2)
            wanted = torch.full_like(real, 1 - self.settings.label_smoothing)
            losses[f"discriminator_{domain}"] = (F.mse_loss(real, wanted) + past.square().mean()) / 2
        self._descend("discriminators", _sum(losses.values()), accelerator)
        return losses

    def _descend(self, kind: str, loss: Tensor, accelerator: Accelerator) -> None:
        self.optimizers[kind].zero_grad()
        accelerator.backward(loss)
        self.optimizers[kind].step()

    def _correlation(self, before: Tensor, after: Tensor, source: str, target: str) -> Tensor:
        """Mean correlation of the amounts of stain of images and their translations."""
        amounts = stain_amount(before, self.weights[source]), stain_amount(after, self.weights[target])
        return content_correlation(*amounts).mean()

    def _recoloured(self, images: Tensor, source: str, target: str) -> Tensor:
        """Every pixel in the mean colour that the target domain has at its amount of stain: `recolour_od` in torch."""
        table = self.tables[target].to(images.device)
        bins = (stain_amount(images, self.weights[source]) / DENSITY_STEP).long().clamp(0, len(table) - 1)
        return table[bins].permute(0, 3, 1, 2)

    def generator(self, direction: str) -> Generator:
        """The generator to keep for "ihc_to_he" or "he_to_ihc": the averaged one where `ema` is on."""
        return self.averages.get(direction, self.generators[direction])

    def kept(self) -> dict[str, Generator]:
        """Both generators to keep, by direction."""
        return {direction: self.generator(direction) for direction in DIRECTIONS}

    def extra_state(self) -> dict[str, Any]:
        """What a checkpoint holds beside networks and optimisers: progress, pools, the guard's mean, the averages."""
        return {
            "steps_done": self.steps_done,
            "pools": {domain: pool.state() for domain, pool in self.pools.items()},
            "guard": {"mean": self.guard.mean, "updates": self.guard.updates},
            "averages": {name: average.state_dict() for name, average in self.averages.items()},
        }

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Take back what `extra_state` gave."""
        self.steps_done = state["steps_done"]
        self.guard.mean, self.guard.updates = state["guard"]["mean"], state["guard"]["updates"]
        for domain, pool in self.pools.items():
            pool.load_state(state["pools"][domain])
        for name, average in self.averages.items():
            average.load_state_dict(state["averages"][name])


def linear_decay(step: int, steps: int, start: float = 0.5) -> float:
    """Factor of the learning rate at one of `steps` steps: 1 up to a share of them, then falling linearly to 0."""
    return min(1.0, max(0.0, (1 - step / steps) / max(1 - start, 1e-9)))


def _trained(networks: Iterable[nn.Module]) -> list[nn.Parameter]:
    """What an optimiser has to do with: no frozen parameter."""
    return [parameter for network in networks for parameter in network.parameters() if parameter.requires_grad]


def _reverse(direction: str) -> str:
    """The direction of the way back."""
    return next(name for name, (source, _) in DIRECTIONS.items() if source == DIRECTIONS[direction][1])


def _sum(losses: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(losses)).sum()


@contextmanager
def _without_gradients(*networks: nn.Module) -> Iterator[None]:
    """Gradients flow through the networks to their inputs, none is computed for their parameters."""
    parameters = _trained(networks)
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
