from dataclasses import replace

import numpy as np
import pytest
import torch

from histolib.config import profile
from histolib.io import Provenance
from histolib.nuclei import HoVerNet, train_hovernet
from histolib.training.checkpoint import load_checkpoint

TINY = replace(
    profile("quick").hovernet,
    types=("round", "odd"), width=1 / 16, map_px=20, batch_size=2, steps=4, jitter=0.0, learning_rate=1e-3,
)  # fmt: skip
WEIGHTS = "hovernet.safetensors"


@pytest.fixture
def trained(tmp_path, tiles):
    """Train in a folder below `tmp_path`; returns the network."""

    def train(name, settings=TINY, **options):
        train_hovernet(tiles, settings, tmp_path / name, progress=False, thresholds={"opening_px": 3}, **options)
        return HoVerNet.load(tmp_path / name / WEIGHTS)

    return train


def equal(one, two):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_a_run_saves_a_network_with_its_metadata(tmp_path, tiles):
    seen = Provenance("discs", ("b", "a"), {"source": "drawn"})
    settings = replace(TINY, validate_every=2)
    history = train_hovernet(tiles[:1], settings, tmp_path, validation=tiles[1:], provenance=seen, progress=False)
    terms = ["hv_mse", "hv_gradient", "np_ce", "np_dice", "tp_ce", "tp_dice"]
    assert list(history.columns) == ["loss", *terms, "val_f1", "val_dice", "val_pq"]
    np.testing.assert_allclose(history["loss"], history[terms].sum(axis=1), rtol=1e-5)
    for name in ("val_f1", "val_dice", "val_pq"):
        assert history[name].dropna().index.tolist() == [2, 4]
    net = HoVerNet.load(tmp_path / WEIGHTS)
    assert (net.mpp, net.types, "edge_threshold" in net.thresholds) == (0.5, ("round", "odd"), True)
    assert (net.provenance.trained_on, net.provenance.groups) == ("discs", ("a", "b"))
    assert (net.provenance.details["source"], net.provenance.details["settings"]["steps"]) == ("drawn", 4)


def test_training_lowers_the_loss_and_tiles_without_nuclei_give_finite_losses(tmp_path, discs, sample):
    tile = sample(discs((40, 40), (10, 12, 7), (30, 25, 8)))
    settings = replace(TINY, steps=16, map_px=28, types=(), learning_rate=5e-3)
    loss = train_hovernet([tile], settings, tmp_path / "one", progress=False)["loss"]
    assert loss.tail(4).mean() < 0.75 * loss.head(4).mean()
    empty, settings = sample(np.zeros((30, 30), int)), replace(TINY, steps=2)
    assert np.isfinite(train_hovernet([empty], settings, tmp_path / "two", progress=False).to_numpy()).all()


def test_an_interrupted_run_resumes_to_the_same_bytes(trained, tmp_path):
    settings = replace(TINY, jitter=0.15, ema=0.9, validate_every=3)
    with pytest.raises(AttributeError):
        trained("stopped", settings, validation=[None], save_every=2)
    assert load_checkpoint(tmp_path / "stopped/checkpoint.pt")["step"] == 2
    assert not (tmp_path / "stopped" / WEIGHTS).exists()
    trained("stopped", settings, resume=True)
    trained("whole", settings)
    assert (tmp_path / "whole" / WEIGHTS).read_bytes() == (tmp_path / "stopped" / WEIGHTS).read_bytes()


def test_seed_ema_and_earlier_weights_decide_the_result(trained, tmp_path):
    short = replace(TINY, steps=2)
    one = trained("one", short)
    assert equal(one, trained("two", short))
    assert not equal(one, trained("other", replace(short, seed=1)))
    assert not equal(one, trained("averaged", replace(short, ema=0.9)))
    first = trained("first", replace(TINY, steps=1))
    begun = tmp_path / "first" / WEIGHTS
    slow = replace(TINY, steps=1, learning_rate=1e-9)
    second = trained("second", slow, start=begun)
    assert second.provenance.details["start"].startswith("first ")
    for name, value in first.named_parameters():
        torch.testing.assert_close(second.get_parameter(name), value, atol=1e-6, rtol=0)
    for types in ((), ("a", "b", "c")):
        other = trained(f"{len(types)} types", replace(slow, types=types), start=begun)
        torch.testing.assert_close(other.conv_bot.weight, first.conv_bot.weight, atol=1e-6, rtol=0)
        assert other.types == types
    with pytest.raises(ValueError, match="start"):
        trained("second", slow, resume=True)
    with pytest.raises(ValueError, match=r"hovernet\.safetensors: expected a HoVer-Net with .*'width': 0\.125.*found"):
        trained("wide", replace(TINY, width=1 / 8), start=begun)
