import pytest

from histolib.ensemble import HOVERNET, IHC_TO_HE, Fusion, Models
from histolib.ensemble.leaks import leaked_tiles
from histolib.nuclei import HoVerNet, save_hovernet
from histolib.translation import Generator, save_generator


@pytest.fixture
def models(tmp_path):
    save_hovernet(tmp_path / HOVERNET, HoVerNet("fast", None, 1 / 16), {"mpp": 0.5, "types": [], "groups": ["train_1"]})
    generator = Generator(4, 1)
    generator.mpp = 0.5
    save_generator(tmp_path / IHC_TO_HE, generator, {"groups": {"ihc": ["10-20"], "he": ["train_1"]}})
    Fusion({"log": 1.0, "cyclegan": 1.0}, 0.5).save(tmp_path / "fusion.json")
    return Models(tmp_path)


def test_a_route_is_told_by_what_its_networks_saw(models):
    assert leaked_tiles(models, ["log", "direct", "cyclegan"], [5, 10, 15, 15, 21]) == {"cyclegan": ["10", "15"]}


def test_a_fusion_saw_what_its_members_saw(models):
    assert leaked_tiles(models, ["ensemble"], [20]) == {"ensemble": ["20"]}


def test_no_tiles_and_no_routes_leak_nothing(models):
    assert leaked_tiles(models, ["cyclegan"], []) == {}
    assert leaked_tiles(models, [], [10]) == {}
