"""Errors of staining scores on phantom slides and on labelled outlines."""

import json

import numpy as np
from PIL import Image

from histolib.data import phantom
from histolib.experiments.staining_accuracy import main


def test_errors_are_those_of_the_rows_and_labels_without_grades_have_no_h_score(tmp_path):
    tile = phantom.draw(0, 256, 0.25)
    for folder, pixels in (("images", tile.ihc.image), ("labels", tile.instances.astype(np.uint16))):
        (tmp_path / "tiles" / folder).mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / "tiles" / folder / "a.png")
    types = {str(i): 1 + int(grade > 0) for i, grade in enumerate(tile.grade, 1)}
    (tmp_path / "tiles" / "types.json").write_text(json.dumps({"a": types}))
    arguments = ["--ki67", tmp_path / "tiles", "--slides", 2, "--tiles", 1, "--route", "log"]
    main([*map(str, arguments), "--output", str(tmp_path / "a.json")])
    results = json.loads((tmp_path / "a.json").read_text())
    rows = results["PHANTOM"]
    errors = [abs(rows[f"slide {i}"]["log"]["positivity"] - rows[f"slide {i}"]["truth"]["positivity"]) for i in (0, 1)]
    assert abs(rows["mean error, log"]["positivity"] - sum(errors) / 2) < 1e-3
    assert 0 < rows["mean error, outlines"]["h_score"] < 60
    assert {*results["ki67_other_labs"]["mean error, log"]} == {"positivity"}
