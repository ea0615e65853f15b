"""Statistics of data sets: known answers on phantoms, and missing sets are left out."""

import json

import numpy as np
import pytest

from histolib.data import BCI, phantom
from histolib.experiments.exploration import coincidence, main
from histolib.imaging import Patch


def test_it_describes_the_given_sets_only(tmp_path):
    root, output = phantom.write_endonuke(tmp_path / "endonuke", runs=(2, 2)), tmp_path / "made" / "numbers.json"
    main(["--endonuke", str(root), "--output", str(output)])
    ((name, found),) = json.loads(output.read_text())["sets"].items()
    assert (name, found["images"], found["mpp"]) == ("endonuke", 4, [0.5])
    assert sum(found["classes"].values()) == found["nuclei"] > 0
    assert sum(found["density_share"]) == pytest.approx(1, abs=1e-4)
    assert {"all", "ids 1000-1001", "ids 2000-2001"} <= found["dab_at_points"].keys()
    assert found["colour_distance"].keys() == {"neighbours", "other run"}


def test_a_registered_pair_coincides_and_a_shifted_one_does_not(tmp_path):
    (pair,) = BCI(phantom.write_bci(tmp_path / "bci", train=1, test=0, size_px=256))
    same = coincidence(pair.he, pair.ihc)
    assert (same["shift_um"], same["matched_share"] > 0.8) == (0, True)
    moved = coincidence(pair.he, Patch(np.roll(pair.ihc.image, 64, axis=1), pair.ihc.mpp))
    assert moved["matched_share"] < 0.5
