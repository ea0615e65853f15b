"""Phantom tiles have a consistent truth that their stains show, official layouts, and the difficulty of real tiles."""

from operator import attrgetter

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from histolib.data import BCI, EndoNuke, PanNuke, phantom
from histolib.imaging import map_points, separate_stains, summed_density
from histolib.metrics.points import PointCounts, count_points
from histolib.nuclei import detect_log


@pytest.fixture(scope="module")
def nuclear():
    return [phantom.draw(3, 256, 0.25, slide=i, tissue="Uterus") for i in range(3)]


def test_arguments_decide_every_byte():
    base = {"seed": 7, "slide": 2, "tile": 5, "size_px": 96}
    one, same = phantom.draw(**base), phantom.draw(**base)
    for name in ("he.image", "ihc.image", "instances", "types", "xy", "grade"):
        assert np.array_equal(attrgetter(name)(one), attrgetter(name)(same))
    for change in ({"seed": 8}, {"slide": 3}, {"tile": 6}):
        assert not np.array_equal(one.he.image, phantom.draw(**base | change).he.image)


def test_the_marker_changes_the_ihc_alone_and_one_tissue_is_seen_at_every_scale():
    nuclear, membrane = (phantom.draw(2, 128, marker=marker, slide=1) for marker in ("nuclear", "membrane"))
    assert np.array_equal(nuclear.he.image, membrane.he.image)
    assert np.array_equal(nuclear.instances, membrane.instances)
    assert not np.array_equal(nuclear.ihc.image, membrane.ihc.image)
    coarse, fine = phantom.draw(5, 128, 0.5, slide=1), phantom.draw(5, 256, 0.25, slide=1)
    nearest = np.abs(map_points(coarse.xy, 2.0)[:, None] - fine.xy[None]).max(-1).min(1)
    assert len(coarse.xy) > 10
    assert np.mean(nearest < 2) > 0.9


@pytest.mark.parametrize(
    ("marker", "size_px", "mpp"),
    [("nuclear", 8, 0.25), ("nuclear", 200, 0.5), ("membrane", 100, 1.0), ("membrane", 256, 0.25)],
)
def test_truth_agrees_with_itself(marker, size_px, mpp):
    for slide in range(2):
        sample = phantom.draw(5, size_px, mpp, marker, slide)
        count = len(sample.types)
        assert sample.he.image.shape == sample.ihc.image.shape == (size_px, size_px, 3)
        assert sample.he.mpp == sample.ihc.mpp == mpp
        assert sample.instances.dtype == np.int32
        assert np.array_equal(np.unique(sample.instances[sample.instances > 0]), np.arange(1, count + 1))
        assert sample.types.shape == sample.grade.shape == (count,)
        assert sample.xy.shape == (count, 2)
        assert np.isin(sample.types, [1, 2, 3, 4, 5]).all()
        assert np.isin(sample.grade, [0, 1, 2, 3]).all()
        for label, (x, y) in enumerate(sample.xy, 1):
            piece, pieces = ndimage.label(sample.instances == label)
            assert pieces == 1
            assert np.allclose((y, x), np.argwhere(piece).mean(0))


def test_stains_show_nuclei_in_both_images_and_brown_follows_the_marker(nuclear):
    for sample in nuclear:
        for patch in (sample.he, sample.ihc):
            density, inside = summed_density(patch.image), sample.instances > 0
            assert density[inside].mean() > 1.5 * density[~inside].mean()
    for sample in (phantom.draw(3, 256, 0.25, "membrane", i, tissue="Breast", level=3) for i in range(3)):
        inside = sample.instances > 0
        blue, dab = separate_stains(sample.ihc.image, "hematoxylin", "dab").transpose(2, 0, 1)
        assert blue[inside].mean() > 1.4 * blue[~inside].mean()
        cells = np.isin(np.r_[0, sample.grade][sample.instances], [2, 3])
        around = ndimage.binary_dilation(cells, iterations=8) & (sample.instances == 0)
        assert cells.any()
        assert np.percentile(dab[around], 90) > 3 * np.percentile(dab[ndimage.binary_erosion(cells, iterations=4)], 75)
        assert not sample.grade[np.isin(sample.types, [2, 3, 4])].any()


def test_brown_follows_the_grade_of_the_nucleus_and_the_level(nuclear):
    brown, grade = [], []
    for sample in nuclear:
        dab = separate_stains(sample.ihc.image, "hematoxylin", "dab")[..., 1]
        brown.append(ndimage.mean(dab, sample.instances, np.arange(1, len(sample.grade) + 1)))
        grade.append(sample.grade)
    means = [np.concatenate(brown)[np.concatenate(grade) == g].mean() for g in range(4)]
    assert np.all(np.diff(means) > 0.05)
    brown = []
    for level in range(4):
        tiles = [phantom.draw(4, 128, 0.46, "membrane", slide, 0, "Breast", level).ihc.image for slide in range(3)]
        brown.append(np.mean([np.percentile(separate_stains(t, "hematoxylin", "dab")[..., 1], 90) for t in tiles]))
    assert np.all(np.diff(brown) > 0)


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
    with pytest.raises(ValueError, match="expected non-negative integer"):
        phantom.write_pannuke(tmp_path / "p", 1, seed=-1)
    assert not (tmp_path / "p").exists(), "an interrupted writer leaves nothing behind"
    made = phantom.write_all(tmp_path / "none", per_fold=0, runs=(), pairs=(0, 0))
    assert np.load(made["pannuke"] / "Fold 1" / "masks" / "fold1" / "masks.npy").shape == (0, 256, 256, 6)
