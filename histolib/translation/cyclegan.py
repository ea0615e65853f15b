"""CycleGAN: two generators, two discriminators, their losses, and one training step."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from ..config import CycleGANSettings
from .content import DENSITY_STEP, ContentGuard, content_correlation, density_weights, stain_amount
from .image_pool import ImagePool
from .networks import Generator, PatchDiscriminator

DIRECTIONS = {"ihc_to_he": ("ihc", "he"), "he_to_ihc": ("he", "ihc")}
DECAY_FROM = 0.5  # share of the adversarial steps after which the learning rates fall linearly to zero
Consistency = Callable[[Tensor, Tensor], Tensor]
Batch = Mapping[str, Tensor]


class CycleGAN:
    r"""Unpaired translation between IHC and H&E (Zhu et al., ICCV 2017, doi 10.1109/ICCV.2017.244) with a content loss.

    With generators G: IHC -> H&E and F: H&E -> IHC, discriminators D of H&E and of IHC, an IHC image x, an H&E image
    y, the stain amount s(x) of each pixel and Pearson's correlation r over pixels, the generators minimise

        adversarial    (D_he(G(x)) - 1)^2 + (D_ihc(F(y)) - 1)^2
        cycle          + cycle       * ( |F(G(x)) - x| + |G(F(y)) - y| )
        identity       + identity    * ( |G(y) - y| + |F(x) - x| )
        content        + content     * ( 1 - r(s(x), s(G(x))) + 1 - r(s(y), s(F(y))) )
        consistency    + consistency * c(x, G(x))

    Then each discriminator takes a step on a real image and on one from its pool of past translations:

        discriminator  1/2 * ( (D(real) - (1 - label_smoothing))^2 + D(past)^2 )

    Each |.| and each square is a mean over pixels. The warm start minimises |G(x) - od(x)| + |F(y) - od(y)| instead,
    where od(.) is the mean colour of the other stain at that stain amount. Implements `histolib.training.Task`; batches
    are {"ihc", "he"} of images (N, 3, H, W) in [0, 1].

    Args:
        settings: size of the networks and loss weights.
        tables: by target domain, the colour (B, 3) in [0, 255] of each bin of the stain amount in the source domain
            (`StainReference.colours`); needed for the warm start and for `on_od`.
        consistency: c, a loss between IHC images and their translations, (N, 3, H, W) in [0, 1] each: how much a task
            result on one differs from that on the other (semantic consistency; Hoffman et al. 2018, arXiv:1711.03213).

    Raises:
        ValueError: tables or consistency are missing although the settings need them.
        ContentLost: from `step`, if the translations no longer show the tissue.

    >>> from dataclasses import replace
    >>> from histolib.config import PROFILES
    >>> list(CycleGAN(replace(PROFILES["quick"].cyclegan, warm_steps=0)).modules)
    ['ihc_to_he', 'he_to_ihc', 'discriminator_he', 'discriminator_ihc']
    """

    kept = tuple(DIRECTIONS)

    def __init__(
        self, settings: CycleGANSettings, tables: Mapping[str, np.ndarray] | None = None,
        consistency: Consistency | None = None,
    ) -> None:  # fmt: skip
        if (settings.warm_steps or settings.on_od) and not tables:
            raise ValueError("CycleGAN: expected colour tables for a warm start or on_od, found none")
        if settings.consistency and consistency is None:
            raise ValueError(f"CycleGAN: expected a loss for consistency={settings.consistency:g}, found none")
        self.settings, self.consistency = settings, consistency
        self.tables = {domain: torch.from_numpy(table).float() / 255 for domain, table in (tables or {}).items()}
        self.weights = {domain: torch.from_numpy(density_weights(domain, settings.marker)) for domain in ("he", "ihc")}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.generators = {name: Generator(settings.width, settings.blocks, settings.on_od) for name in DIRECTIONS}
            width, spectral = settings.discriminator_width, settings.spectral_norm
            self.discriminators = {d: PatchDiscriminator(width, spectral_norm=spectral) for d in ("he", "ihc")}
        for name, generator in self.generators.items():
            source, target = DIRECTIONS[name]
            generator.mpp, generator.direction, generator.marker = settings.mpp, name, settings.marker
            if settings.on_od:
                generator.begin_with(self.tables[target], self.weights[source])
            for stage in settings.freeze:
                getattr(generator, stage).requires_grad_(False)
        # Accelerate replaces the entries of `modules` by wrappers that share the parameters of the networks above.
        self.modules: dict[str, nn.Module] = dict(self.generators)
        self.modules |= {f"discriminator_{domain}": network for domain, network in self.discriminators.items()}
        self.optimizers: dict[str, Optimizer] = {
            "generators": _adam(self.generators, settings.lr_generator),
            "discriminators": _adam(self.discriminators, settings.lr_discriminator),
        }

        def decay(step: int) -> float:
            return min(1.0, max(0.0, (1 - step / max(settings.steps, 1)) / (1 - DECAY_FROM)))

        self.schedulers: dict[str, LRScheduler] = {k: LambdaLR(o, decay) for k, o in self.optimizers.items()}
        self.pools = {domain: ImagePool(seed=settings.seed + i) for i, domain in enumerate(("he", "ihc"))}
        self.guard = ContentGuard(settings.content_limit, settings.grace_steps)
        self.steps_done = 0

    def step(self, batch: Batch, accelerator: Accelerator) -> dict[str, Tensor]:
        """One step: a warm one, or one of the generators and then one of the discriminators.

        Args:
            batch: {"ihc", "he"}, unpaired images (N, 3, H, W) in [0, 1].
            accelerator: runs the backward pass.

        Returns:
            the detached losses before weighting, and `correlation` between the stain amounts before and after.
        """
        if self.steps_done < self.settings.warm_steps:
            losses = self._warm_step(batch, accelerator)
        else:
            losses, fakes = self._generator_step(batch, accelerator)
            losses |= self._discriminator_step(batch, fakes, accelerator)
            for scheduler in self.schedulers.values():
                scheduler.step()
            # All processes see the same number, so either all of them stop or none.
            self.guard.update(float(accelerator.reduce(losses["correlation"].detach(), "mean")))
        self.steps_done += 1
        return {name: value.detach() for name, value in losses.items()}

    def _warm_step(self, batch: Batch, accelerator: Accelerator) -> dict[str, Tensor]:
        fakes = {target: self.modules[name](batch[source]) for name, (source, target) in DIRECTIONS.items()}
        warm = _sum(F.l1_loss(fakes[t], self._recoloured(batch[s], s, t)) for s, t in DIRECTIONS.values())
        with torch.no_grad():
            correlation = _sum(self._correlation(batch[s], fakes[t], s, t) for s, t in DIRECTIONS.values()) / 2
        self._descend("generators", warm, accelerator)
        return {"warm": warm, "correlation": correlation}

    def _generator_step(self, batch: Batch, accelerator: Accelerator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One step of both generators, with a backward pass for each group of terms that share a forward pass.

        The gradients are those of the sum, but memory holds at most two forward passes of a generator at a time.
        """
        settings, fakes, losses = self.settings, {}, defaultdict[str, list[Tensor]](list)
        self.optimizers["generators"].zero_grad()
        judges = nn.ModuleList(self.discriminators.values())
        judges.requires_grad_(False)  # gradients flow through them, but not into their weights
        for name, (source, target) in DIRECTIONS.items():
            fake = self.modules[name](batch[source])
            # The network and not its wrapper: processes must not exchange discriminator gradients here.
            score = self.discriminators[target](fake)
            terms = {"adversarial": F.mse_loss(score, torch.ones_like(score))}
            total = terms["adversarial"]
            if settings.cycle:
                terms["cycle"] = F.l1_loss(self.modules[f"{target}_to_{source}"](fake), batch[source])
                total = total + settings.cycle * terms["cycle"]
            with torch.set_grad_enabled(settings.content > 0):
                terms["correlation"] = self._correlation(batch[source], fake, source, target)
            if settings.content:
                total = total + settings.content * (1 - terms["correlation"])
            if settings.consistency and self.consistency is not None and source == "ihc":
                terms["consistency"] = self.consistency(batch[source], fake)
                total = total + settings.consistency * terms["consistency"]
            accelerator.backward(total)
            if settings.identity:
                terms["identity"] = F.l1_loss(self.modules[name](batch[target]), batch[target])
                accelerator.backward(settings.identity * terms["identity"])
            fakes[target] = fake.detach()
            for term, value in terms.items():
                losses[term].append(value.detach())
        judges.requires_grad_(True)
        self.optimizers["generators"].step()
        summed = {term: _sum(values) for term, values in losses.items()}
        return summed | {"correlation": summed["correlation"] / 2}, fakes

    def _discriminator_step(self, batch: Batch, fakes: Batch, accelerator: Accelerator) -> dict[str, Tensor]:
        losses = {}
        for domain, pool in self.pools.items():
            # One pass over both: the buffers of a wrapper must not change between two passes and one backward pass.
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
        """Mean correlation between the stain amounts of images and of their translations."""
        amounts = stain_amount(before, self.weights[source]), stain_amount(after, self.weights[target])
        return content_correlation(*amounts).mean()

    def _recoloured(self, images: Tensor, source: str, target: str) -> Tensor:
        """`recolour_od` in torch: each pixel gets the mean colour of the target domain at its stain amount."""
        table = self.tables[target].to(images.device)
        bins = (stain_amount(images, self.weights[source]) / DENSITY_STEP).long().clamp(0, len(table) - 1)
        return table[bins].permute(0, 3, 1, 2)

    def extra_state(self) -> dict[str, Any]:
        """State for a checkpoint besides networks and optimisers: progress, pools and the running mean of the guard."""
        guard = {"mean": self.guard.mean, "updates": self.guard.updates}
        pools = {domain: pool.state() for domain, pool in self.pools.items()}
        return {"steps_done": self.steps_done, "pools": pools, "guard": guard}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Restore the values of `extra_state`."""
        self.steps_done = state["steps_done"]
        self.guard.mean, self.guard.updates = state["guard"]["mean"], state["guard"]["updates"]
        for domain, pool in self.pools.items():
            pool.load_state(state["pools"][domain])


def _adam(networks: Mapping[str, nn.Module], rate: float) -> Adam:
    trainable = [p for network in networks.values() for p in network.parameters() if p.requires_grad]
    return Adam(trainable, rate, betas=(0.5, 0.999))


def _sum(losses: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(losses)).sum()
