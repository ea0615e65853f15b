"""`histolib evaluate` from a data set to a table and a JSON file: routes, translations and outlines."""

import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histolib.cli.main import main
from histolib.ensemble import ROUTES, Nuclei, Route
from histolib.io import file_digest
from histolib.nuclei import HoVerNet
from histolib.translation import TRANSLATIONS

# Tile -> its side in pixels (100 microns each), annotated points, and the points that the route `planted` finds.
TILES: dict[str, tuple[int, list, list]] = {
    "1": (200, [(10, 10), (50, 50), (100, 100)], [(12, 10), (50, 57)]),  # 1 micron off, 3.5 microns off
    "2": (200, [], [(5, 5)]),
    "3": (400, [(40, 40)], [(44, 43), (300, 300)]),  # 5 px are 1.25 microns here
}


def plant(xy: list) -> Nuclei:
    return Nuclei(np.array(xy, float).reshape(-1, 2), np.full(len(xy), 0.5))


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The route `planted` finds the third column of `TILES`."""
    route = Route("planted", lambda patch, marker, models: plant(TILES[patch.name][2]))
    monkeypatch.setitem(ROUTES, "planted", route)


@pytest.fixture
def endonuke(tmp_path: Path) -> Path:
    """`TILES` in EndoNuke's official layout."""
    images, labels = tmp_path / "set/dataset/images", tmp_path / "set/dataset/labels/bulk/ann"
    for folder in (images, labels):
        folder.mkdir(parents=True)
    for name, (size, points, _) in TILES.items():
        Image.new("RGB", (size, size), (230, 220, 225)).save(images / f"{name}.png")
        (labels / f"{name}.txt").write_text("".join(f"{x} {y} 0\n" for x, y in points))
    return tmp_path / "set"


def evaluate(*argv: object) -> int:
    return main(["evaluate", *map(str, argv)])


def on_endonuke(root: Path, *argv: object) -> int:
    return evaluate(root, "--dataset", "endonuke", *argv)


def read(path: Path) -> dict:
    return json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_scores_of_routes_are_written_with_their_protocol_split_and_radius(tmp_path, endonuke, planted, capsys):
    split, target = tmp_path / "split.json", tmp_path / "new" / "results.json"
    command = endonuke, "--routes", "planted", "--output", target
    assert on_endonuke(*command) == 0
    scores, protocol = (read(target)[key] for key in ("routes", "protocol"))
    assert scores["planted"]["f1_ci95"] == [scores["planted"]["f1"]] * 2, "three neighbours are one block"
    assert (protocol["radius_um"], protocol["tiles"], protocol["dataset"]) == (3.0, 3, "endonuke")
    assert (protocol["annotators"], protocol["marker"]) == (["ann"], "nuclear")
    out, err = capsys.readouterr()
    assert err == ""
    header, line = out.splitlines()
    assert header.split() == ["precision", "recall", "f1", "f1_ci95", "loc_error_um", "count_bias"]
    assert line.split() == ["planted", "0.400", "0.500", "0.444", "0.444", "to", "0.444", "1.125", "0.333"]
    assert os.listdir(target.parent) == ["results.json"]
    split.write_text(json.dumps({"train": ["1-2"], "val": [], "test": ["3-3"]}))
    assert on_endonuke(*command, "--split", split) == 0
    protocol = read(target)["protocol"]
    assert (protocol["tiles"], protocol["split"], protocol["part"]) == (1, "split.json", "test")
    assert on_endonuke(*command, "--radius-um", 4) == 0
    results = read(target)
    assert (results["protocol"]["radius_um"], results["routes"]["planted"]["recall"]) == (4.0, 0.75)


def test_without_routes_all_with_weights_are_scored_and_the_others_named(tmp_path, endonuke, caplog):
    with caplog.at_level(logging.WARNING):
        assert on_endonuke(endonuke, "--weights", tmp_path, "--output", tmp_path / "r.json") == 0
    assert list(read(tmp_path / "r.json")["routes"]) == [name for name, route in ROUTES.items() if not route.needs]
    skipped = [message.split()[1] for message in caplog.messages if "skipped" in message]
    assert skipped == [name for name, route in ROUTES.items() if route.needs]
    assert "hovernet.safetensors not found" in caplog.text


def test_weights_are_named_by_role_and_digest_and_leaks_are_marked(tmp_path, endonuke, weights, capsys):
    target = tmp_path / "r.json"
    assert on_endonuke(endonuke, "--routes", "log,direct,cyclegan", "--weights", weights, "--output", target) == 0
    protocol = read(target)["protocol"]
    assert protocol["leaked"] == {"log": [], "direct": [], "cyclegan": ["1", "2", "3"]}
    digest = file_digest(weights / "hovernet.safetensors")
    assert protocol["weights"]["direct"] == {"hovernet": {"digest": digest, "trained_on": "pannuke: fold1"}}
    assert set(protocol["weights"]["cyclegan"]) == {"hovernet", "ihc_to_he"}
    assert str(weights) not in target.read_text()
    assert "LEAKED: route cyclegan was trained or selected on 3 of the groups: 1, 2, 3" in capsys.readouterr().out


def test_unwritable_results_are_refused_and_undefined_scores_null(tmp_path, endonuke, refused, monkeypatch, capsys):
    monkeypatch.setitem(ROUTES, "log", Route("fails", lambda *_: pytest.fail("the work began")))
    (tmp_path / "file").touch()
    target = tmp_path / "file/r.json"
    err = refused("evaluate", endonuke, "--dataset", "endonuke", "--routes", "log", "--output", target)
    assert "file: expected a writable folder" in err
    labels = list((endonuke / "dataset/labels/bulk/ann").iterdir())
    for label in labels:
        label.write_text("")
    monkeypatch.setitem(ROUTES, "log", Route("finds nothing", lambda *_: plant([])))
    assert on_endonuke(endonuke, "--routes", "log", "--output", tmp_path / "r.json") == 0
    assert read(tmp_path / "r.json")["routes"]["log"]["f1_ci95"] == [None, None]
    assert capsys.readouterr().out.splitlines()[1].split() == ["log", "-", "-", "-", "-", "to", "-", "-", "0.000"]
    for label in labels:
        label.unlink()
    assert "set: expected annotated tiles, found none" in refused("evaluate", endonuke, "--dataset", "endonuke")


def test_a_network_is_scored_on_outlines_and_leaks_come_first(tmp_path, phantoms, weights, capsys):
    split, target = tmp_path / "split.json", tmp_path / "r.json"
    split.write_text('{"train": ["fold2"], "val": ["fold1"], "test": ["fold3"]}')
    command = (phantoms["pannuke"], "--dataset", "pannuke", "--output", target)
    assert evaluate(*command, "--weights", weights, "--split", split) == 0
    protocol = read(target)["protocol"]
    assert (protocol["leaked"], protocol["samples"]) == ([], 3)
    assert protocol["weights"]["hovernet"]["digest"] == file_digest(weights / "hovernet.safetensors")
    out = capsys.readouterr().out
    assert "LEAKED" not in out
    assert "assigned, then excluded" in out
    assert evaluate(*command, "--weights", weights) == 0
    assert read(target)["protocol"]["leaked"] == ["fold1"]
    assert capsys.readouterr().out.startswith("LEAKED: hovernet was trained or selected on 1 of the groups: fold1")
    HoVerNet("fast", None, 1 / 16).save(tmp_path / "net.safetensors")
    assert evaluate(*command, "--weights", tmp_path / "net.safetensors", "--split", split) == 0
    assert capsys.readouterr().out.startswith("The weights of hovernet do not say what they were trained on")


def test_phantom_pairs_are_scored_with_every_measure(tmp_path, weights, capsys):
    target = tmp_path / "r.json"
    assert evaluate("--dataset", "phantom", "--images", 2, "--weights", weights, "--output", target) == 0
    result = read(target)
    assert list(result["translations"]) == list(TRANSLATIONS)
    scores = result["translations"]["od"]
    assert scores["images"]["ssim"]["mean"] > 0.5
    assert scores["sets"]["encoder"]["kid"]["size"] > 0
    assert scores["detection"]["n_true"] == result["ceiling"]["n_true"] > 0
    protocol = result["protocol"]
    assert (protocol["samples"], protocol["seed"], protocol["dataset"]) == (2, 0, "phantom")
    assert set(protocol["weights"]) == {"hovernet", "ihc_to_he", "he_reference", "ihc_reference"}
    out, err = capsys.readouterr()
    assert ("SSIM" in out, err) == (True, "")


def test_pairs_of_bci_are_those_of_its_test_split(tmp_path, phantoms, weights):
    command = (phantoms["bci"], "--dataset", "bci", "--weights", weights, "--output", tmp_path / "r.json")
    assert evaluate(*command) == 0
    protocol = read(tmp_path / "r.json")["protocol"]
    assert (protocol["samples"], protocol["marker"], protocol["mpp"]) == (3, "membrane", [0.46])
    assert evaluate(*command, "--images", 2) == 0
    assert read(tmp_path / "r.json")["protocol"]["samples"] == 2


def test_unpaired_tiles_are_compared_with_other_he_and_leaks_are_marked(tmp_path, phantoms, weights, capsys):
    target, split, he_split = tmp_path / "r.json", tmp_path / "s.json", tmp_path / "h.json"
    ids = sorted(int(path.stem) for path in (phantoms["endonuke"] / "dataset/images").iterdir())
    split.write_text(json.dumps({"train": [], "val": [f"{ids[3]}-{ids[5]}"], "test": [f"{ids[0]}-{ids[2]}"]}))
    he_split.write_text(json.dumps({"train": ["fold1"], "val": [], "test": ["fold2", "fold3"]}))
    common = (phantoms["endonuke"], "--he", phantoms["pannuke"], "--weights", weights, "--output", target)
    assert on_endonuke(*common, "--split", split, "--part", "val", "--he-split", he_split) == 0
    protocol = read(target)["protocol"]
    assert (protocol["samples"], protocol["he"]["images"], protocol["he"]["paired"]) == (3, 6, 0)
    assert (protocol["part"], protocol["leaked"]) == ("val", {"hovernet": [], "ihc_to_he": []})
    assert "LEAKED" not in capsys.readouterr().out
    assert on_endonuke(*common, "--images", 1) == 0
    assert read(target)["protocol"]["leaked"]["hovernet"] == ["fold1"]
    assert "LEAKED: hovernet" in capsys.readouterr().out


def test_missing_weights_are_named_and_the_tissue_decides_what_is_drawn(tmp_path, weights, refused):
    told = refused("evaluate", "--dataset", "phantom", "--images", 1, "--weights", tmp_path)
    assert "translations: expected hovernet.safetensors, he_reference.safetensors, ihc_reference.safetensors" in told

    def ssim(*options):
        target, command = tmp_path / "r.json", ("--dataset", "phantom", "--images", 1, "--weights", weights)
        assert evaluate(*command, "--output", target, *options) == 0
        return read(target)["translations"]["identity"]["images"]["ssim"]["mean"]

    assert ssim() != ssim("--tissue", "Uterus")
