"""Figures of tissue: marks where they belong, and figures of nothing at all."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from histolib.imaging import Patch
from histolib.viz import (
    colour,
    draw_detections,
    draw_outlines,
    draw_points,
    figure_detections,
    figure_maps,
    figure_outlines,
    figure_patches,
    figure_points,
    figure_profile,
    show_patch,
    style,
)

NONE = np.zeros((0, 2))


@pytest.fixture
def axes():
    with style():
        yield plt.subplots()[1]


def marks(axes) -> dict[str, list]:
    return {each.get_label(): each.get_offsets().tolist() for each in axes.collections}


def test_a_patch_is_shown_to_its_edges_with_a_bar_and_a_title(axes, patch):
    show_patch(axes, patch, "title")
    assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 59.5), (39.5, -0.5))
    assert axes.get_title() == "title"
    assert len(axes.texts) == 1
    draw_points(axes, [[-50, 500]], "log")
    assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 59.5), (39.5, -0.5)), "marks do not move the view"


def test_a_patch_of_one_pixel_is_shown(axes):
    show_patch(axes, Patch(np.zeros((1, 1, 3), np.uint8), 0.5), bar=False)
    assert len(axes.texts) == 0


@pytest.mark.parametrize("xy", [NONE, [], [[3, 4]], np.ones((1000, 2))])
def test_points_are_drawn_where_they_are(axes, xy):
    draw_points(axes, xy, "log")
    assert marks(axes)["log"] == np.asarray(xy, float).reshape(-1, 2).tolist()


def test_outlines_enclose_each_nucleus_at_its_border(axes, patch, instances):
    show_patch(axes, patch)
    draw_outlines(axes, instances, ["neoplastic", "dead", "never seen", "connective"])
    (lines,) = axes.collections
    boxes = [(*path.vertices.min(0), *path.vertices.max(0)) for path in lines.get_paths()]
    assert boxes == [(-0.5, -0.5, 5.5, 5.5), (9.5, 9.5, 19.5, 19.5), (49.5, 34.5, 59.5, 39.5)]
    expected = [plt.matplotlib.colors.to_rgba(colour(name)) for name in ("neoplastic", "dead", "connective")]
    assert [tuple(each) for each in lines.get_colors()] == expected


def test_no_nuclei_have_no_outlines(axes, patch, instances):
    show_patch(axes, patch)
    draw_outlines(axes, instances * 0)
    assert axes.collections[0].get_paths() == []


def test_detections_are_told_apart_by_shape(axes):
    pred, true = np.array([[1.0, 1], [2, 2], [3, 3]]), np.array([[1.0, 1.5], [9, 9]])
    draw_detections(axes, pred, true, np.array([0]), np.array([0]))
    assert marks(axes) == {"matched": [[1, 1]], "missed": [[9, 9]], "false": [[2, 2], [3, 3]]}
    assert len({len(each.get_paths()[0]) for each in axes.collections}) == 3


def test_only_the_asked_kinds_of_detections_are_drawn(axes):
    one = np.array([[1.0, 1]])
    draw_detections(axes, one, one + 9, np.zeros(0, int), np.zeros(0, int), kinds=("false",))
    assert marks(axes) == {"false": [[1, 1]]}


@pytest.mark.parametrize("empty", [NONE, np.array([]), []])
def test_detections_of_nothing_are_drawn(axes, empty):
    draw_detections(axes, empty, empty, np.zeros(0, int), [])
    assert marks(axes) == {"matched": [], "missed": [], "false": []}


def test_a_grid_of_patches_names_rows_and_columns(patch):
    figure = figure_patches({"H&E": [patch, patch], "IHC": [patch], "none": []}, ["one", "two"])
    assert len(figure.axes) == 6
    assert [axes.get_title() for axes in figure.axes] == ["one", "two", "", "", "", ""]
    assert [figure.axes[i].texts[-1].get_text() for i in (0, 2, 4)] == ["H&E", "IHC", "none"]
    assert isinstance(figure_patches({"a": []}), Figure)


def test_maps_are_drawn_by_what_they_hold(patch, instances):
    signed = np.linspace(-1, 1, 2400).reshape(40, 60)
    maps = {"np": np.full((40, 60), 0.2), "hv": signed, "ids": instances, "mask": signed > 0, "depth": signed - 1}
    figure = figure_maps(patch, maps, columns=4)
    shown = {axes.get_title(): axes.images[0] for axes in figure.axes if axes.get_title()}
    assert shown["np"].get_clim() == (0, 1)
    assert shown["hv"].get_clim() == (-1, 1)
    assert (shown["ids"].get_array().mask == (instances == 0)).all()
    assert shown["mask"].get_clim() == (0, 1)
    assert shown["depth"].get_clim() == (-2, 0)
    assert figure.axes[0].get_gridspec().get_geometry() == (2, 4)


def test_a_profile_shows_the_marked_row_and_its_nuclei(instances):
    values = np.linspace(-1, 1, 2400).reshape(40, 60)
    left, right = figure_profile(values, instances, 12).axes
    assert set(left.lines[0].get_ydata()) == {12}
    assert right.lines[0].get_ydata().tolist() == values[12].tolist()
    assert [text.get_text() for text in right.texts] == ["nucleus 2"]
    assert right.patches[0].get_x() == 9.5
    figure_profile(values[:1, :1], instances[:1, :1] * 0, 0).draw_without_rendering()


def test_maps_without_nuclei_are_drawn(patch):
    empty = np.zeros((40, 60))
    figure_maps(patch, {"np": empty, "hv": empty, "ids": empty.astype(np.int32)}).draw_without_rendering()


def test_rows_of_patches_share_one_legend(patch, instances):
    found = (NONE, np.array([[5.0, 5]]), np.zeros(0, int), np.zeros(0, int))
    figures = [
        figure_points([patch, patch], [{"truth": [[1, 2]], "log": NONE}, {"log": [[3, 4]]}], ["a", "b"]),
        figure_outlines([patch, patch], [instances, instances * 0], [["dead"] * 4, []]),
        figure_detections({"a": patch, "b": patch}, {"a": found}),
    ]
    labels = [[text.get_text() for text in figure.legends[0].get_texts()] for figure in figures]
    assert labels == [["truth", "log"], ["dead"], ["matched", "missed", "false"]]
    for figure in figures:
        figure.draw_without_rendering()
    assert figure_outlines([patch], [instances]).legends == []
    (first, second), *_ = (figures[0].axes[0].collections, figures[0].axes[1])
    assert len(first.get_paths()[0]) != len(second.get_paths()[0]), "sets differ in shape"
