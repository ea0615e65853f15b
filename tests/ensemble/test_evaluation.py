"""Scores and details against counts done by hand, and an interval over blocks."""

import json

import numpy as np
import pytest

from histolib.data.samples import KeypointSample
from histolib.ensemble import Nuclei, evaluate, tile_blocks
from histolib.ensemble.evaluation import is_brown
from histolib.imaging import STAIN_VECTORS, Patch, rgb_from_density

CLASSES = {0: "stroma", 1: "epithelium"}
BROWN, BLUE = (tuple(rgb_from_density(1.2 * STAIN_VECTORS[name]).tolist()) for name in ("dab", "hematoxylin"))


def sample(points, size=200, mpp=0.5, name="t", colours=(), types=None):
    image = np.full((size, size, 3), 245, np.uint8)
    for (x, y), rgb in zip(points, colours, strict=False):
        image[y - 5 : y + 6, x - 5 : x + 6] = rgb
    xy = np.array(points, float).reshape(-1, 2)
    return KeypointSample(Patch(image, mpp, name), xy, np.array(types or [0] * len(xy), int))


def at(*xy, score=0.9):
    return Nuclei(np.array(xy, float).reshape(-1, 2), np.full(len(xy), score))


def counted(tiles):
    """Samples and predictions with given (tp, fp, fn): hits 10 microns apart, errors far from everything."""
    samples, found = [], []
    for tp, fp, fn in tiles:
        hits = [(20.0 * i, 0.0) for i in range(tp)]
        samples.append(sample(hits + [(20.0 * i, 1e4) for i in range(fn)], 8))
        found.append(at(*hits, *[(20.0 * i, 2e4) for i in range(fp)]))
    return samples, found


def interval(tiles, blocks=None, seed=0):
    samples, found = counted(tiles)
    return evaluate(samples, {"a": found}, blocks=blocks, seed=seed)["routes"]["a"]["f1_ci95"]


# 1 micron off, 3.5 microns off, one missed; nothing to find; 1.25 microns off.
TILES = [sample([(10, 10), (50, 50), (100, 100)]), sample([]), sample([(40, 40)], 400, 0.25)]
FOUND = [at((12, 10), (50, 57)), at((5, 5)), at((44, 43), (300, 300))]


def test_scores_are_those_of_the_hand_computed_case():
    results = evaluate(TILES, {"planted": FOUND})
    scores = results["routes"]["planted"]
    low, high = scores.pop("f1_ci95")
    means = {"loc_error_um": (1 + 1.25) / 2, "count_bias": (-1 + 1 + 1) / 3}
    counted = {"precision": 2 / 5, "recall": 2 / 4, "f1": 4 / 9, "n_true": 4, "n_pred": 5}
    assert scores == pytest.approx(counted | means, abs=1e-5)
    assert low < scores["f1"] < high
    assert (results["protocol"]["tiles"], results["protocol"]["radius_um"]) == (3, 3.0)
    scores = evaluate(TILES, {"planted": FOUND}, radius_um=4.0)["routes"]["planted"]
    assert (scores["precision"], scores["recall"]) == (0.6, 0.75)
    with pytest.raises(ValueError, match="expected at least one annotated tile, found none"):
        evaluate([], {})
    with pytest.raises(ValueError, match="argument"):
        evaluate(TILES, {"planted": FOUND[:2]})


def test_undefined_numbers_are_null_and_points_beyond_the_border_have_its_stain():
    results = evaluate([sample([])], {"none": [at()]}, details=True, classes=CLASSES)
    scores = json.loads(json.dumps(results, allow_nan=False))["routes"]["none"]
    assert [scores[key] for key in ("precision", "recall", "f1", "loc_error_um")] == [None] * 4
    assert scores["f1_ci95"] == scores["recall_by_class"]["stroma"].get("f1_ci95", [None, None])
    assert (scores["count_bias"], scores["n_true"], scores["n_pred"]) == (0.0, 0, 0)
    missed = evaluate([sample([(1, 1)])], {"none": [at()]})["routes"]["none"]
    assert (missed["f1"], missed["f1_ci95"], missed["loc_error_um"], missed["count_bias"]) == (0, [0, 0], None, -1)
    image = np.full((20, 20, 3), BROWN, np.uint8)
    assert is_brown(Patch(image, 0.5), np.array([[-3, 5], [19, 30]])).all()
    assert is_brown(Patch(image, 0.5), np.zeros((0, 2))).shape == (0,)


def test_blocks_widen_the_interval_and_are_ten_neighbours_of_one_run():
    tiles = [(9, 1, 1)] * 10 + [(1, 9, 9)] * 10
    low, high = interval(tiles)
    assert low < 0.5 < high
    blocks = ["good"] * 10 + ["bad"] * 10
    blocked = interval(tiles, blocks)
    assert np.diff(blocked) > 2 * (high - low)
    assert interval(tiles[::-1], blocks[::-1]) == blocked, "the order of tiles does not matter"
    single = interval([(3, 1, 0)])
    assert single == pytest.approx([6 / 7, 6 / 7], abs=1e-5)
    ids = [*range(1, 13), *range(500, 503)]
    assert tile_blocks(ids) == ["0.0"] * 10 + ["0.1"] * 2 + ["1.0"] * 3
    assert tile_blocks([500, 1, 500]) == ["1.0", "0.0", "1.0"], "a tile with two annotators stays in one block"
    assert tile_blocks([]) == []


POINTS = [(20, 20), (60, 60), (100, 100), (150, 150)]
DETAILED = [
    sample(POINTS, name="1", colours=[BROWN, BROWN, BLUE, BLUE], types=[0, 1, 0, 1]),
    sample(POINTS[:2], name="2", colours=[BLUE, BROWN], types=[1, 1]),
]


def test_every_detail_is_the_one_counted_by_hand():
    shifted = [at(*np.add(each.xy, (7, 0))) for each in DETAILED]  # 3.5 microns
    predicted = {"log": [at(*POINTS[:2], (190, 10)), at()], "perfect": [at(*POINTS), at(*POINTS[:2])]}
    found = evaluate(DETAILED, predicted | {"shifted": shifted}, blocks=["a", "b"], details=True, classes=CLASSES)
    log, perfect, shifted = found["routes"].values()
    assert log["f1"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 4), abs=1e-5)
    assert log["recall_by_stain"] == {"brown": {"recall": 0.666667, "n": 3}, "blue": {"recall": 0, "n": 3}}
    assert log["recall_by_class"]["stroma"] == {"recall": 0.5, "n": 2}
    assert log["recall_by_class"]["epithelium"] == {"recall": 0.25, "n": 4}
    assert log["tiles"] == {"1": [2, 1, 2], "2": [0, 0, 2]}
    low, mean, high = log["count_limits"]
    assert (mean, low + high) == (-1.5, pytest.approx(2 * mean, abs=1e-4))
    assert high - mean == pytest.approx(1.96 * np.std([-1, -2], ddof=1), abs=1e-4)
    assert perfect["difference"]["log"]["f1"] == pytest.approx(1 - 4 / 9, abs=1e-5)
    assert perfect["difference"]["log"]["ci95"][0] > 0
    assert (log["difference"], perfect["average_precision"], perfect["f1_then_threshold"]) == ({}, 1, 1)
    assert log["average_precision"] == pytest.approx(2 / 6, abs=1e-5)
    assert shifted["average_precision"] == 1, "the similarity at 3.5 microns is just above a half"
