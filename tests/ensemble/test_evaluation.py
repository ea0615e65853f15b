"""Scores against counts done by hand, and an interval that knows its blocks."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histolib.data import EndoNuke, KeypointSample
from histolib.ensemble import Nuclei, TileCounts, bootstrap_f1, count_tile, evaluate, evaluate_found, summarise
from histolib.imaging import Patch


def sample(points: list, size: int = 200, mpp: float = 0.5) -> KeypointSample:
    xy = np.array(points, float).reshape(-1, 2)
    patch = Patch(np.zeros((size, size, 3), np.uint8), mpp, "t")
    return KeypointSample(patch, xy, np.zeros(len(xy), int), "ann", ())


def found(points: list) -> Nuclei:
    xy = np.array(points, float).reshape(-1, 2)
    return Nuclei(xy, np.ones(len(xy)))


def test_a_tile_is_counted_in_microns_not_in_pixels():
    truth, prediction = [(10, 10), (50, 50)], [(16, 10), (50, 57)]
    coarse = count_tile(found(prediction), sample(truth, mpp=0.5), 3.0, "b")
    fine = count_tile(found(prediction), sample(truth, mpp=0.25), 3.0, "b")
    assert coarse == TileCounts("b", 1, 1, 1, 3.0)
    assert fine == TileCounts("b", 2, 0, 0, 1.5 + 1.75)


@pytest.mark.parametrize(
    ("prediction", "truth", "expected"),
    [([], [], (0, 0, 0)), ([], [(1, 1)], (0, 0, 1)), ([(1, 1)], [], (0, 1, 0)), ([(1, 1)], [(1, 1)], (1, 0, 0))],
)
def test_empty_and_single_tiles_are_counted(prediction, truth, expected):
    counts = count_tile(found(prediction), sample(truth), 3.0)
    assert (counts.tp, counts.fp, counts.fn) == expected


def test_scores_are_those_of_the_hand_computed_case(endonuke, planted):
    from histolib.ensemble import ROUTES

    results = evaluate(EndoNuke(endonuke), {"planted": ROUTES["planted"]})
    scores = results["routes"]["planted"]
    interval = scores.pop("f1_ci95")
    assert scores == {
        "precision": 0.4,  # 2 of 5
        "recall": 0.5,  # 2 of 4
        "f1": 0.4444,
        "loc_error_um": 1.125,  # (1 + 1.25) / 2
        "count_bias": 0.3333,  # (-1 + 1 + 1) / 3
        "n_true": 4,
        "n_pred": 5,
    }
    assert interval[0] < 0.4444 < interval[1]
    assert results["protocol"]["tiles"] == 3
    assert results["protocol"]["radius_um"] == 3.0


def test_what_was_found_before_is_scored_as_what_is_found_now(endonuke, planted):
    from histolib.ensemble import ROUTES

    tiles, blocks = EndoNuke(endonuke), ["a", "a", "b"]
    before = {"planted": [ROUTES["planted"](tile.patch) for tile in tiles]}
    now = evaluate(tiles, {"planted": ROUTES["planted"]}, blocks=blocks)
    assert evaluate_found(tiles, before, blocks=blocks) == now
    with pytest.raises(ValueError, match="longer than argument"):
        evaluate_found(tiles, {"planted": before["planted"][:2]}, blocks=blocks)
    with pytest.raises(ValueError, match="at least one annotated tile"):
        evaluate_found([], {})


def test_a_larger_radius_finds_more(endonuke, planted):
    from histolib.ensemble import ROUTES

    scores = evaluate(EndoNuke(endonuke), {"planted": ROUTES["planted"]}, radius_um=4.0)["routes"]["planted"]
    assert (scores["precision"], scores["recall"]) == (0.6, 0.75)


def test_no_tile_is_an_error():
    with pytest.raises(ValueError, match="expected at least one annotated tile, found none"):
        evaluate([], {})


def test_blocks_are_one_for_each_tile():
    with pytest.raises(ValueError, match="shorter"):
        evaluate([sample([]), sample([])], {}, blocks=["a"])


def test_numbers_that_do_not_exist_are_null_in_valid_json():
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    results = evaluate([sample([])], {"none": lambda patch: found([])})
    scores = json.loads(json.dumps(results), parse_constant=refuse)["routes"]["none"]
    assert [scores[key] for key in ("precision", "recall", "f1", "loc_error_um")] == [None] * 4
    assert scores["f1_ci95"] == [None, None]
    assert (scores["count_bias"], scores["n_true"], scores["n_pred"]) == (0.0, 0, 0)

    missed = evaluate([sample([(1, 1)])], {"none": lambda patch: found([])})["routes"]["none"]
    assert (missed["f1"], missed["f1_ci95"], missed["loc_error_um"], missed["count_bias"]) == (
        0.0,
        [0.0, 0.0],
        None,
        -1,
    )


counts = st.builds(
    TileCounts,
    block=st.sampled_from("abcd"),
    tp=st.integers(0, 30),
    fp=st.integers(0, 9),
    fn=st.integers(0, 9),
    distance_um=st.just(0.0),
)


@given(st.lists(counts, min_size=1, max_size=12), st.randoms())
def test_the_interval_is_deterministic_and_blind_to_the_order_of_tiles(tiles, random):
    low, high = bootstrap_f1(tiles, 3)
    shuffled = random.sample(tiles, len(tiles))
    np.testing.assert_equal(bootstrap_f1(shuffled, 3), (low, high))
    assert np.isnan([low, high]).all() or 0 <= low <= high <= 1


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_holds_the_estimate(seed):
    rng = np.random.default_rng(seed)
    tiles = [TileCounts(str(i // 5), *rng.poisson((60, 15, 15)).tolist(), 0.0) for i in range(100)]
    low, high = summarise(tiles)["f1_ci95"]
    assert low < summarise(tiles)["f1"] < high
    assert high - low < 0.05


def test_tiles_of_one_block_move_together():
    rng = np.random.default_rng(0)
    draws = rng.poisson((60, 15, 15), (40, 3)).tolist()
    widths = []
    for size in (1, 8, 40):
        low, high = bootstrap_f1([TileCounts(str(i // size), *each, 0.0) for i, each in enumerate(draws)])
        widths.append(high - low)
    assert widths[2] == 0.0, "one block alone tells nothing of the spread"
    assert widths[0] > 0

    alike = [TileCounts("good" if i < 20 else "bad", *((9, 1, 1) if i < 20 else (1, 9, 9)), 0.0) for i in range(40)]
    apart = [TileCounts(str(i), tile.tp, tile.fp, tile.fn, 0.0) for i, tile in enumerate(alike)]
    assert np.diff(bootstrap_f1(alike)) > 3 * np.diff(bootstrap_f1(apart)), "blocks that differ widen it"


def test_a_single_tile_and_thousands_are_scored():
    assert bootstrap_f1([TileCounts("a", 3, 1, 0, 0.0)]) == pytest.approx((6 / 7, 6 / 7))
    many = [TileCounts(str(i), 5, 1, 1, 2.5) for i in range(5000)]
    scores = summarise(many)
    assert (scores["f1"], scores["n_true"], scores["loc_error_um"]) == (0.8333, 30_000, 0.5)
    assert scores["f1_ci95"] == [0.8333, 0.8333]


def test_samples_are_read_once_for_all_routes_and_progress_sees_each():
    seen, shown = [], []

    def progress(samples):
        for each in samples:
            shown.append(each)
            yield each

    def route(patch):
        seen.append(patch)
        return found([])

    evaluate([sample([]), sample([])], {"a": route, "b": route}, progress=progress)
    assert (len(seen), len(shown)) == (4, 2)
    assert seen[0] is seen[1]
