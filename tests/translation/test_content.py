import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from histolib.imaging import separate_stains, summed_density
from histolib.translation import ContentLost, to_tensor
from histolib.translation.content import ContentGuard, content_correlation, density_weights, stain_amount

IMAGE = np.random.default_rng(0).integers(20, 256, (12, 10, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("domain", "marker", "expected"),
    [
        ("ihc", "nuclear", summed_density(IMAGE)),
        ("he", "nuclear", summed_density(IMAGE)),
        ("ihc", "membrane", separate_stains(IMAGE, "hematoxylin", "dab")[..., 0]),
        ("he", "cytoplasm", separate_stains(IMAGE, "hematoxylin", "eosin")[..., 0]),
    ],
)
def test_the_amount_of_stain_is_what_imaging_computes(domain, marker, expected):
    amount = stain_amount(to_tensor(IMAGE)[None], torch.from_numpy(density_weights(domain, marker)))
    np.testing.assert_allclose(amount[0].numpy(), expected, atol=1e-4)
    for wrong in (("he", "nucleus"), ("HE",)):
        with pytest.raises(ValueError, match=wrong[-1]):
            density_weights(*wrong)
    black = torch.zeros(1, 3, 4, 4, requires_grad=True)
    stain_amount(black, torch.ones(3)).sum().backward()
    assert black.grad.isfinite().all()


@settings(deadline=None)
@given(st.floats(0.1, 5), st.floats(-2, 2), st.integers(0, 100))
def test_the_correlation_does_not_see_gain_and_offset_but_sign(gain, offset, seed):
    amount = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(content_correlation(amount, gain * amount + offset), torch.ones(2), atol=1e-3, rtol=0)
    torch.testing.assert_close(content_correlation(amount, offset - gain * amount), -torch.ones(2), atol=1e-3, rtol=0)


def test_glass_has_no_content_to_lose_and_a_blank_translation_loses_all():
    flat, tissue = torch.zeros(1, 8, 8), torch.rand(1, 8, 8)
    assert (content_correlation(flat, tissue).item(), content_correlation(tissue, flat).item()) == (1, 0)


def test_the_guard_stops_a_lost_content_after_the_grace_and_forgives_one_bad_step():
    kept, unlimited, lost = (ContentGuard(limit, grace) for limit, grace in ((0.3, 10), (-1, 0), (0.3, 10)))
    for _ in range(200):
        kept.update(0.9)
        unlimited.update(-1.0)
    for _ in range(10):
        lost.update(-0.8)
    with pytest.raises(ContentLost, match=r"-0\.80.*exchanged.*warm_steps"):
        lost.update(-0.8)
    guard = ContentGuard(0.3, grace_steps=0)
    for correlation in [0.9] * 100 + [-1.0] + [0.0] * 15:
        guard.update(correlation)
    with pytest.raises(ContentLost, match="little of the input tissue is preserved"):
        list(map(guard.update, [0.0] * 60))
