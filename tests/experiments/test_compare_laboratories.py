"""Scores by laboratory: cross-fit scores are copied, fields are scored with every route whose weights are there."""

import json

import numpy as np
import pytest
from PIL import Image

from histolib.ensemble import ROUTES
from histolib.experiments.compare_laboratories import main

SCORES = {"f1": 0.8, "precision": 0.7, "recall": 0.9, "f1_ci95": [0.7, 0.9]}


def test_the_file_holds_cross_fit_scores_and_those_of_the_fields(tmp_path):
    (tmp_path / "endonuke.json").write_text(json.dumps({"routes": {"log": SCORES | {"tiles": {}}}}))
    y, x = np.indices((64, 64))
    disc = np.hypot(x - 30, y - 34) < 14
    for folder in ("ki67/images", "ki67/labels", "brca/images", "brca/labels"):
        (tmp_path / folder).mkdir(parents=True)
    image = Image.fromarray(np.where(disc[..., None], (60, 70, 140), 235).astype(np.uint8))
    image.save(tmp_path / "ki67/images/a_1.png")
    image.save(tmp_path / "brca/images/a.png")
    Image.fromarray(disc.astype(np.uint16)).save(tmp_path / "ki67/labels/a_1.png")
    (tmp_path / "ki67/types.json").write_text(json.dumps({"a_1": {"1": 1}}))
    (tmp_path / "brca/labels/a_gt_class_coords.txt").write_text("30 34 1\n")
    (tmp_path / "brca/brca_ds_val.txt").write_text("a.png\n")
    folders = [f"--endonuke={tmp_path}/endonuke.json", f"--ki67={tmp_path}/ki67", f"--brca={tmp_path}/brca"]

    main([*folders, f"--output={tmp_path}/out.json"])
    results = json.loads((tmp_path / "out.json").read_text())
    assert results["endonuke"] == {"log": SCORES}
    assert set(results["ki67_other_labs"]) == set(ROUTES) - {"supervised"}
    assert results["ki67_other_labs"]["watershed"]["f1"] == pytest.approx(1)
    assert results["brca_m2c_val"]["hovernet"]["n_true"] == 1
