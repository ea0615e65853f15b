"""Toy data sets in the official layouts: groups stay apart, and an interrupted run gives the same results."""

import json

import numpy as np
import pytest
from PIL import Image

from histolib.experiments import nucleus_types
from histolib.experiments.nucleus_types import CLAIMS, changed, main, read_brca, read_endonuke
from histolib.synthesis import ARMS

TYPES = "lymphocyte", "tumour or epithelial", "stromal"


def toy(seed, size):
    """A noisy picture with nine points, three of each class."""
    rng = np.random.default_rng(seed)
    image, xy, kinds = rng.integers(0, 90, (size, size, 3)), rng.integers(9, size - 9, (9, 2)), np.arange(9) % 3
    for (x, y), kind in zip(xy, kinds, strict=True):
        image[y - 4 : y + 4, x - 4 : x + 4, kind] += 150
    return Image.fromarray(image.astype(np.uint8)), xy, kinds


@pytest.fixture
def brca(tmp_path):
    root, parts = tmp_path / "brca", {"train": (0, 1, 2, 3, 4, 5, 9), "val": (7, 8, 9)}  # both have patient 9
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for part, patients in parts.items():
        names = [f"TCGA-AA-{patient:04d}-{part}" for patient in patients]
        (root / f"brca_ds_{part}.txt").write_text("".join(f"{name}.png\n" for name in names))
        for number, name in enumerate(names):
            image, xy, kinds = toy(number, 64)
            image.save(root / "images" / f"{name}.png")
            rows = "".join(f"{y} {x} {kind + 1}\n" for (x, y), kind in zip(xy, kinds, strict=True))
            (root / "labels" / f"{name}_gt_class_coords.txt").write_text(rows)
    return root


def test_groups_are_in_one_part(brca, tmp_path):
    groups = {part: [name[-1] for name in np.unique(crops.groups)] for part, crops in read_brca(brca).items()}
    assert groups == {"train": ["1", "2", "3", "4"], "val": ["0", "5"], "test": ["7", "8", "9"]}
    for folder in ("images", "labels/bulk/a"):
        (tmp_path / "dataset" / folder).mkdir(parents=True)
    for number in (321, 325, 725, 945, 1574):
        image, xy, kinds = toy(number, 200)
        image.save(tmp_path / f"dataset/images/{number}.png")
        rows = "".join(f"{x} {y} {kind}\n" for (x, y), kind in zip(xy, kinds, strict=True))
        (tmp_path / f"dataset/labels/bulk/a/{number}.txt").write_text(rows)
    parts = read_endonuke(tmp_path)
    assert {part: len(crops) for part, crops in parts.items()} == {"train": 18, "val": 9, "test": 18}
    assert not set(parts["train"].groups) & set(parts["test"].groups)


def test_an_interrupted_run_gives_the_same_results(brca, tmp_path, monkeypatch):
    monkeypatch.setattr(nucleus_types, "CLAIMS", {name: CLAIMS[name] for name in ("base", "twice the steps")})
    output, options = tmp_path / "made" / "results.json", ["--gan-steps=4", "--classifier-steps=1", "--seeds=2"]
    command = ["--brca", str(brca), "--claims-on", "brca", "--work", str(tmp_path / "work"), *options]

    def results():
        main([*command, "--output", str(output)])
        found = json.loads(output.read_text())
        assert found["protocol"].pop("cpu_minutes") > 0
        return found

    whole = results()
    units = sorted((tmp_path / "work").glob("*/unit.json"))
    for unit in units[::3]:
        unit.unlink()
    assert results() == whole
    assert sorted((tmp_path / "work").glob("*/unit.json")) == units
    found = whole["sets"]["brca"]
    assert found["arms"].keys() == ARMS.keys()
    low, high = found["arms"]["plain"]["recall of stromal"][1:]
    assert 0 <= low <= high <= 1
    assert found["arms"]["plain"]["minus plain"]["macro_f1"] == [0, 0, 0]
    assert np.sum(found["arms"]["sampler"]["confusion"]) == 2 * 27
    assert found["gan"]["references"].keys() == {"training crops", "one colour"}
    assert whole["claims"]["table"].keys() == {"base", "twice the steps"}


def test_a_verdict_needs_an_interval_on_one_side_of_zero():
    assert changed([1, 1.1, 0.9], [2, 2, 2], lower_is_better=True)["verdict"] == "held"
    worse = changed([1, 1.1, 0.9], [2, 2, 2], lower_is_better=False)
    assert worse["verdict"] == "did not hold"
    assert worse["change"] == pytest.approx([-1, -1.2484, -0.7516], abs=1e-4)  # 4.3027 times 0.1 over the root of 3
    assert changed([1, 3, 2], [2, 2, 2], lower_is_better=True)["verdict"] == "undecided"
