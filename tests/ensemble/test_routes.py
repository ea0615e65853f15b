"""Every route from a patch to its nuclei: what it needs, what it refuses, and that `log` finds planted discs."""

import numpy as np
import pandas as pd
import pytest

from histolib.ensemble import HE_REFERENCE, HOVERNET, IHC_TO_HE, ROUTES, Models, Nuclei, routes
from histolib.imaging import Patch, rgb_from_density

NETWORK_ROUTES = [name for name in ROUTES if name != "log"]


def discs(centres: list[tuple[int, int]], size: int = 200, mpp: float = 0.5) -> Patch:
    """Dark discs of 3 microns radius on glass."""
    y, x = np.mgrid[:size, :size]
    density = np.zeros((size, size, 3))
    for at in centres:
        density[np.hypot(x - at[0], y - at[1]) * mpp <= 3] = (0.3, 0.4, 0.5)
    return Patch(rgb_from_density(density), mpp, "discs")


def test_the_routes_are_those_of_the_course_in_order():
    after = ["direct", "od", "hed", "reinhard", "macenko", "cyclegan"]
    assert list(ROUTES) == ["log", *after, "synthetic", "selftrained", "ensemble", "supervised"]
    assert ROUTES["log"].needs == ()
    assert all(HOVERNET in ROUTES[name].needs for name in after)
    assert ROUTES["cyclegan"].needs == (HOVERNET, IHC_TO_HE)
    assert all(HE_REFERENCE in ROUTES[name].needs for name in ("od", "hed", "reinhard", "macenko"))
    assert all(route.about for route in ROUTES.values())


@pytest.mark.parametrize("mpp", [0.25, 0.5, 1.0])
def test_log_finds_planted_discs_at_any_scale(mpp):
    centres = [(40, 50), (120, 60), (90, 150)]
    found = ROUTES["log"](discs(centres, mpp=mpp))
    order = np.argsort(found.xy[:, 1])
    np.testing.assert_allclose(found.xy[order], centres, atol=1.0)
    assert isinstance(found, Nuclei)
    assert (found.type, found.area_um2, found.contours) == (None, None, None)


@pytest.mark.parametrize("marker", ["nuclear", "membrane", "cytoplasm"])
def test_log_finds_nothing_on_glass(marker):
    assert len(ROUTES["log"](discs([]), marker)) == 0


@pytest.mark.parametrize("name", list(ROUTES))
@pytest.mark.parametrize("shape", [(1, 1), (7, 200), (200, 7)])
def test_a_patch_smaller_than_a_nucleus_is_refused_by_every_route(name, shape):
    patch = Patch(np.zeros((*shape, 3), np.uint8), 1.0, "tiny")
    with pytest.raises(ValueError, match=rf"tiny: expected at least 8 px .* found {shape[1]} x {shape[0]} px"):
        ROUTES[name](patch)
    with pytest.raises(ValueError, match="4 microns a side"):
        ROUTES[name](Patch(np.zeros((20, 20, 3), np.uint8), 0.1, "fine"))


@pytest.mark.parametrize("name", list(ROUTES))
def test_an_unknown_marker_is_refused(name):
    with pytest.raises(ValueError, match="marker: expected one of nuclear, membrane, cytoplasm, found 'brown'"):
        ROUTES[name](discs([]), "brown")


@pytest.mark.parametrize("name", NETWORK_ROUTES)
def test_a_route_without_its_weights_says_how_to_get_them(name, tmp_path):
    with pytest.raises(FileNotFoundError, match="histolib run --only 02,03"):
        ROUTES[name](discs([(50, 50)]), "nuclear", Models(tmp_path))


def test_the_nuclei_of_the_network_keep_place_type_area_and_outline(monkeypatch):
    contour = np.array([[1.0, 1.0], [3.0, 1.0], [2.0, 4.0]])
    table = pd.DataFrame(
        {"x": [2.0, 9.0], "y": [2.5, 8.0], "score": [0.9, 0.4], "type": [2, 0], "area_um2": [9.0, 4.0]}
        | {"contour": [contour, contour + 7]}
    )
    asked = []
    monkeypatch.setattr(routes, "find_nuclei", lambda *asking, **how: asked.append((*asking, *how.values())) or table)
    models = Models()
    models.__dict__["hovernet"] = (
        "net",
        {"mpp": 0.25, "types": ["neoplastic", "inflammatory"], "thresholds": {"sobel_px": 5}},
    )
    patch = discs([])
    found = ROUTES["direct"](patch, "nuclear", models)
    assert asked == [(patch, "net", 0.25, {"sobel_px": 5})]
    assert found.xy.tolist() == [[2.0, 2.5], [9.0, 8.0]]
    assert found.type.tolist() == ["inflammatory", "unknown"]
    assert (found.score.tolist(), found.area_um2.tolist()) == ([0.9, 0.4], [9.0, 4.0])
    np.testing.assert_array_equal(found.contours[1], contour + 7)

    empty = table.iloc[:0].drop(columns="type")
    monkeypatch.setattr(routes, "find_nuclei", lambda patch, net, mpp, thresholds: empty)
    found = ROUTES["direct"](patch, "nuclear", models)
    assert (len(found), found.type, found.contours) == (0, None, ())
    assert found.xy.shape == (0, 2)
