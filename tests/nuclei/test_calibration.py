import numpy as np

from histolib.data import InstanceSample
from histolib.imaging import Patch
from histolib.metrics import match_points
from histolib.nuclei import (
    choose_thresholds,
    describe_instances,
    hover_targets,
    orientations,
    postprocess,
    published_thresholds,
)


def samples(maps):
    return [
        InstanceSample(Patch(np.zeros((*m.shape, 3), np.uint8), 0.25), m, np.ones(m.max(), np.int64), "", "")
        for m in maps
    ]


def test_of_equal_thresholds_the_published_ones_win(narrow):
    empty = samples([np.zeros((40, 40), np.int32)] * 3)
    assert choose_thresholds(narrow(), empty, 0.25) == published_thresholds(0.25) | {"edge_threshold": 0.4}


def test_the_chosen_thresholds_find_at_least_what_the_published_ones_find(discs, monkeypatch):
    rng = np.random.default_rng(0)
    truth = [discs((60, 60), *((x, y, 4) for x, y in rng.uniform(4, 56, (20, 2)))) for _ in range(3)]
    truth = [np.unique(m, return_inverse=True)[1].reshape(m.shape).astype(np.int32) for m in truth]
    maps = [
        {"np": (m > 0).astype(np.float32), "hv": hover_targets(m) + rng.normal(0, 0.2, (60, 60, 2)).astype(np.float32)}
        for m in truth
    ]
    queue = iter(maps)
    monkeypatch.setattr(orientations, "predict_maps", lambda net, image: next(queue))
    chosen = choose_thresholds(None, samples(truth), 0.25, radius_um=0.5)

    def hits(thresholds):
        total = 0
        for sample, found in zip(samples(truth), maps, strict=True):
            table = describe_instances(postprocess(found["np"], found["hv"], **thresholds))
            total += len(match_points(table[["x", "y"]].to_numpy() * 0.25, sample.xy * 0.25, 0.5).pred)
        return total

    assert hits(chosen) > hits(published_thresholds(0.25)) > 0
    assert {name: chosen[name] for name in ("sobel_px", "min_area_px")} == {"sobel_px": 21, "min_area_px": 10}
