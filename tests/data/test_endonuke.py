"""EndoNuke: scale of the tiles, points and their problems, discs, and one clear error for each kind of damage."""

import logging
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histolib.data import EndoNuke, id_runs
from histolib.data.endonuke import draw_discs


def tile(root: Path, number: int | str, size: tuple[int, int] = (200, 200), alpha: int = 255) -> Path:
    path = root / "dataset" / "images" / f"{number}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGBA", size, (100, 50, 20, alpha)).save(path)
    return path


def label(root: Path, number: int | str, text: str, annotator: str = "ann", study: str = "bulk") -> Path:
    path = root / "dataset" / "labels" / study / annotator / f"{number}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, size in ((7, 200), (30, 400), (100, 200), (101, 200)):
        tile(tmp_path, number, (size, size))
    label(tmp_path, 100, "1 2 0\n3 4 1\n199 0 2\n")
    label(tmp_path, 30, "399 399 1")
    label(tmp_path, 7, "")
    label(tmp_path, 7, "5 5 1\n", annotator="zoe")
    label(tmp_path, 7, "6 6 0\n", study="hidden")
    return tmp_path


def test_tiles_come_in_order_of_ids_and_annotators_with_the_scale_of_their_width(root):
    tiles = EndoNuke(root)
    assert tiles.ids == EndoNuke(root / "dataset").ids == (7, 7, 30, 100)
    assert [sample.patch.mpp for sample in tiles] == [0.5, 0.5, 0.25, 0.5]
    assert (tiles.annotators, tiles.marker) == (("ann", "zoe"), "nuclear")
    assert (tiles[0].xy.shape, tiles[0].types.shape) == ((0, 2), (0,)), "an empty label is a tile without nuclei"
    last = tiles[-1]
    assert last.patch.name == "100"
    np.testing.assert_array_equal(last.xy, [[1, 2], [3, 4], [199, 0]])
    np.testing.assert_array_equal(last.types, [0, 1, 2])
    assert (last.xy.dtype, last.types.dtype) == (np.float64, np.int64)
    tile(root, 7, alpha=0)
    assert (tiles[0].patch.image == 255).all(), "transparency is white"
    (root / "data").mkdir()
    (root / "dataset").rename(root / "data" / "dataset")
    assert EndoNuke(root).ids == tiles.ids, "the published archive may unpack into `data`"


def test_points_outside_and_exact_repeats_are_dropped_and_reported(root, caplog):
    path = label(root, 100, "200 0 1\n-1 5 0\n-0.5 199.49 1\n199.5 1e9 1\n")
    tiles = EndoNuke(root)
    with caplog.at_level(logging.WARNING):
        sample = tiles[3]
        tiles[3]
    assert sample.xy.tolist() == [[-0.5, 199.49]], "a point may lie anywhere on the outermost pixels"
    problems = sorted(caplog.messages)
    assert [problem.split(": ")[0] for problem in problems] == [f"{path}:{line}" for line in (1, 2, 4)], "each once"
    assert "(200, 0) is outside the tile of 200 px, dropped" in problems[0]
    label(root, 100, "5 5 1\n6 6 1\n5 5 1\n5.0 5 1\n5 5 2\n")
    caplog.clear()
    sample = EndoNuke(root)[3]
    assert (sample.xy.tolist(), sample.types.tolist()) == ([[5, 5], [6, 6], [5, 5]], [1, 1, 2])
    assert len(caplog.messages) == 2
    assert "100.txt:3: point (5, 5) of class 1 repeats line 1, dropped" in caplog.messages[0]


def test_a_bad_line_and_a_file_name_other_than_an_id_are_named(root):
    for line in ("5 5", "5 5 1 9", "5,5,1", "5 five 1", "nan 5 1", "5 5 3", "5 5 stroma", "5 5 1.0"):
        path = label(root, 100, f"1 1 0\n\n{line}\n")
        with pytest.raises(ValueError, match="expected") as error:
            EndoNuke(root)[3]
        assert str(error.value) == f"{path}:3: expected x and y in pixels and a class of 0, 1, 2, found {line!r}"
    for write in (lambda: tile(root, "scan_1"), lambda: label(root, "scan_1", "")):
        path = write()
        with pytest.raises(ValueError, match=f"{re.escape(str(path))}.*expected a tile id as name"):
            EndoNuke(root)
        path.unlink()


@pytest.mark.parametrize("size", [(300, 300), (200, 400), (1, 1)])
def test_a_tile_of_another_size_and_damaged_files_are_errors(root, size):
    tile(root, 100, size)
    with pytest.raises(ValueError, match=rf"100\.png: expected a tile .* found {size[0]} x {size[1]}"):
        EndoNuke(root)[3]
    tile(root, 100).write_text("no image")
    with pytest.raises(ValueError, match=r"100\.png: expected an 8-bit image"):
        EndoNuke(root)[3]
    tile(root, 100)
    label(root, 100, "").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(ValueError, match=r"100\.txt: expected a text file"):
        EndoNuke(root)[3]


def test_missing_folders_and_images_are_named_beside_existing_ones(root, tmp_path):
    with pytest.raises(FileNotFoundError, match="expected images and labels, found no images and no labels"):
        EndoNuke(tmp_path / "dataset" / "images")
    label(root, 55, "1 1 1")
    with pytest.raises(FileNotFoundError, match=r"images: expected an image for .*ann/55\.txt, found none"):
        EndoNuke(root)
    (root / "dataset/labels/bulk").rename(root / "dataset/labels/other")
    with pytest.raises(FileNotFoundError, match="bulk: expected a folder for each annotator, found nothing"):
        EndoNuke(root)


@pytest.mark.parametrize("runs", [[], [[5]], [[10, 60], [111]], [list(range(100_000))]])
def test_ids_split_into_runs_where_the_gap_is_wide(runs):
    assert id_runs([i for run in runs[::-1] for i in (*run, run[0])]) == runs


def test_discs_are_centred_on_their_points_split_halfway_and_numbered_without_gaps():
    xy = np.array([[20.0, 30.0], [60.0, 12.0]])
    labels, kept = draw_discs(xy, (50, 80), 6)
    assert list(kept) == [0, 1]
    for number, centre in enumerate(xy, 1):
        rows, columns = np.nonzero(labels == number)
        assert np.allclose([columns.mean(), rows.mean()], centre)
        assert len(rows) == pytest.approx(np.pi * 36, rel=0.1)
    touching, _ = draw_discs(np.array([[10.0, 10.0], [16.0, 10.0]]), (21, 27), 6)
    assert (touching[:, :13] != 2).all()
    assert (touching[:, 14:] != 1).all()
    labels, kept = draw_discs(np.array([[5.0, 5.0], [500.0, 500.0], [5.0, 5.0], [15.0, 5.0]]), (20, 20), 3)
    assert set(np.unique(labels)) == {0, 1, 2}, "points outside and covered points have no disc"
    assert (len(kept), kept[1]) == (2, 3)
    assert not draw_discs(np.zeros((0, 2)), (4, 5), 3)[0].any()
    assert draw_discs(np.zeros((1, 2)), (1, 1), 3)[0].tolist() == [[1]]


def test_real_tiles_are_read_in_three_runs(real_data, caplog):
    tiles = EndoNuke(real_data / "endonuke")
    samples = list(tiles)
    assert len(samples) == 188
    runs = [(run[0], run[-1], len(run)) for run in id_runs(tiles.ids)]
    assert runs == [(321, 784, 135), (945, 1081, 40), (1574, 1595, 13)]
    assert sum(len(sample.xy) for sample in samples) == 16_329
    assert len(caplog.messages) == 11, "all are exact repeats"
    torn = samples[tiles.ids.index(741)].patch.image
    assert (torn == 255).all(axis=-1).mean() > 0.3, "transparent pixels are white"
