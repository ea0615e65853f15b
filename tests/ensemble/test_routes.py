"""Every route: what it needs, what it refuses, what it returns, and which leaks it reports."""

import numpy as np
import pytest

from histolib.data import phantom
from histolib.ensemble import ROUTES, Fusion, Models
from histolib.ensemble.routes import leaks_of, roles_of
from histolib.imaging import MARKERS, Patch
from histolib.nuclei import HoVerNet, detect_log, find_nuclei

GLASS = Patch(np.full((60, 60, 3), 245, np.uint8), 0.5, "glass")


@pytest.fixture(scope="module")
def patch() -> Patch:
    return phantom.draw(0, 200, 0.5, slide=3).ihc


@pytest.fixture
def models(weights, tmp_path) -> Models:
    """The weights, and a fusion of `log` and `cyclegan`."""
    Fusion({"log": 1.0, "cyclegan": 1.0}, 0.5).save(tmp_path / "fusion.json")
    return Models(tmp_path, weights)


@pytest.mark.parametrize("marker", MARKERS)
def test_log_finds_what_its_detector_finds_and_nothing_on_glass(marker, patch):
    found, (xy, score) = ROUTES["log"](patch, marker), detect_log(patch, marker=marker)
    np.testing.assert_array_equal(found.xy, xy)
    np.testing.assert_array_equal(found.score, score)
    assert len(found) > 10
    assert (found.type, found.area_um2, found.contours) == (None, None, None)
    assert not len(ROUTES["log"](GLASS, marker))


@pytest.mark.parametrize("name", list(ROUTES))
def test_a_patch_smaller_than_a_nucleus_and_an_unknown_marker_are_refused(name):
    for height, width in ((1, 1), (7, 200), (200, 7)):
        with pytest.raises(ValueError, match=rf"tiny: expected sides of at least 8 px .* found {width} x {height} px"):
            ROUTES[name](Patch(np.zeros((height, width, 3), np.uint8), 1.0, "tiny"))
    with pytest.raises(ValueError, match="4 microns"):
        ROUTES[name](Patch(np.zeros((20, 20, 3), np.uint8), 0.1, "fine"))
    with pytest.raises(ValueError, match="marker: expected one of nuclear, membrane, cytoplasm, found 'brown'"):
        ROUTES[name](GLASS, "brown")


def test_a_route_without_its_weights_says_how_to_get_them(tmp_path):
    for name in ROUTES.keys() - {"log", "watershed"}:
        with pytest.raises(FileNotFoundError, match="histolib run --only 02,03"):
            ROUTES[name](GLASS, "nuclear", Models(tmp_path))
    Fusion({"log": 1.0, "synthetic": 1.0}, 0.5).save(tmp_path / "fusion.json")
    with pytest.raises(FileNotFoundError, match="route synthetic, a member of ensemble: expected synthetic/hovernet"):
        ROUTES["ensemble"](GLASS, "nuclear", Models(tmp_path))


@pytest.mark.parametrize("name", ["direct", "od", "hed", "reinhard", "macenko", "cyclegan"])
def test_a_route_returns_what_the_network_finds_on_the_translation(name, models, patch):
    found = ROUTES[name](patch, "nuclear", models)
    assert found.xy.shape == (len(found), 2)
    assert len(found.score) == len(found.type) == len(found.area_um2) == len(found.contours) == len(found)
    assert set(found.type) <= {"unknown", "round", "odd"}
    if name == "direct":
        table = find_nuclei(patch, models.load("hovernet"))
        expected = table[["x", "y", "score", "area_um2"]].to_numpy().reshape(-1, 4)
        np.testing.assert_array_equal(np.column_stack([found.xy, found.score, found.area_um2]), expected)


def test_the_ensemble_fuses_its_members_and_leaks_are_what_a_network_saw(models, patch, tmp_path):
    members = {name: ROUTES[name](patch, "nuclear", models) for name in ("log", "cyclegan")}
    expected = models.load("fusion")(members, patch.mpp)
    np.testing.assert_array_equal(ROUTES["ensemble"](patch, "nuclear", models).xy, expected.xy)
    tiles = ["1", "3", "5"]
    assert leaks_of("log", models, tiles) == leaks_of("direct", models, tiles) == leaks_of("cyclegan", models, []) == []
    assert leaks_of("cyclegan", models, tiles) == ["1", "3"]
    assert leaks_of("ensemble", models, ["2"]) == ["2"], "a fusion has seen what its members saw"
    assert roles_of("ensemble", models) == {"fusion", "hovernet", "ihc_to_he"}
    HoVerNet("fast", None, 1 / 16).save(tmp_path / "unknown/hovernet.safetensors")
    assert leaks_of("direct", Models(tmp_path / "unknown"), ["1"]) is None
