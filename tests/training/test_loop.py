"""The loop gives the same weights after any interruption, and never loses a saved checkpoint."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from histolib.training import fit
from histolib.training.checkpoint import load_checkpoint
from histolib.training.loop import read_log

SETTINGS = {"width": 4, "rate": 0.05}


class Regression:
    """A small network with dropout, momentum and its own counter: all state that a resume must restore."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 1))
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.05)
        self.modules = {"net": net}
        self.optimizers = {"net": optimizer}
        self.schedulers = {"net": torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=8)}
        self.kept = ("net",)
        self.seen = 0.0

    def step(self, batch, accelerator):
        self.optimizers["net"].zero_grad()
        loss = (self.modules["net"](batch["x"]) - batch["y"]).square().mean()
        accelerator.backward(loss)
        self.optimizers["net"].step()
        self.schedulers["net"].step()
        self.seen += float(batch["x"].sum())
        return {"loss": loss.detach(), "seen": torch.tensor(self.seen)}

    def extra_state(self):
        return {"seen": self.seen}

    def load_extra_state(self, state):
        self.seen = state["seen"]


def draw(index):
    rng = np.random.default_rng((7, index))
    x = torch.from_numpy(rng.normal(size=3).astype("float32"))
    return {"x": x, "y": x.sum(0, keepdim=True)}


def run(folder, steps=8, resume=False, **options):
    task = Regression()
    options = {"batch_size": 2, "settings": SETTINGS, "save_every": 3, **options}
    history = fit(task, draw, steps=steps, folder=folder, resume=resume, progress=False, **options)
    return task.modules["net"].state_dict(), history


def assert_same(left, right):
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


class Stop(Exception):
    pass


def test_a_finished_run_stays_and_other_settings_and_damage_are_named(tmp_path):
    first, _ = run(tmp_path, resume=True)
    again, history = run(tmp_path, resume=True)
    assert_same(first, again)
    over, _ = run(tmp_path)
    assert_same(first, over)
    assert_same(first, run(tmp_path / "workers", workers=2)[0])
    assert list(history.index) == list(range(1, 9))
    half, _ = run(tmp_path / "half", mixed_precision="bf16")
    assert not torch.equal(first["0.weight"], half["0.weight"])
    with pytest.raises(ValueError, match=r"width 4 in the file, 8 in this run"):
        run(tmp_path, resume=True, settings={**SETTINGS, "width": 8})
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"checkpoint\.pt: expected a checkpoint"):
        run(tmp_path, resume=True)
    with pytest.raises(FileNotFoundError, match=r"log\.csv"):
        read_log(tmp_path / "none")


SCORES = {2: 0.1, 4: 0.7, 6: 0.4, 8: 0.6}


def monitored(folder, **options):
    options = {"validate": lambda networks, step: {"f1": SCORES[step]}, "validate_every": 2, "monitor": "f1", **options}
    return run(folder, **options)


def test_the_best_or_averaged_weights_are_kept_and_scores_logged(tmp_path):
    best, history = monitored(tmp_path / "all")
    assert (history["f1"].dropna().to_dict(), len(history)) == (SCORES, 8)
    assert_same(best, run(tmp_path / "four", steps=4)[0])
    weights, _ = monitored(tmp_path / "nan", validate=lambda networks, step: {"f1": float("nan")})
    assert_same(weights, run(tmp_path / "plain")[0])

    def watched(name, **options):
        seen = {}

        def validate(networks, step):
            seen[step] = {name: value.clone() for name, value in networks["net"].state_dict().items()}
            return {}

        return run(tmp_path / name, validate=validate, validate_every=1, **options)[0], seen

    (kept, averaged), (last, plain) = watched("ema", ema=0.9), watched("plain")
    assert_same(kept, averaged[8])
    assert not torch.equal(kept["0.weight"], last["0.weight"])
    expected = averaged[7]["0.weight"].lerp(plain[8]["0.weight"], 1 - (1 + 7) / (10 + 7))
    assert torch.allclose(averaged[8]["0.weight"], expected, atol=1e-6)


@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("stopped_at", [4, 6, 8])
def test_a_stopped_run_ends_as_if_it_never_stopped_with_the_best_weights_and_the_average(tmp_path, stopped_at, ema):
    unbroken, history = monitored(tmp_path / "unbroken", ema=ema)

    def stop(networks, step):
        if step == stopped_at:
            raise Stop
        return {"f1": SCORES[step]}

    with pytest.raises(Stop):
        monitored(tmp_path / "stopped", ema=ema, validate=stop)
    resumed, log = monitored(tmp_path / "stopped", ema=ema, resume=True)
    assert_same(unbroken, resumed)
    assert history.equals(log)


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from test_loop import run
run(sys.argv[2], validate=lambda _, step: os.kill(os.getpid(), signal.SIGKILL) if step == 5 else {}, validate_every=1)
"""


def test_a_killed_run_and_one_whose_disk_filled_up_resume_to_the_same_weights(tmp_path, monkeypatch):
    unbroken, _ = run(tmp_path / "unbroken")
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path / "killed")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL

    def fail(*_):
        raise OSError(28, "No space left on device")

    def fill(networks, step):
        if step == 5:
            monkeypatch.setattr(os, "fsync", fail)
        return {}

    with pytest.raises(OSError, match=r"checkpoint\.pt: could not write the checkpoint, the previous one is unchanged"):
        run(tmp_path / "full", validate=fill, validate_every=1)
    monkeypatch.undo()
    for name in ("killed", "full"):
        assert {"checkpoint.pt", "log.csv"} == {file.name for file in (tmp_path / name).iterdir()}
        assert load_checkpoint(tmp_path / name / "checkpoint.pt", SETTINGS)["step"] == 3
        resumed, _ = run(tmp_path / name, resume=True)
        assert_same(unbroken, resumed)
