"""A network that draws the truth must score 1, and a score on what the training saw must say so."""

import json

import numpy as np
import pytest
import torch

from histolib.data import InstanceSample
from histolib.imaging import Patch
from histolib.nuclei import evaluate_nuclei, hover_targets, orientations
from histolib.nuclei.commands import table

CARD = {"mpp": 0.25, "types": ["round", "odd"], "thresholds": None, "groups": ["seen"], "trained_on": "discs"}
TYPES = ["round", "odd"]


@pytest.fixture
def drawn(discs):
    ids = discs((96, 96), (20, 20, 9), (60, 30, 10), (40, 70, 8))
    patch = Patch(np.zeros((96, 96, 3), np.uint8), 0.25, "tile")
    return InstanceSample(patch, ids, np.array([1, 2, 1]), "Colon", "new")


@pytest.fixture
def truthful(monkeypatch):
    """Have the network draw given instances and types."""

    def say(instances, types):
        maps = {
            "np": (instances > 0).astype(np.float32),
            "hv": hover_targets(instances),
            "tp": np.concatenate([[0], types]).astype(np.uint8)[instances],
        }
        monkeypatch.setattr(orientations, "predict_maps", lambda *_, **__: maps)

    return say


def test_the_truth_scores_one_everywhere(drawn, truthful):
    truthful(drawn.instances, drawn.types)
    result = evaluate_nuclei(None, CARD, [drawn, drawn], types=TYPES)
    assert set(result["segmentation"].values()) == {1.0}
    for name in ("detection", "detection_assign_then_threshold"):
        assert result[name]["f1"] == 1
        assert result[name]["f1_ci95"] == [1, 1]
        assert result[name]["n_true"] == result[name]["n_pred"] == 6
    assert (result["pannuke"]["mpq"], result["pannuke"]["bpq"]) == pytest.approx((1, 1))
    assert result["pannuke"]["per_tissue"]["Colon"]["images"] == 2
    assert result["types"]["odd"] == {
        **dict.fromkeys(("weighted_f1", "plain_f1", "equation_f1"), 1.0),
        "n_true": 2,
        "n_pred": 2,
    }
    json.dumps(result, allow_nan=False)


def test_a_wrong_type_costs_the_type_and_not_the_detection(drawn, truthful):
    truthful(drawn.instances, np.array([1, 1, 1]))
    result = evaluate_nuclei(None, CARD, [drawn], types=TYPES)
    assert result["detection"]["f1"] == 1
    assert result["types"]["odd"]["weighted_f1"] == 0
    assert result["types"]["round"]["plain_f1"] == pytest.approx(2 * 2 / (2 * 2 + 1))
    assert result["types"]["round"]["weighted_f1"] == pytest.approx(2 * 2 / (2 * 2 + 2))
    assert result["pannuke"]["bpq"] == 1
    assert result["pannuke"]["mpq"] < 1


def test_a_network_of_half_the_scale_is_scored_at_the_scale_of_the_annotation(drawn, truthful):
    truthful(drawn.instances[::2, ::2], drawn.types)
    result = evaluate_nuclei(None, {**CARD, "mpp": 0.5}, [drawn], types=TYPES)
    assert result["detection"]["f1"] == 1
    assert result["segmentation"]["pq"] > 0.8


@pytest.mark.parametrize(
    ("seen", "leaked", "line"),
    [
        (["new", "x"], ["new"], "LEAKED: these weights were trained on or chosen by new"),
        (["x"], [], "detection"),
        (None, None, "The weights do not say"),
    ],
)
def test_a_leak_is_told_first(drawn, truthful, seen, leaked, line):
    truthful(drawn.instances, drawn.types)
    result = evaluate_nuclei(None, {**CARD, "groups": seen}, [drawn], types=TYPES)
    assert result["protocol"]["leaked"] == leaked
    assert table(result).startswith(line)


def test_types_of_other_names_are_not_compared(drawn, truthful):
    truthful(drawn.instances, drawn.types)
    result = evaluate_nuclei(None, CARD, [drawn], types=["a", "b", "c"])
    assert result["types"] == {}
    assert result["pannuke"]["bpq"] == 1


def test_tiles_without_nuclei_count_nowhere_and_do_not_break(drawn, truthful):
    empty = InstanceSample(drawn.patch, np.zeros((96, 96), np.int32), np.zeros(0, int), "Skin", "new")
    truthful(empty.instances, empty.types)
    result = evaluate_nuclei(None, CARD, [empty], types=TYPES)
    assert result["detection"]["f1"] is None
    assert result["segmentation"]["pq"] is None
    assert "-" in table(result)
    with pytest.raises(ValueError, match="at least one sample"):
        evaluate_nuclei(None, CARD, [])


def test_a_real_network_is_scored_without_a_type_decoder(drawn, narrow):
    result = evaluate_nuclei(narrow("fast", None), {**CARD, "types": []}, [drawn], types=TYPES)
    assert result["types"] == {}
    assert torch.is_inference_mode_enabled() is False
    json.dumps(result, allow_nan=False)
