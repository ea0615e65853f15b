import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from histolib.config import profile
from histolib.io import Provenance
from histolib.nuclei import HoVerNet, find_nuclei, train_hovernet

TINY = replace(
    profile("quick").hovernet,
    types=("round", "odd"), width=1 / 16, map_px=20, batch_size=2, steps=4, jitter=0.0, learning_rate=1e-3,
)  # fmt: skip
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


def test_training_lowers_the_loss(tmp_path, discs, sample):
    tile = sample(discs((40, 40), (10, 12, 7), (30, 25, 8)))
    settings = replace(TINY, steps=20, map_px=36, types=(), learning_rate=5e-3)
    history = train_hovernet([tile], settings, tmp_path, progress=False)
    assert history["loss"].tail(4).mean() < 0.7 * history["loss"].head(4).mean()


def test_a_killed_run_resumes_to_the_same_bytes(tmp_path):
    script = """
import os, signal, sys
from dataclasses import replace
import numpy as np, torch
torch.set_num_threads(1)
from histolib.config import profile
from histolib.data.samples import InstanceSample
from histolib.imaging import Patch
from histolib.nuclei import train_hovernet

class Tiles(list):
    reads = 0
    def __getitem__(self, index):
        self.reads += 1
        if self.reads == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)

def tile(shift):
    ids = np.zeros((60, 50), np.int32)
    ids[8:20, 9 + shift : 22 + shift], ids[30:44, 25:37] = 1, 2
    image = np.where(ids[..., None] > 0, (120, 60, 140), 245).astype(np.uint8)
    return InstanceSample(Patch(image, 0.5, "tile"), ids, np.array([1, 2]), "", "")

settings = replace(
    profile("quick").hovernet, types=("round", "odd"), width=1 / 16, map_px=20, batch_size=2, steps=6, jitter=0.15,
    ema=0.9, validate_every=2,
)
tiles = Tiles(tile(shift) for shift in range(20))
train_hovernet(
    tiles, settings, sys.argv[1], validation=[tile(3)], resume=sys.argv[3] == "resume", save_every=2, progress=False
)
"""

    def run(name, kill_at=0, resume=""):
        command = [sys.executable, "-c", script, str(tmp_path / name), str(kill_at), resume]
        return subprocess.run(command, check=False).returncode

    assert run("whole") == 0
    assert run("killed", kill_at=7) == -signal.SIGKILL
    assert (tmp_path / "killed/checkpoint.pt").exists()
    assert not (tmp_path / "killed" / WEIGHTS).exists()
    assert run("killed", resume="resume") == 0
    whole, killed = (tmp_path / name / WEIGHTS for name in ("whole", "killed"))
    assert whole.read_bytes() == killed.read_bytes()


def test_samples_without_nuclei_train_without_nan(tmp_path, sample):
    history = train_hovernet([sample(np.zeros((30, 30), int))], replace(TINY, steps=2), tmp_path, progress=False)
    assert np.isfinite(history.to_numpy()).all()


def test_seed_and_ema_decide_the_weights(trained):
    one = trained("one")
    assert equal(one, trained("two"))
    assert not equal(one, trained("other", replace(TINY, seed=1)))
    assert not equal(one, trained("averaged", replace(TINY, ema=0.9)))


def test_fine_tuning_starts_from_earlier_weights_and_records_them(tmp_path, trained):
    first = trained("first")
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
