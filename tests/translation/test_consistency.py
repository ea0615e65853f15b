import math

import pytest
import torch

from histolib.imaging import Patch
from histolib.translation import StainReference, to_tensor
from histolib.translation.consistency import nuclei_consistency
from histolib.translation.stain_transfer import macenko


def darkness(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Nucleus maps of a network that takes dark pixels for nuclei."""
    return 10 * (0.5 - images.mean(1)), images[:, :2]


@pytest.fixture(scope="module")
def reference(tissue) -> StainReference:
    return StainReference.fit([tissue])


def test_the_untranslated_image_is_the_most_consistent_one(reference):
    ihc = torch.randint(0, 256, (2, 3, 7, 7)) / 255  # so few pixels that macenko changes nothing
    loss = nuclei_consistency(darkness, darkness, reference)
    assert all(loss(ihc, other) > loss(ihc, ihc) for other in (torch.rand(2, 3, 7, 7), 1 - ihc, ihc * 0.5))


def test_the_loss_follows_its_equation(reference):
    def constant(logit: float, distance: float):
        return lambda images: (torch.full((len(images), 4, 5), logit), torch.full((len(images), 2, 4, 5), distance))

    images = torch.rand(1, 3, 8, 10)
    # Teacher: probability (0.5 + 1) / 2, distance (0 + 2) / 2.
    loss = nuclei_consistency(constant(0.0, 0.0), constant(100.0, 2.0), reference)
    assert loss(images, images).item() == pytest.approx(math.log(2) + 0.75 * 1)


def test_the_teacher_sees_the_ihc_recoloured_and_gives_gradients_to_the_translation_alone(reference, brown):
    seen = []
    weight = torch.ones((), requires_grad=True)

    def he_maps(images):
        seen.append(images)
        return darkness(images * weight.detach())

    ihc, translated = to_tensor(brown.image)[None].requires_grad_(), torch.rand(1, 3, 96, 96, requires_grad=True)
    nuclei_consistency(he_maps, lambda images: darkness(images * weight), reference)(ihc, translated).backward()
    assert torch.equal(seen[0][0], to_tensor(macenko(Patch(brown.image, 1.0), reference).image))
    assert torch.equal(seen[1], translated)
    assert translated.grad.isfinite().all()
    assert translated.grad.abs().sum() > 0
    assert ihc.grad is None
    assert weight.grad is None
