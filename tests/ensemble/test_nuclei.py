"""The table of what a route found."""

import numpy as np
import pytest

from histolib.ensemble import Nuclei

COLUMNS = ["x_px", "y_px", "x_um", "y_um", "type", "score", "area_um2"]


def test_the_table_holds_pixels_and_microns():
    nuclei = Nuclei(
        np.array([[10.0, 4.0], [0.0, 1.0]]), np.array([0.9, 0.1]), np.array(["a", "b"]), np.array([30.0, 8])
    )
    table = nuclei.table(0.25)
    assert list(table) == COLUMNS
    assert table.to_numpy().tolist() == [[10, 4, 2.5, 1, "a", 0.9, 30], [0, 1, 0, 0.25, "b", 0.1, 8]]
    assert len(nuclei) == 2


def test_what_a_route_does_not_know_is_empty():
    table = Nuclei(np.array([[1.0, 2.0]]), np.array([0.5])).table(0.5)
    assert table[["type", "area_um2"]].isna().all(axis=None)


@pytest.mark.parametrize("xy", [np.zeros((0, 2)), np.array([])])
def test_no_nuclei_are_a_table_without_rows(xy):
    nuclei = Nuclei(xy, np.array([]))
    assert len(nuclei) == 0
    assert list(nuclei.table(0.5)) == COLUMNS
    assert len(nuclei.table(0.5)) == 0


def test_a_slide_full_of_nuclei_is_one_table():
    xy = np.random.default_rng(0).uniform(0, 1e5, (300_000, 2))
    assert len(Nuclei(xy, xy[:, 0]).table(0.25)) == 300_000
