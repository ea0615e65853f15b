"""The same nucleus maps before and after a translation give the lowest loss, and the translation learns from it."""

import pytest
import torch

from histolib.translation.consistency import nuclei_consistency


def maps(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Dark is nucleus, and the distances are two of the channels."""
    return 8 * (0.5 - images.mean(1)), images[:, :2]


@pytest.fixture(scope="module")
def loss():
    return nuclei_consistency(maps, maps)


def test_the_untranslated_image_agrees_best_and_gradients_reach_the_translation(loss, brown):
    ihc = torch.from_numpy(brown.image).permute(2, 0, 1)[None] / 255
    same = loss(ihc, ihc)
    for other in (torch.rand_like(ihc), 1 - ihc):
        assert loss(ihc, other) > same
    ihc, translated = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32, requires_grad=True)
    loss(ihc, translated).backward()
    assert translated.grad.isfinite().all()
    assert translated.grad.abs().sum() > 0
