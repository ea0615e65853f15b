"""The phantom has the official layouts, is complete or absent, and is as hard for a simple detector as real tiles."""

import numpy as np
import pytest
from PIL import Image

from histolib.data import BCI, EndoNuke, PanNuke, phantom
from histolib.metrics.points import PointCounts, count_points
from histolib.nuclei import detect_log


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    return phantom.write_all(folder, per_fold=5, runs=(6, 7, 7), pairs=(5, 1), bci_px=96, seed=1)


def test_the_readers_find_what_was_drawn_and_the_detector_as_much_as_on_real_tiles(sets):
    # The readers refuse other names, shapes and values; `verify` finds no problem in any set.
    pairs = BCI(sets["bci"])
    assert {pair.level for pair in pairs} == {"0", "1+", "2+"}
    assert {patch.image.shape for pair in pairs for patch in (pair.he, pair.ihc)} == {(96, 96, 3)}
    patches = PanNuke(sets["pannuke"])
    assert (len(patches), len(set(patches.tissues)) > 1) == (15, True)
    assert len({patches[i].patch.image.tobytes() for i in (0, 5, 10)}) == 3
    masks = np.load(sets["pannuke"] / "Fold 1/masks/fold1/masks.npy")
    assert np.array_equal(masks[..., 5], masks[..., :5].sum(-1) == 0)
    assert ((masks[..., :5] > 0).sum(-1) <= 1).all()
    tiles = EndoNuke(sets["endonuke"])
    assert sorted(number // 1000 for number in tiles.ids) == [1] * 6 + [2] * 7 + [3] * 7
    assert {sample.patch.mpp for sample in tiles} == {0.25, 0.5}
    assert {0, 1} <= {kind for sample in tiles for kind in sample.types} <= {0, 1, 2}
    torn = [(np.array(Image.open(path))[..., 3] == 0).any() for path in sets["endonuke"].rglob("images/*.png")]
    assert sum(torn) == 1
    # The detector reaches F1 0.795 (precision 0.80, recall 0.79) on 188 EndoNuke tiles.
    counts = (count_points(detect_log(tile.patch)[0], tile.xy, 3.0 / tile.patch.mpp) for tile in tiles)
    scores = sum(counts, PointCounts()).scores()
    assert 0.70 < scores["f1"] < 0.90
    assert abs(scores["precision"] - scores["recall"]) < 0.15


def test_a_complete_set_is_left_alone_and_anything_else_is_refused(tmp_path):
    root = phantom.write_endonuke(tmp_path / "e", (1,), seed=1)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert phantom.write_endonuke(root, [1], seed=1) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    with pytest.raises(ValueError, match="expected no files, or the phantom"):
        phantom.write_endonuke(root, (1,), seed=2)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("keep me")
    with pytest.raises(ValueError, match="found other files"):
        phantom.write_bci(tmp_path / "mine", 1, 1, 32)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "keep me"
    with pytest.raises(ValueError, match="seed"):
        phantom.write_pannuke(tmp_path / "p", 1, seed=-1)
    assert not (tmp_path / "p").exists(), "an interrupted writer leaves nothing behind"
    made = phantom.write_all(tmp_path / "none", per_fold=0, runs=(), pairs=(0, 0))
    assert np.load(made["pannuke"] / "Fold 1" / "masks" / "fold1" / "masks.npy").shape == (0, 256, 256, 6)
