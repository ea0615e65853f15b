"""A tile layer by layer: the right stain below, the right marks above, and tiles of nothing."""

import matplotlib as mpl
import numpy as np
import pytest

from histolib.imaging import Patch, rgb_from_density, separate_stains
from histolib.viz import CHANNELS, LAYERS, colour, figure_layers, figure_matches

XY = np.array([[5.0, 5], [15, 15], [55, 37]])
TYPES = ["dead", "epithelial", "dead"]


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


@pytest.mark.parametrize(("stain", "second"), [("H&E", "eosin"), ("IHC", "DAB")])
def test_each_channel_is_named_and_shown(patch, stain, second):
    names = {
        channel: titles(figure_layers({stain: patch}, channel, title="tile 3"))[0].split(", ") for channel in CHANNELS
    }
    assert names == {
        "image": [stain, "tile 3"],
        "hematoxylin": [stain, "tile 3", "hematoxylin"],
        "second stain": [stain, "tile 3", second],
        "summed density": [stain, "tile 3", "summed density"],
    }


@pytest.mark.parametrize(("channel", "number"), [("hematoxylin", 0), ("second stain", 1)])
def test_a_stain_is_shown_in_shades_of_its_own_colour(patch, channel, number):
    image = figure_layers({"IHC": patch}, channel).axes[0].images[0]
    expected = separate_stains(patch.image, "hematoxylin", "dab")[..., number].clip(0)
    assert np.allclose(image.get_array(), expected)
    assert mpl.colors.to_hex(image.cmap(1.0)) == colour(("hematoxylin", "dab")[number]).lower()
    assert mpl.colors.to_hex(image.cmap(0.0)) == "#ffffff"


def test_summed_density_is_that_of_all_channels():
    grey = Patch(rgb_from_density(np.full((8, 8, 3), 0.5)), 0.5)
    assert np.allclose(figure_layers({"H&E": grey}, "summed density").axes[0].images[0].get_array(), 1.5, atol=0.01)


def test_points_are_coloured_by_type_or_all_alike(patch):
    by_type, alike, bare = (
        {each.get_label(): each.get_offsets().tolist() for each in figure.axes[0].collections}
        for figure in (
            figure_layers({"IHC": patch}, "image", layer, XY, TYPES) for layer in ("types", "points", "none")
        )
    )
    assert by_type == {"dead": XY[[0, 2]].tolist(), "epithelial": XY[[1]].tolist()}
    assert alike == {"annotated": XY.tolist()}
    assert bare == {}


def test_outlines_are_coloured_by_type_or_all_alike(patch, instances):
    names = ["dead", "epithelial", "never seen", "connective"]
    by_type = figure_layers({"H&E": patch}, "image", "types", XY, names, instances)
    alike = figure_layers({"H&E": patch}, "hematoxylin", "outlines", XY, names, instances)
    shades = [
        [mpl.colors.to_hex(each).upper() for each in figure.axes[0].collections[0].get_colors()]
        for figure in (by_type, alike)
    ]
    assert shades == [[colour(name) for name in ("dead", "epithelial", "connective")], ["#FFEE33"] * 3]
    assert "dead" in [text.get_text() for text in by_type.legends[0].get_texts()]
    assert alike.legends == []


@pytest.mark.parametrize("layer", LAYERS)
def test_tiles_without_nuclei_are_drawn(patch, layer):
    nothing = np.zeros(patch.image.shape[:2], int)
    figure_layers({"H&E": patch, "IHC": patch}, "image", layer, [], [], nothing).draw_without_rendering()
    figure_layers({"IHC": patch}, "second stain", layer, np.zeros((0, 2)), [], nothing).draw_without_rendering()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"channel": "red"}, "channel: expected one of image"),
        ({"layer": "stars"}, "layer: expected one of types"),
        ({"layer": "points"}, "layer points: expected xy"),
        ({"layer": "outlines", "xy": XY}, "layer outlines: expected instances"),
    ],
)
def test_what_is_not_there_is_refused(patch, asked, message):
    with pytest.raises(ValueError, match=message):
        figure_layers({"IHC": patch}, **asked)


def test_found_and_annotated_nuclei_are_outlined_by_whether_they_have_a_partner(patch, instances):
    shades = [
        [mpl.colors.to_hex(each).upper() for each in axes.collections[0].get_colors()]
        for axes in figure_matches(patch, instances, instances, [2], [1, 4], ("a", "b")).axes
    ]
    matched, missed, false = (colour(name) for name in ("matched", "missed", "false"))
    assert shades == [[false, matched, false], [matched, missed, matched]]
    gaps = np.where(instances == 2, 900, 0)
    legend = figure_matches(patch, gaps, gaps, [900], [900], ("a", "b")).legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["matched"], "ids that are not there have no name"


def test_nothing_found_of_nothing_annotated_is_drawn(patch):
    nothing = np.zeros(patch.image.shape[:2], np.int32)
    figure_matches(patch, nothing, nothing, [], [], ("", "")).draw_without_rendering()
