import json

import numpy as np
import pytest

from histolib.cli import main
from histolib.data import KeypointSample, phantom
from histolib.ensemble import Fusion, Nuclei
from histolib.ensemble.ablation import Found, ablate, is_brown
from histolib.imaging import STAIN_VECTORS, Patch, rgb_from_density

CLASSES = {0: "stroma", 1: "epithelium"}
BROWN, BLUE = (tuple(rgb_from_density(1.2 * STAIN_VECTORS[name]).tolist()) for name in ("dab", "hematoxylin"))


def tile(name, points, colours, types):
    image = np.full((200, 200, 3), 245, np.uint8)
    for (x, y), rgb in zip(points, colours, strict=True):
        image[y - 5 : y + 6, x - 5 : x + 6] = rgb
    return KeypointSample(Patch(image, 0.5, name), np.array(points, float), np.array(types), "a", ())


def at(*xy, score=0.9):
    return Nuclei(np.array(xy, float).reshape(-1, 2), np.full(len(xy), score))


@pytest.fixture
def samples():
    points = [(20, 20), (60, 60), (100, 100), (150, 150)]
    return [
        tile("1", points, [BROWN, BROWN, BLUE, BLUE], [0, 1, 0, 1]),
        tile("2", points[:2], [BLUE, BROWN], [1, 1]),
    ]


@pytest.fixture
def found(samples):
    first, second = (sample.xy for sample in samples)
    return {
        "log": Found([at(*first[:2], (190, 10)), at()], [1.0, 1.0]),
        "perfect": Found([at(*first), at(*second)], [0.5, 0.5]),
    }


def test_every_number_is_the_one_counted_by_hand(samples, found):
    routes = ablate(samples, found, ["a", "b"], classes=CLASSES)
    log, perfect = routes["log"], routes["perfect"]
    assert log["f1"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 4), abs=1e-3)
    assert log["recall_by_stain"] == {"brown": {"recall": 2 / 3, "n": 3}, "blue": {"recall": 0, "n": 3}}
    assert log["recall_by_class"] == {
        "stroma": {"recall": 0.5, "n": 2}, "epithelium": {"recall": 0.25, "n": 4}
    }  # fmt: skip
    assert log["tiles"] == {"1": [2, 1, 2], "2": [0, 0, 2]}
    low, mean, high = log["count_limits"]
    assert mean == -1.5
    assert high - mean == pytest.approx(1.96 * np.std([-1, -2], ddof=1))
    assert low + high == pytest.approx(2 * mean)
    assert perfect["difference"]["log"]["f1"] == pytest.approx(1 - 4 / 9)
    assert perfect["difference"]["log"]["ci95"][0] > 0
    assert "log" not in log["difference"]
    assert perfect["average_precision"] == 1
    assert log["average_precision"] == pytest.approx(2 / 6)
    assert perfect["seconds_per_mm2"] == pytest.approx(1 / (2 * 0.01))
    assert perfect["worst"] == []


def test_hits_grow_with_the_radius(samples):
    shifted = Found([at(*np.add(sample.xy, (7, 0))) for sample in samples], [0, 0])  # 3.5 microns
    scores = ablate(samples, {"shifted": shifted}, ["a", "b"], classes=CLASSES)["shifted"]
    assert scores["f1_by_radius"] == {"1": 0, "1.5": 0, "2": 0, "2.5": 0, "3": 0, "4": 1, "5": 1, "6": 1}
    assert scores["average_precision"] == 1  # similarity at 3.5 microns is just above a half


def test_the_worst_tiles_are_those_where_most_is_lost(samples, found):
    bad = Found([at((1, 1)), at((1, 1), (5, 5), (9, 9))], [0, 0])
    scores = ablate(samples, {**found, "bad": bad}, ["a", "b"], classes=CLASSES)["bad"]
    assert scores["worst"] == ["2", "1"]


def test_no_tile_and_too_few_are_refused(samples, found):
    with pytest.raises(ValueError, match="at least one"):
        ablate([], {}, [], classes=CLASSES)
    with pytest.raises(ValueError, match="expected 1 tiles"):
        ablate(samples[:1], found, ["a"], classes=CLASSES)


def test_points_beyond_the_border_have_the_stain_of_the_border():
    image = np.full((20, 20, 3), BROWN, np.uint8)
    assert is_brown(Patch(image, 0.5), np.array([[-3, 5], [19, 30]])).all()
    assert is_brown(Patch(image, 0.5), np.zeros((0, 2))).shape == (0,)


def test_the_command_tunes_inside_folds_and_scores_each_tile_once(tmp_path, capsys):
    phantom.write_endonuke(tmp_path / "set", runs=(2, 2, 2))
    tiles = sorted(int(path.stem) for path in (tmp_path / "set/dataset/images").iterdir())
    blocks = [f"{tiles[i]}-{tiles[i + 1]}" for i in (0, 2, 4)]
    folds = []
    for number, (train, val, test) in enumerate([(0, 1, 2), (2, 1, 0)]):
        split = {"train": [blocks[train]], "val": [blocks[val]], "test": [blocks[test]]}
        (tmp_path / f"{number}.json").write_text(json.dumps(split))
        (tmp_path / f"weights-{number}").mkdir()
        folds += ["--fold", f"{tmp_path / str(number)}.json={tmp_path / f'weights-{number}'}"]
    output = tmp_path / "results.json"
    atlas = tmp_path / "atlas"
    options = ["--output", str(output), "--atlas", str(atlas), "--fusion", str(tmp_path / "fusion.json")]
    assert main(["ablate", str(tmp_path / "set"), *folds, *options]) == 0
    assert dict(Fusion.load(tmp_path / "fusion.json").weights) == {"log": 1.0}
    results = json.loads(output.read_text())
    assert set(results["routes"]) == {"log", "ensemble"}
    assert len(results["routes"]["log"]["tiles"]) == 4
    assert [fold["tiles"] for fold in results["folds"]] == [2, 2]
    assert results["routes"]["log"]["f1"] > 0.5
    assert len(list(atlas.iterdir())) == len(results["routes"]["ensemble"]["worst"])
    assert "log" in capsys.readouterr().out
