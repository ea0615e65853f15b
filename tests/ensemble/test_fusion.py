import numpy as np
import pytest

from histolib.ensemble import Fusion, Nuclei
from histolib.ensemble.fusion import choose_fusion


def at(*xy, score=0.9, **more):
    return Nuclei(np.array(xy, float).reshape(-1, 2), np.full(len(xy), score), **more)


def test_what_both_see_is_one_nucleus_whatever_the_order():
    merged = Fusion({"a": 1, "b": 1}, threshold=0.5)({"a": at((10, 10)), "b": at((14, 10))}, mpp=0.5)
    assert (merged.xy.tolist(), merged.score) == ([[12, 10]], pytest.approx([0.9]))
    rng = np.random.default_rng(0)
    found = {name: Nuclei(rng.uniform(0, 100, (40, 2)), rng.uniform(0.5, 1, 40)) for name in "abc"}
    one = Fusion({"a": 1, "b": 1, "c": 1}, 0.4)(found, 0.5)
    other = Fusion({"c": 1, "a": 1, "b": 1}, 0.4)(found, 0.5)
    order = [np.lexsort(merged.xy.T) for merged in (one, other)]
    assert np.allclose(one.xy[order[0]], other.xy[order[1]])


def test_threshold_scale_and_route_decide_what_is_merged_and_outlines_are_kept():
    def count(a, b, threshold=0.0, mpp=0.5):
        return len(Fusion({"a": 1, "b": 1}, threshold)({"a": at(*a), "b": at(*b)}, mpp))

    apart = [(10, 10)], [(50, 50)]
    assert [count(*apart, threshold=0.5), count(*apart, threshold=0.4)] == [0, 2]
    found = {"a": at((10, 10)), "b": at((50, 50))}
    assert Fusion({"a": 3, "b": 1}, threshold=0.5)(found, 0.5).xy.tolist() == [[10, 10]]
    near = [(10, 10)], [(18, 10)]
    assert [count(*near, mpp=0.25), count(*near, mpp=0.5)] == [1, 2], "in microns and not in pixels"
    assert count([(10, 10), (13, 10)], [(11, 10)]) == 2, "two nuclei of one route are never merged"
    assert count([], []) == count([], [(3, 4)], 0.6) == 0
    ring = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0]])
    outlined = at((2, 2), score=0.5, area_um2=np.array([8.0]), contours=(ring,), type=np.array(["round"], object))
    merged = Fusion({"log": 1, "b": 1}, 0.0)({"log": at((2, 2), (60, 60), score=5.0), "b": outlined}, 0.5)
    near = int(np.argmin(merged.xy[:, 0]))
    assert (merged.area_um2[near], merged.type[near], merged.contours[near] is ring) == (8.0, "round", True)
    assert (np.isnan(merged.area_um2[1 - near]), len(merged.contours[1 - near])) == (True, 0)


def test_the_best_weights_are_chosen_and_survive_a_file(tmp_path):
    rng = np.random.default_rng(1)
    truth = [rng.uniform(0, 400, (30, 2)) for _ in range(4)]
    good = [{"good": at(*xy), "noise": at(*rng.uniform(0, 400, (60, 2)))} for xy in truth]
    fusion = choose_fusion(good, truth, [0.25] * 4, ["noise", "good"], chosen_on="here")
    assert dict(fusion.weights) == {"good": 1.0}
    path = tmp_path / "fusion.json"
    fusion.save(path)
    assert Fusion.load(path) == fusion
    path.write_text('{"votes": 3}')
    with pytest.raises(ValueError, match="expected a fusion"):
        Fusion.load(path)
    rng = np.random.default_rng(2)
    found, truth = [], []
    for _ in range(4):
        xy = np.stack(np.meshgrid(np.arange(10.0), np.arange(5.0)), -1).reshape(-1, 2) * 40 + 20
        noise = [rng.uniform(0, 400, (25, 2)) for _ in range(2)]
        found.append({n: at(*np.concatenate([xy, wrong])) for n, wrong in zip("ab", noise, strict=True)})
        truth.append(xy)
    assert dict(choose_fusion(found, truth, [0.5] * 4, ["a", "b"]).weights) == {"a": 1.0, "b": 1.0}
