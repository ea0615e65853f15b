"""The pool of past translations, which keeps a discriminator from forgetting what it has already caught."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["ImagePool"]


class ImagePool:
    """Past translations, half of which are shown again (Shrivastava et al., CVPR 2017; 50 in CycleGAN).

    Until the pool is full every image is kept and returned as it is. From then on each image is, with probability one
    half, returned as it is, and otherwise takes the place of a random one in the pool, which is returned.

    Args:
        capacity: images kept; 0 returns every image as it is.
        seed: of the pool's own random generator, so that a resumed run draws what an uninterrupted one would.
    """

    def __init__(self, capacity: int = 50, seed: int = 0) -> None:
        self.capacity = capacity
        self.images: list[Tensor] = []
        self.rng = torch.Generator().manual_seed(seed)

    def query(self, images: Tensor) -> Tensor:
        """Exchange new translations for the ones to show, both (N, 3, H, W) and detached."""
        return torch.stack([self._exchange(image) for image in images.detach()]) if len(images) else images

    def _exchange(self, image: Tensor) -> Tensor:
        if len(self.images) < self.capacity:
            self.images.append(image)
            return image
        if not self.capacity or torch.rand((), generator=self.rng) < 0.5:
            return image
        place = int(torch.randint(self.capacity, (), generator=self.rng))
        past, self.images[place] = self.images[place], image
        return past.to(image.device)

    def state(self) -> dict[str, Tensor]:
        """The images, (K, 3, H, W) or empty, and the generator's state."""
        images = torch.stack([image.cpu() for image in self.images]) if self.images else torch.empty(0)
        return {"images": images, "rng": self.rng.get_state()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Become the pool that `state` was taken from."""
        self.images = list(state["images"])
        self.rng.set_state(state["rng"].cpu())
