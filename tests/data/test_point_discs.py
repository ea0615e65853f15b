import numpy as np
import pytest

from histolib.data import EndoNuke, PointDiscs, draw_discs, in_groups, open_outlined, phantom


def test_discs_are_centred_on_their_points_and_as_large_as_asked():
    xy = np.array([[20.0, 30.0], [60.0, 12.0]])
    labels, kept = draw_discs(xy, (50, 80), 6)
    assert list(kept) == [0, 1]
    for number, centre in enumerate(xy, 1):
        rows, columns = np.nonzero(labels == number)
        assert np.allclose([columns.mean(), rows.mean()], centre)
        assert len(rows) == pytest.approx(np.pi * 36, rel=0.1)


def test_discs_that_meet_part_in_the_middle():
    labels, _ = draw_discs(np.array([[10.0, 10.0], [16.0, 10.0]]), (21, 27), 6)
    assert (labels[:, :13] != 2).all()
    assert (labels[:, 14:] != 1).all()


def test_points_without_a_pixel_are_left_out_and_ids_have_no_gap():
    labels, kept = draw_discs(np.array([[5.0, 5.0], [500.0, 500.0], [5.0, 5.0], [15.0, 5.0]]), (20, 20), 3)
    assert set(np.unique(labels)) == {0, 1, 2}
    assert len(kept) == 2
    assert kept[1] == 3


def test_no_points_and_a_single_pixel():
    assert not draw_discs(np.zeros((0, 2)), (4, 5), 3)[0].any()
    assert draw_discs(np.zeros((1, 2)), (1, 1), 3)[0].tolist() == [[1]]


def test_tiles_of_a_block_of_ids_are_found_by_it(tmp_path):
    phantom.write_endonuke(tmp_path, runs=(2, 1))
    samples, types = open_outlined(tmp_path)
    assert isinstance(samples, PointDiscs)
    assert types == ["stroma", "epithelium", "other"]
    tiles = EndoNuke(tmp_path)
    chosen = in_groups(samples, [f"{tiles.ids[0]}-{tiles.ids[1]}"])
    assert len(chosen) == 2
    sample, points = chosen[0], tiles[0]
    assert len(sample.types) <= len(points.xy)
    assert sample.types.min() >= 1
    assert sample.group == str(tiles.ids[0])
    with pytest.raises(ValueError, match="found no 99999-100000"):
        in_groups(samples, ["99999-100000"])
