"""Figures of a translation: borders and receptive fields in the right place."""

import numpy as np
import pytest

from histolib.imaging import Patch
from histolib.viz.translation import figure_before_after, figure_discriminator

BLACK, WHITE = (Patch(np.full((8, 20, 3), value, np.uint8), 0.5) for value in (0, 255))


@pytest.mark.parametrize(("border", "black"), [(0.0, 0), (0.25, 5), (0.5, 10), (1.0, 20)])
def test_the_first_patch_is_left_of_the_border_and_the_second_right_of_it(border, black):
    figure = figure_before_after([BLACK], [WHITE], ("IHC", "H&E"), border=border, title="PHANTOM")
    (axes,) = figure.axes
    shown = axes.images[0].get_array()
    assert (shown[:, :black] == 0).all()
    assert (shown[:, black:] == 255).all()
    assert axes.get_title("left") == ("IHC" if border > 0 else "")
    assert axes.get_title("right") == ("H&E" if border < 1 else "")
    assert all(line.get_xdata()[0] == black - 0.5 for line in axes.lines[-2:])
    assert figure.get_suptitle() == "PHANTOM"


def test_pairs_are_drawn_and_the_field_of_the_middle_score_is_framed():
    assert len(figure_before_after([BLACK, WHITE], [WHITE, BLACK], "ab").axes) == 2
    dot = Patch(np.zeros((1, 1, 3), np.uint8), 0.5)
    figure_before_after([dot], [dot], "ab").draw_without_rendering()
    scores = {"real": np.ones((5, 3)), "translated": np.zeros((5, 3))}
    figure = figure_discriminator({"real": BLACK, "translated": WHITE}, scores, (-3, 4, 10), title="PHANTOM")
    real, _, map_real, map_translated = figure.axes[:4]
    assert real.get_title() == "real\nmean score 1.00"
    (frame,) = real.patches
    assert (frame.get_xy(), frame.get_width()) == ((0.5, 4.5), 10)
    assert (map_real.patches[0].get_xy(), map_real.patches[0].get_width()) == ((-0.5, 0.5), 3), "the score is inside"
    bright, dark = (axes.images[0].get_array()[0, 0].sum() for axes in (map_real, map_translated))
    assert bright > dark
    assert [text.get_text() for text in figure.axes[-1].get_yticklabels()] == ["0 translated", "0.5", "1 real"]
    figure.draw_without_rendering()
