"""One look, in the block alone, and a bar as long as it says."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import is_color_like

from histolib.viz import COLOURS, add_scale_bar, colour, style


def test_the_style_holds_inside_the_block_alone():
    before = mpl.rcParams["font.size"]
    with style():
        assert mpl.rcParams["font.size"] == 14
    assert mpl.rcParams["font.size"] == before


def test_figures_of_the_block_are_closed_and_those_of_the_reader_stay():
    mine = plt.figure()
    with style():
        plt.figure()
        with style():
            plt.figure()
    assert plt.get_fignums() == [mine.number]
    plt.close(mine)


def test_an_error_inside_leaves_nothing_open():
    def fail() -> None:
        with style():
            plt.figure()
            raise ValueError("no data")

    with pytest.raises(ValueError, match="no data"):
        fail()
    assert plt.get_fignums() == []


def test_every_name_has_a_colour():
    assert all(map(is_color_like, COLOURS.values()))
    assert colour("missed") == COLOURS["missed"]
    assert is_color_like(colour("something new"))


@pytest.mark.parametrize(
    ("mpp", "width", "length_um"), [(0.5, 200, 20), (0.25, 256, 20), (0.46, 1024, 100), (0.25, 90_000, 1000), (1, 3, 1)]
)
def test_the_bar_is_a_round_number_of_microns_below_the_image(mpp, width, length_um):
    with style():
        figure, axes = plt.subplots(figsize=(3, 3))
        axes.imshow(np.zeros((20, width), np.uint8), aspect="auto")
        limits = axes.get_xlim(), axes.get_ylim()
        add_scale_bar(axes, mpp, width)
        figure.draw_without_rendering()
    (line,) = axes.lines
    start, end = line.get_xdata()
    assert (end - start) * mpp == pytest.approx(length_um)
    assert axes.texts[0].get_text() == f" {length_um} µm"
    assert (axes.get_xlim(), axes.get_ylim()) == limits
    assert line.get_window_extent().y1 < axes.get_window_extent().y0, "it covers no tissue"
    assert axes.texts[0].get_window_extent().y1 < axes.get_window_extent().y0
