"""The trick table must pair seeds, go on where it stopped, and show every run."""

import json
from dataclasses import replace

import pytest

from histolib import recipes, tricks
from histolib.cli import main
from histolib.config import PROFILES


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Two settings of networks that learn nothing, on a handful of tiles."""
    size = replace(PROFILES["quick"], pannuke_per_fold=2, endonuke_runs=(2, 2, 2), bci_pairs=(1, 1), bci_px=64)
    sets = recipes.open_sets(tmp_path, size)
    base = replace(tricks.BASE, width=4, blocks=1, discriminator_width=4, patch_px=32, warm_steps=1, steps=1)
    monkeypatch.setattr(tricks, "open_sets", lambda *_: sets)
    monkeypatch.setattr(tricks, "BASE", base)
    monkeypatch.setattr(tricks, "TRICKS", {"base": {}, "no identity loss": {"identity": 0.0}})
    monkeypatch.setattr(tricks, "DETECTOR", {"width": 1 / 16, "steps": 1, "map_px": 20})
    monkeypatch.setattr(tricks, "IMAGES", 2)
    return ["tricks", "--output", str(tmp_path / "results"), "--work", str(tmp_path / "work"), "--seeds", "2"]


def test_every_setting_is_scored_at_every_seed_and_a_second_call_trains_nothing(small, tmp_path, monkeypatch, capsys):
    assert main(small) == 0
    printed = capsys.readouterr().out
    written = json.loads((tmp_path / "results/tricks.json").read_text())
    assert [(row["name"], row["seed"]) for row in written["rows"]] == [
        (name, seed) for seed in (0, 1) for name in ("base", "no identity loss")
    ]
    assert all({"detection", "kid", "ssim", "correlation", "cycle"} <= row["scores"].keys() for row in written["rows"])
    assert set(written["rivals"]) == {"identity", "od", "hed", "reinhard", "macenko"}
    assert "no identity loss" in printed
    assert (tmp_path / "results/tricks.png").is_file()

    def refuse(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(tricks, "train_cyclegan", refuse)
    monkeypatch.setattr(tricks, "train_hovernet", refuse)
    assert main(small) == 0
    assert json.loads((tmp_path / "results/tricks.json").read_text()) == written
    monkeypatch.setattr(tricks, "TRICKS", {"base": {}, "no identity loss": {"identity": 1.0}})
    with pytest.raises(AssertionError, match="trained again"):
        main(small)


def test_changes_are_paired_by_seed():
    rows = [
        {"name": name, "seed": seed, "scores": {"detection": f1}}
        for name, seed, f1 in (("base", 0, 0.5), ("base", 1, 0.7), ("more", 1, 0.8), ("more", 0, 0.5))
    ]
    found = tricks.summary(rows)
    assert found["base"] == {"detection": {"mean": 0.6, "low": 0.5, "high": 0.7}}
    assert found["more"]["change"] == {"mean": pytest.approx(0.05), "low": 0.0, "high": pytest.approx(0.1)}


def test_no_seed_is_refused(small, capsys):
    assert main([*small[:-1], "0"]) == 2
    assert "--seeds: expected at least 1, found 0" in capsys.readouterr().err


def test_every_setting_sees_as_many_crops():
    for changes in tricks.TRICKS.values():
        settings = replace(tricks.BASE, **changes)
        assert settings.batch_size * (settings.warm_steps + settings.steps) == 400
