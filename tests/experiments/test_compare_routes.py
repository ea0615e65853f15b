"""The comparison of routes tunes inside folds, scores each tile once, and refuses leaks."""

import json

import pytest

from histolib.data import phantom
from histolib.ensemble import ROUTES, Fusion
from histolib.experiments.compare_routes import main
from histolib.io import Provenance
from histolib.nuclei import HoVerNet


@pytest.fixture
def folds(tmp_path):
    """Three runs of two tiles, split twice; the folders of weights are empty."""
    phantom.write_endonuke(tmp_path / "set", runs=(2, 2, 2))
    tiles = sorted(int(path.stem) for path in (tmp_path / "set/dataset/images").iterdir())
    blocks = [f"{tiles[i]}-{tiles[i + 1]}" for i in (0, 2, 4)]
    options = []
    for number, (train, val, test) in enumerate([(0, 1, 2), (2, 1, 0)]):
        split = {"train": [blocks[train]], "val": [blocks[val]], "test": [blocks[test]]}
        (tmp_path / f"{number}.json").write_text(json.dumps(split))
        (tmp_path / f"weights-{number}").mkdir()
        options += ["--fold", f"{tmp_path / str(number)}.json={tmp_path / f'weights-{number}'}"]
    return [str(tmp_path / "set"), *options, "--output", str(tmp_path / "results.json")]


def test_each_tile_is_scored_once_with_parameters_of_its_fold(tmp_path, folds, capsys):
    main([*folds, "--fusion", str(tmp_path / "fusion.json")])
    without_weights = {name for name, route in ROUTES.items() if not route.needs}
    assert set(Fusion.load(tmp_path / "fusion.json").weights) <= without_weights
    text = (tmp_path / "results.json").read_text()
    results = json.loads(text)
    assert set(results["routes"]) == without_weights | {"ensemble"}
    log = results["routes"]["log"]
    assert (len(log["tiles"]), log["f1"] > 0.5, log["seconds_per_mm2"] > 0) == (4, True, True)
    assert [fold["tiles"] for fold in results["folds"]] == [2, 2]
    assert set(results["folds"][0]["log"]) == {"sigma_um", "threshold", "window_um"}
    assert "route cyclegan skipped" in capsys.readouterr().out
    assert str(tmp_path) not in text


def test_weights_that_saw_a_test_tile_are_refused(tmp_path, folds):
    split = json.loads((tmp_path / "0.json").read_text())
    for number in (0, 1):
        net = HoVerNet("fast", None, 1 / 16)
        net.mpp, net.provenance = 0.5, Provenance("discs", tuple(split["test"]))
        net.save(tmp_path / f"weights-{number}/hovernet.safetensors")
    with pytest.raises(ValueError, match="route direct: expected weights that saw none of the test tiles, found 2"):
        main(folds)
