"""Figures of a translation: what stands where, and figures of nothing."""

import numpy as np
import pytest

from histolib.imaging import Patch
from histolib.viz import colour, figure_criteria, figure_fields, figure_marks, figure_seams, figure_wipe

NONE = np.zeros((0, 2))
BLACK, WHITE = (Patch(np.full((8, 20, 3), value, np.uint8), 0.5) for value in (0, 255))


@pytest.mark.parametrize(("border", "black"), [(0.0, 0), (0.25, 5), (0.5, 10), (1.0, 20)])
def test_a_wipe_shows_the_first_left_of_the_border_and_the_second_right_of_it(border, black):
    figure = figure_wipe([BLACK], [WHITE], border, ("IHC", "H&E"))
    (axes,) = figure.axes
    shown = axes.images[0].get_array()
    assert (shown[:, :black] == 0).all()
    assert (shown[:, black:] == 255).all()
    titles = axes.get_title("left"), axes.get_title("right")
    assert titles == ("IHC" if border > 0 else "", "H&E" if border < 1 else "")
    assert all(line.get_xdata()[0] == black - 0.5 for line in axes.lines[-2:])


def test_a_wipe_of_several_pairs_and_of_one_pixel_is_drawn():
    assert len(figure_wipe([BLACK, WHITE], [WHITE, BLACK]).axes) == 2
    dot = Patch(np.zeros((1, 1, 3), np.uint8), 0.5)
    figure_wipe([dot], [dot]).draw_without_rendering()


def test_a_field_is_framed_where_the_marked_score_looks():
    scores = {"real": np.ones((4, 3)), "translated": np.zeros((4, 3))}
    figure = figure_fields({"real": BLACK, "translated": WHITE}, scores, (-3, 4, 10), (2, 1))
    real, _, map_real, map_translated = figure.axes[:4]
    assert real.get_title() == "real"
    (frame,) = real.patches
    assert (frame.get_xy(), frame.get_width()) == ((0.5, 4.5), 10)
    assert (map_real.patches[0].get_xy(), map_real.patches[0].get_width()) == ((-0.5, 0.5), 3), "the score is inside"
    assert (map_real.get_title(), map_translated.get_title()) == ("mean score 1.00", "mean score 0.00")
    assert map_real.images[0].get_clim() == (0, 1)
    figure.draw_without_rendering()


def test_marks_have_the_colour_and_shape_of_what_happened():
    figure = figure_marks(
        {"IHC": [BLACK, BLACK], "H&E": [WHITE], "bare": [WHITE]},
        {"IHC": [{"lost": np.array([[3, 4]])}, {"lost": NONE}], "H&E": [{"new": np.array([[1, 2], [5, 6]])}]},
        ["one", "two"],
    )
    assert len(figure.axes) == 6
    assert [axes.get_title() for axes in figure.axes[:3]] == ["one", "two", ""]
    lost, new = figure.axes[0].collections[0], figure.axes[2].collections[0]
    assert lost.get_offsets().tolist() == [[3, 4]]
    assert new.get_offsets().tolist() == [[1, 2], [5, 6]]
    assert len(lost.get_paths()[0]) != len(new.get_paths()[0])
    assert len(lost.get_facecolors()) == 0, "hollow"
    assert colour("lost") != colour("new")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["lost", "new"]
    assert figure_marks({"a": [BLACK]}, {}).legends == []


def test_each_criterion_has_its_own_best_step():
    figure = figure_criteria(
        {"loss": {10: 3.0, 20: 2.0, 30: 1.0}, "F1": {0: 0.1, 10: 0.9, 30: 0.5}, "none": {}},
        {"loss": "lower", "F1": "higher", "none": "lower"},
    )
    best = [[line.get_xdata()[0] for line in axes.lines if line.get_marker() == "*"] for axes in figure.axes]
    assert best == [[30], [10], []]
    assert [text.get_text() for text in figure.axes[1].texts] == ["best at 10"]
    assert figure.axes[0].get_title("left") == "loss (lower is better)"
    figure.draw_without_rendering()


def test_a_criterion_that_has_no_number_at_a_step_does_not_choose_it():
    (axes,) = figure_criteria({"KID": {1: np.nan, 2: 0.5, 3: 0.4}, "x": {}}, {"KID": "lower", "x": "lower"}).axes[:1]
    assert [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "*"] == [3]


def test_seams_are_marked_where_tiles_meet():
    figure = figure_seams(
        {"input": BLACK, "tiles": WHITE}, {"tiles": np.arange(19.0)}, {"tiles": [5, 10], "not drawn": [7]}
    )
    first, second, last = figure.axes
    assert len(first.collections[0].get_offsets()) == 0
    assert second.collections[0].get_offsets()[:, 0].tolist() == [4.5, 9.5]
    curve, *dotted = last.lines
    assert curve.get_xdata().tolist() == list(range(1, 20))
    assert [line.get_xdata()[0] for line in dotted] == [5, 10]
    figure.draw_without_rendering()
    figure_seams({"input": BLACK}, {}, {}).draw_without_rendering()
