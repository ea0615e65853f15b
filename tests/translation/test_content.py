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
def test_the_stain_amount_equals_that_of_imaging(domain, marker, expected):
    amount = stain_amount(to_tensor(IMAGE)[None], torch.from_numpy(density_weights(domain, marker)))
    np.testing.assert_allclose(amount[0].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize(("domain", "marker"), [("he", "nucleus"), ("HE", "nuclear")])
def test_an_unknown_marker_or_domain_is_refused(domain, marker):
    message = f"a domain of he, ihc and a marker of nuclear, membrane, cytoplasm, found '{domain}' and '{marker}'"
    with pytest.raises(ValueError, match=message):
        density_weights(domain, marker)


def test_black_has_a_finite_gradient():
    images = torch.zeros(1, 3, 4, 4, requires_grad=True)
    stain_amount(images, torch.ones(3)).sum().backward()
    assert images.grad.isfinite().all()


@settings(deadline=None)
@given(st.floats(0.1, 5), st.floats(-2, 2), st.integers(0, 100))
def test_the_correlation_depends_on_sign_but_not_on_gain_and_offset(gain, offset, seed):
    amount = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(content_correlation(amount, gain * amount + offset), torch.ones(2), atol=1e-3, rtol=0)
    torch.testing.assert_close(content_correlation(amount, offset - gain * amount), -torch.ones(2), atol=1e-3, rtol=0)


def test_flat_input_counts_as_preserved_and_a_flat_translation_as_lost():
    flat, tissue = torch.zeros(1, 8, 8), torch.rand(1, 8, 8)
    assert content_correlation(flat, tissue).item() == 1
    assert content_correlation(tissue, flat).item() == 0


def update(guard: ContentGuard, *correlations: float) -> None:
    for correlation in correlations:
        guard.update(correlation)


def test_the_guard_stops_lost_content_after_the_grace_period():
    update(ContentGuard(0.3, grace_steps=10), *[0.9] * 200)
    lost = ContentGuard(0.3, grace_steps=10)
    update(lost, *[-0.8] * 10)
    with pytest.raises(ContentLost, match=r"after 11 .*-0\.80.*limit of 0\.30 \(dark and light are exch.*warm_steps"):
        update(lost, -0.8)


def test_the_guard_forgives_one_bad_step_but_not_a_late_loss():
    guard = ContentGuard(0.3, grace_steps=0)
    update(guard, *[0.9] * 100, -1.0, *[0.0] * 15)
    with pytest.raises(ContentLost, match="little of the input tissue is preserved"):
        update(guard, *[0.0] * 60)


def test_a_limit_of_minus_one_never_stops():
    update(ContentGuard(-1, grace_steps=0), *[-1.0] * 50)
