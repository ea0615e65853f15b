"""Scores by laboratory: cross-fit scores are copied, fields are scored with every route whose weights are there."""

import json

import numpy as np
import pytest
from PIL import Image

from histolib.experiments.compare_laboratories import main, score
from histolib.imaging import Patch

SCORES = {"f1": 0.8, "precision": 0.7, "recall": 0.9, "f1_ci95": [0.7, 0.9]}


def test_hits_are_pooled_over_fields_in_microns():
    xy = np.array([[10.0, 10.0], [30.0, 30.0]])
    fields = [("a", Patch(np.zeros((40, 40, 3), np.uint8), mpp), xy) for mpp in (0.5, 1.0)]
    scores = score(fields, [xy + 4, xy + 4])  # 2.8 and 5.7 microns away
    assert (scores["precision"], scores["recall"], scores["n_true"]) == (0.5, 0.5, 4)


def test_the_file_holds_cross_fit_scores_and_those_of_the_fields(tmp_path, capsys):
    (tmp_path / "endonuke.json").write_text(json.dumps({"routes": {"log": SCORES | {"tiles": {}}}}))
    y, x = np.indices((200, 200))
    disc = np.hypot(x - 60, y - 80) < 14
    for folder in ("images", "labels"):
        (tmp_path / "ki67" / folder).mkdir(parents=True)
    Image.fromarray(np.where(disc[..., None], (60, 70, 140), 235).astype(np.uint8)).save(
        tmp_path / "ki67/images/a_1.png"
    )
    Image.fromarray(disc.astype(np.uint16)).save(tmp_path / "ki67/labels/a_1.png")
    (tmp_path / "ki67/types.json").write_text(json.dumps({"a_1": {"1": 1}}))
    (tmp_path / "weights").mkdir()
    folders = [f"--endonuke={tmp_path}/endonuke.json", f"--ki67={tmp_path}/ki67", f"--weights={tmp_path}/weights"]
    assert main([*folders, f"--output={tmp_path}/out.json"]) == 0
    results = json.loads((tmp_path / "out.json").read_text())
    assert results["endonuke"] == {"log": SCORES}
    assert set(results["ki67_other_labs"]) == {"log", "watershed"}
    assert results["ki67_other_labs"]["watershed"]["f1"] == pytest.approx(1)
    assert capsys.readouterr().out.count("\n") == 3
