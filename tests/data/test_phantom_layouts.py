"""The phantom has the official layouts, is complete or absent, and is as hard for a simple detector as real tiles."""

import re
from hashlib import sha256

import numpy as np
import pytest
from PIL import Image

from histolib.data import EndoNuke, phantom
from histolib.data.pannuke import TISSUES
from histolib.metrics.points import PointCounts, count_points
from histolib.nuclei import detect_log


def digest(root):
    return {str(p.relative_to(root)): sha256(p.read_bytes()).hexdigest() for p in root.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    return phantom.write_all(folder, per_fold=5, runs=(6, 7, 7), pairs=(5, 1), bci_px=96, seed=1)


def test_a_seed_gives_the_same_bytes_and_another_does_not(tmp_path):
    small = {"per_fold": 1, "runs": (1,), "pairs": (1, 1), "bci_px": 32}
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        phantom.write_all(tmp_path / name, **small, seed=seed)
    a, b, c = (digest(tmp_path / name) for name in "abc")
    assert a == b
    assert a.keys() == c.keys()
    images = [name for name in a if "images.npy" in name or name.endswith(".png")]
    assert all(a[name] != c[name] for name in images)


def test_bci_pairs_carry_one_name_in_both_stains_and_a_level(sets):
    for split, count in (("train", 5), ("test", 1)):
        he, ihc = (sorted(p.name for p in (sets["bci"] / stain / split).iterdir()) for stain in ("HE", "IHC"))
        assert he == ihc
        assert len(he) == count
        assert all(re.fullmatch(rf"\d{{5}}_{split}_(0|1\+|2\+|3\+)\.png", name) for name in he)
    assert {name[12:-4] for name in (p.name for p in (sets["bci"] / "HE" / "train").iterdir())} == {"0", "1+", "2+"}
    with Image.open(sets["bci"] / "HE" / "train" / "00000_train_0.png") as image:
        assert (image.mode, image.size) == ("RGB", (96, 96))


def test_pannuke_folds_have_the_official_arrays(sets):
    first = set()
    for fold in (1, 2, 3):
        home = sets["pannuke"] / f"Fold {fold}"
        images = np.load(home / "images" / f"fold{fold}" / "images.npy", mmap_mode="r")
        types = np.load(home / "images" / f"fold{fold}" / "types.npy")
        masks = np.load(home / "masks" / f"fold{fold}" / "masks.npy", mmap_mode="r")
        assert (images.shape, masks.shape, types.shape) == ((5, 256, 256, 3), (5, 256, 256, 6), (5,))
        assert images.dtype == masks.dtype == np.float64
        assert 0 <= images.min() < 200 < images.max() <= 255
        assert set(types) <= set(TISSUES)
        assert np.array_equal(masks[..., 5], (masks[..., :5].sum(-1) == 0).astype(float))
        assert ((masks[..., :5] > 0).sum(-1) <= 1).all()
        for mask in masks:
            for channel in range(5):
                ids = np.unique(mask[..., channel])
                assert np.array_equal(ids[ids > 0], np.arange(1, ids.max() + 1))
        first.add(images[0].tobytes())
    assert len(first) == 3


def test_endonuke_tiles_and_labels_match(sets):
    dataset = sets["endonuke"] / "dataset"
    images = {path.stem: path for path in (dataset / "images").iterdir()}
    labels = {path.stem: path for path in (dataset / "labels" / "bulk" / "phantom").iterdir()}
    assert images.keys() == labels.keys()
    assert sorted(int(name) // 1000 for name in images) == [1] * 6 + [2] * 7 + [3] * 7
    sizes, torn, classes = set(), 0, set()
    for name, path in images.items():
        with Image.open(path) as picture:
            assert picture.mode == "RGBA"
            alpha = np.array(picture)[..., 3]
        sizes.add(len(alpha))
        torn += bool((alpha == 0).any())
        points = np.loadtxt(labels[name], dtype=int, ndmin=2).reshape(-1, 3)
        assert ((points[:, :2] >= 0) & (points[:, :2] < len(alpha))).all()
        assert (alpha[points[:, 1], points[:, 0]] > 0).all()
        classes |= set(points[:, 2])
    assert (sizes, torn) == ({200, 400}, 1)
    assert {0, 1} <= classes <= {0, 1, 2}


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


def test_log_detector_finds_about_as_much_as_on_real_tiles(sets):
    """The detector reaches F1 0.795 (precision 0.80, recall 0.79) on 188 EndoNuke tiles."""
    tiles = EndoNuke(sets["endonuke"])
    counts = (count_points(detect_log(tile.patch)[0], tile.xy, 3.0 / tile.patch.mpp) for tile in tiles)
    scores = sum(counts, PointCounts()).scores()
    assert 0.70 < scores["f1"] < 0.90
    assert abs(scores["precision"] - scores["recall"]) < 0.15
