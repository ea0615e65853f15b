"""Networks that see the same before and after a translation must agree best, and a translation must learn from it."""

import pytest
import torch

from histolib import agreement
from histolib.nuclei import HoVerNet


@pytest.fixture
def alike(monkeypatch):
    """Both networks the same, and a recolouring that changes nothing: the teacher sees what the student sees."""
    monkeypatch.setattr(agreement, "macenko", lambda patch, reference: patch)
    torch.manual_seed(0)
    net = HoVerNet("fast", None, 1 / 16)
    return agreement.NucleiAgreement(net, net, None, 0.5)


@pytest.mark.parametrize("size", [(64, 64), (112, 80)])
def test_nothing_agrees_better_than_the_same_picture(alike, size):
    ihc = torch.randint(0, 256, (2, 3, *size)) / 255
    same = alike(ihc, ihc)
    for other in (torch.rand(2, 3, *size), 1 - ihc, ihc * 0.5):
        assert alike(ihc, other) > same


def test_it_teaches_the_translation_and_leaves_both_networks_alone(alike):
    ihc, translated = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64, requires_grad=True)
    before = {name: value.clone() for name, value in alike.he_net.state_dict().items()}
    alike(ihc, translated).backward()
    assert translated.grad.isfinite().all()
    assert translated.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in alike.he_net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in alike.he_net.state_dict().items())
