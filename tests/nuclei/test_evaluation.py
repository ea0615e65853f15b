import json

import numpy as np
import pytest

from histolib.data.samples import InstanceSample
from histolib.imaging import Patch
from histolib.io import Provenance
from histolib.metrics import match_points
from histolib.nuclei import evaluate_nuclei, find_nuclei
from histolib.nuclei.evaluation import choose_thresholds
from histolib.nuclei.postprocess import published_thresholds

TYPES = ["round", "odd"]


@pytest.fixture
def tile(discs):
    ids = discs((96, 96), (20, 20, 9), (60, 30, 10), (40, 70, 8))
    patch = Patch(np.zeros((96, 96, 3), np.uint8), 0.25, "tile")
    return InstanceSample(patch, ids, np.array([1, 2, 1]), "Colon", "new")


def test_true_maps_score_one_and_errors_have_known_scores(tile, oracle):
    result = evaluate_nuclei(oracle(tile.instances, types=tile.types), iter([tile, tile]), types=TYPES)
    assert set(result["segmentation"]) == {"dice", "aji", "dq", "sq", "pq"}
    assert set(result["segmentation"].values()) == {1.0}
    perfect = {"precision": 1, "recall": 1, "f1": 1, "f1_ci95": [1, 1], "n_true": 6, "n_pred": 6}
    assert result["detection"] == result["detection_assign_then_threshold"] == perfect
    assert (result["pannuke"]["mpq"], result["pannuke"]["bpq"]) == pytest.approx((1, 1))
    scores = dict.fromkeys(("weighted_f1", "plain_f1", "equation_f1"), 1.0)
    assert result["types"]["odd"] == {**scores, "n_true": 2, "n_pred": 2}
    json.dumps(result, allow_nan=False)
    result = evaluate_nuclei(oracle(tile.instances, types=[1, 1, 1]), [tile], types=TYPES)
    assert (result["detection"]["f1"], result["types"]["odd"]["weighted_f1"]) == (1, 0)
    assert result["types"]["round"]["plain_f1"] == pytest.approx(2 * 2 / (2 * 2 + 1))
    assert result["types"]["round"]["weighted_f1"] == pytest.approx(2 * 2 / (2 * 2 + 2))
    assert result["pannuke"]["mpq"] < result["pannuke"]["bpq"] == 1
    net = oracle(tile.instances[::2, ::2], types=tile.types, mpp=0.5)
    result = evaluate_nuclei(net, [tile], types=TYPES)
    assert result["detection"]["f1"] == 1
    assert result["segmentation"]["pq"] > 0.8
    assert result["protocol"]["thresholds"] == published_thresholds(0.5)
    empty = InstanceSample(tile.patch, np.zeros((96, 96), np.int32), np.zeros(0, int), "Skin", "new")
    result = evaluate_nuclei(oracle(empty.instances), [empty], types=TYPES)
    assert (result["detection"]["f1"], result["segmentation"]["pq"]) == (None, None)
    with pytest.raises(ValueError, match="expected at least one sample, found none"):
        evaluate_nuclei(oracle(empty.instances), [])


def test_groups_seen_in_training_are_reported_as_leaked_and_other_type_names_are_not_scored(tile, oracle, narrow):
    net = oracle(tile.instances, types=tile.types)
    for seen, leaked in ((("new", "x"), ["new"]), (("x",), []), (None, None)):
        net.provenance = Provenance("discs", seen)
        protocol = evaluate_nuclei(net, [tile], types=TYPES)["protocol"]
        assert (protocol["leaked"], protocol["trained_on"]) == (leaked, "discs")
    for other in (net, narrow("fast", None)):
        result = evaluate_nuclei(other, [tile], types=["a", "b", "c"])
        assert result["types"] == {}
        json.dumps(result, allow_nan=False)


def test_chosen_thresholds_detect_more_than_the_published_ones_which_equal_choices_keep(discs, sample, oracle, narrow):
    rng = np.random.default_rng(0)
    tile = sample(discs((92, 92), *((x, y, 4) for x, y in rng.uniform(8, 80, (40, 2)))), 0.25)
    net = oracle(tile.instances, noise=0.2)

    def hits():
        xy = find_nuclei(tile.patch, net)[["x", "y"]].to_numpy()
        return len(match_points(xy * 0.25, tile.xy * 0.25, 0.5).pred)

    published = hits()
    net.thresholds = choose_thresholds(net, [tile], radius_um=0.5)
    assert hits() > published > 0
    assert {name: net.thresholds[name] for name in ("sobel_px", "min_area_px")} == {"sobel_px": 21, "min_area_px": 10}
    empty = [sample(np.zeros((40, 40), np.int32), 0.25)] * 3
    assert choose_thresholds(narrow(mpp=0.25), empty) == published_thresholds(0.25) | {"edge_threshold": 0.4}
