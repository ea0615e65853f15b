import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from histolib.io import Provenance
from histolib.nuclei import HoVerNet, find_nuclei, train_hovernet
from histolib.training import load_checkpoint

from .killed_run import TINY, train

WEIGHTS = "hovernet.safetensors"


@pytest.fixture
def trained(tmp_path, tiles):
    """Train in a folder below `tmp_path`; returns the network."""

    def train(name, settings=TINY, **options):
        train_hovernet(tiles, settings, tmp_path / name, progress=False, **options)
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
    assert (net.mpp, net.types) == (0.5, ("round", "odd"))
    assert (net.provenance.trained_on, net.provenance.groups) == ("discs", ("a", "b"))
    assert net.provenance.details["source"] == "drawn"
    assert net.provenance.details["settings"]["steps"] == 4
    assert "edge_threshold" in net.thresholds
    assert "score" in find_nuclei(tiles[0].patch, net)


def test_training_lowers_the_loss_and_tiles_without_nuclei_give_finite_losses(tmp_path, discs, sample):
    tile = sample(discs((40, 40), (10, 12, 7), (30, 25, 8)))
    settings = replace(TINY, steps=16, map_px=28, types=(), learning_rate=5e-3)
    loss = train_hovernet([tile], settings, tmp_path / "one", progress=False)["loss"]
    assert loss.tail(4).mean() < 0.75 * loss.head(4).mean()
    empty, settings = sample(np.zeros((30, 30), int)), replace(TINY, steps=2)
    assert np.isfinite(train_hovernet([empty], settings, tmp_path / "two", progress=False).to_numpy()).all()


def test_a_killed_run_resumes_to_the_same_bytes(tmp_path):
    command = [sys.executable, Path(__file__).with_name("killed_run.py"), tmp_path / "killed"]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert load_checkpoint(tmp_path / "killed/checkpoint.pt")["step"] == 2
    assert not (tmp_path / "killed" / WEIGHTS).exists()
    train(tmp_path / "killed", resume=True)
    train(tmp_path / "whole")
    whole, killed = (tmp_path / name / WEIGHTS for name in ("whole", "killed"))
    assert whole.read_bytes() == killed.read_bytes()


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
