"""The CycleGAN ablation: paired seeds, and reuse of finished runs."""

import json
from dataclasses import replace

import pytest

from histolib.config import PROFILES
from histolib.experiments import cyclegan_ablation
from histolib.experiments.cyclegan_ablation import BASE, DETECTOR, ablate, summarise
from histolib.notebook import open_datasets


def test_every_change_is_scored_with_every_seed_and_finished_runs_are_reused(tmp_path, monkeypatch):
    monkeypatch.setattr(cyclegan_ablation, "TRANSLATIONS", ("identity", "od", "cyclegan"))
    size = replace(PROFILES["quick"], pannuke_per_fold=1, endonuke_runs=(1, 1, 1), bci_pairs=(1, 1), bci_px=64)
    sets = open_datasets(tmp_path, size)
    base = replace(BASE, width=4, blocks=1, discriminator_width=4, patch_px=32, warm_steps=1, steps=1)
    small = {"detector": replace(DETECTOR, width=1 / 16, steps=1, map_px=20), "images": 1, "base": base}
    changes = {"base": {}, "no identity loss": {"identity": 0.0}}
    work, output = tmp_path / "work", tmp_path / "results"
    ablate(sets, work, output, (0,), changes=changes, **small)
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}
    found = ablate(sets, work, output, (0, 1), changes=changes, **small)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    pairs = [(row["name"], row["seed"]) for row in found["rows"]]
    assert pairs == [(name, seed) for seed in (0, 1) for name in changes]
    assert all({"detection", "ssim", "correlation"} <= row["scores"].keys() for row in found["rows"])
    assert set(found["classical"]) == {"identity", "od"}
    assert set(json.loads((output / "cyclegan_ablation.json").read_text())["summary"]) == set(changes)
    assert (output / "cyclegan_ablation.png").is_file()


def test_changes_of_f1_are_paired_by_seed():
    rows = [
        {"name": name, "seed": seed, "scores": {"detection": f1}}
        for name, seed, f1 in (("base", 0, 0.5), ("base", 1, 0.7), ("more", 1, 0.8), ("more", 0, 0.5))
    ]
    found = summarise(rows)
    assert found["base"] == {"detection": {"mean": 0.6, "low": 0.5, "high": 0.7}}
    assert found["more"]["change"] == {"mean": pytest.approx(0.05), "low": 0.0, "high": pytest.approx(0.1)}
