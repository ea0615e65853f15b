"""Pool of past translations for the discriminator, which would otherwise only see the latest ones."""

import torch
from torch import Tensor


class ImagePool:
    """History of translations (Shrivastava et al., CVPR 2017; capacity 50 in CycleGAN).

    Until the pool is full, every image is stored and returned unchanged. After that, with probability one half, an
    image is returned unchanged; otherwise it replaces a random image of the pool, which is returned.

    Args:
        capacity: number of stored images, at least 1.
        seed: seed of the pool's own random generator, which makes a resumed run identical to an uninterrupted one.
    """

    def __init__(self, capacity: int = 50, seed: int = 0) -> None:
        self.capacity = capacity
        self.images: list[Tensor] = []
        self.rng = torch.Generator().manual_seed(seed)

    def query(self, images: Tensor) -> Tensor:
        """Exchange new translations for those that the discriminator sees; both (N, 3, H, W), without gradients."""
        return torch.stack([self._exchange(image) for image in images.detach()])

    def _exchange(self, image: Tensor) -> Tensor:
        if len(self.images) < self.capacity:
            self.images.append(image)
            return image
        if torch.rand((), generator=self.rng) < 0.5:
            return image
        place = int(torch.randint(self.capacity, (), generator=self.rng))
        past, self.images[place] = self.images[place], image
        return past.to(image.device)

    def state(self) -> dict[str, Tensor]:
        """Images (K, 3, H, W), or an empty tensor, and the state of the random generator."""
        images = torch.stack([image.cpu() for image in self.images]) if self.images else torch.empty(0)
        return {"images": images, "rng": self.rng.get_state()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restore the pool from `state`."""
        self.images = list(state["images"])
        self.rng.set_state(state["rng"].cpu())
