"""Lookup of weights by role, loading once, and messages about missing weights."""

import pytest

from histolib.ensemble import ROUTES, Fusion, Models
from histolib.ensemble.models import PRETRAINED, pretrained_models
from histolib.io import Provenance, file_digest
from histolib.nuclei import HoVerNet


def test_weights_are_found_in_the_folder_or_one_below_in_order(tmp_path):
    first, second, ihc = (tmp_path / name for name in ("first", "second", "ihc"))
    files = ["first/hovernet/hovernet", "second/hovernet", "second/ihc_to_he", "first/a/b/ihc_reference"]
    files += [f"ihc/{role}/hovernet" for role in ("synthetic", "selftrained", "supervised")]
    for path in (tmp_path / f"{name}.safetensors" for name in files):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (first / "he_reference.safetensors").mkdir()
    models = Models(first, second)
    assert models.path("hovernet") == first / "hovernet/hovernet.safetensors"
    assert models.path("ihc_to_he") == second / "ihc_to_he.safetensors"
    missing = models.missing(["hovernet", "he_reference", "ihc_reference"])
    assert missing == ["he_reference.safetensors", "ihc_reference.safetensors"], "two levels below is another run"
    assert models.missing([]) == []
    for role in ("synthetic", "selftrained", "supervised"):
        assert Models(ihc).path(role) == ihc / role / "hovernet.safetensors"
    assert Models(ihc).missing(["hovernet"]) == ["hovernet.safetensors"], "they are for IHC"


def test_the_default_are_the_pretrained_weights_read_once_per_process():
    assert Models().folders == (PRETRAINED,)
    models = pretrained_models()
    assert models is pretrained_models()
    assert models.load("hovernet") is pretrained_models().load("hovernet")
    assert [name for name, route in ROUTES.items() if models.missing(route.needs)] == ["supervised"]


def test_missing_weights_say_how_to_get_them_and_missing_folders_and_damaged_weights_are_named(tmp_path):
    for role in ("hovernet", "ihc_to_he", "he_reference", "ihc_reference"):
        with pytest.raises(FileNotFoundError, match=rf"{role}\.safetensors in .*histolib run --only 02,03.*--weights"):
            Models(tmp_path).load(role)
    with pytest.raises(FileNotFoundError, match="gone: expected a folder of weights, found nothing"):
        Models(tmp_path, tmp_path / "gone")
    (tmp_path / "hovernet.safetensors").write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"hovernet\.safetensors"):
        Models(tmp_path).load("hovernet")


def test_weights_are_loaded_for_inference_and_described_by_digest_and_training_data(tmp_path):
    net = HoVerNet("fast", None, 1 / 16)
    net.mpp, net.provenance = 0.5, Provenance("discs", ("a",))
    net.save(tmp_path / "hovernet.safetensors")
    Fusion({"log": 1.0}, 0.5).save(tmp_path / "fusion.json")
    models = Models(tmp_path)
    loaded = models.load("hovernet")
    assert (loaded.mpp, loaded.training) == (0.5, False)
    described = models.describe(["hovernet", "fusion"])
    digest = file_digest(tmp_path / "hovernet.safetensors")
    assert described["hovernet"] == {"digest": digest, "trained_on": "discs"}
    assert described["fusion"] == {"digest": file_digest(tmp_path / "fusion.json")}
    assert str(tmp_path) not in str(described)
