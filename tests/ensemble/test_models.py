"""Lookup of weights by role, loading once, and messages about missing weights."""

import pytest

from histolib.ensemble import ROUTES, Fusion, Models
from histolib.ensemble.models import PRETRAINED, pretrained_models
from histolib.io import Provenance, file_digest
from histolib.nuclei import HoVerNet
from histolib.translation import Generator


def test_weights_are_found_in_the_folder_or_one_below_in_order(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (
        first / "hovernet/hovernet.safetensors",
        second / "hovernet.safetensors",
        second / "ihc_to_he.safetensors",
        first / "a/b/ihc_reference.safetensors",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    models = Models(first, second)
    assert models.path("hovernet") == first / "hovernet/hovernet.safetensors"
    assert models.path("ihc_to_he") == second / "ihc_to_he.safetensors"
    missing = models.missing(["hovernet", "he_reference", "ihc_reference"])
    assert missing == ["he_reference.safetensors", "ihc_reference.safetensors"], "two levels below is another run"
    assert models.missing([]) == []


@pytest.mark.parametrize("role", ["synthetic", "selftrained", "supervised"])
def test_a_network_for_ihc_is_not_taken_for_the_one_for_he(tmp_path, role):
    path = tmp_path / role / "hovernet.safetensors"
    path.parent.mkdir()
    path.touch()
    assert Models(tmp_path).path(role) == path
    assert Models(tmp_path).missing(["hovernet"]) == ["hovernet.safetensors"]


def test_a_folder_with_the_name_of_a_file_does_not_count(tmp_path):
    (tmp_path / "hovernet.safetensors").mkdir()
    assert Models(tmp_path).missing(["hovernet"])


def test_the_default_are_the_pretrained_weights_read_once_per_process():
    assert Models().folders == (PRETRAINED,)
    models = pretrained_models()
    assert models is pretrained_models()
    assert models.load("hovernet") is pretrained_models().load("hovernet")


@pytest.mark.parametrize("role", ["hovernet", "ihc_to_he", "he_reference", "ihc_reference"])
def test_missing_weights_say_how_to_get_them(tmp_path, role):
    with pytest.raises(FileNotFoundError, match=rf"{role}\.safetensors in .*histolib run --only 02,03.*--weights"):
        Models(tmp_path).load(role)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone: expected a folder of weights, found nothing"):
        Models(tmp_path, tmp_path / "gone")


def test_damaged_weights_are_named(tmp_path):
    (tmp_path / "hovernet.safetensors").write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"hovernet\.safetensors"):
        Models(tmp_path).load("hovernet")


def test_weights_are_described_by_digest_and_training_data(tmp_path):
    net = HoVerNet("fast", None, 1 / 16)
    net.mpp, net.provenance = 0.5, Provenance("discs", ("a",))
    net.save(tmp_path / "hovernet.safetensors")
    Fusion({"log": 1.0}, 0.5).save(tmp_path / "fusion.json")
    described = Models(tmp_path).describe(["hovernet", "fusion"])
    digest = file_digest(tmp_path / "hovernet.safetensors")
    assert described["hovernet"] == {"digest": digest, "trained_on": "discs"}
    assert described["fusion"] == {"digest": file_digest(tmp_path / "fusion.json")}
    assert str(tmp_path) not in str(described)


def test_a_loaded_network_is_ready_for_inference(tmp_path):
    generator = Generator(4, 1)
    generator.mpp, generator.direction = 0.5, "ihc_to_he"
    generator.save(tmp_path / "ihc_to_he.safetensors")
    loaded = Models(tmp_path).load("ihc_to_he")
    assert (loaded.mpp, loaded.training) == (0.5, False)


def test_every_route_without_ihc_labels_has_its_pretrained_weights():
    assert [name for name, route in ROUTES.items() if Models().missing(route.needs)] == ["supervised"]
