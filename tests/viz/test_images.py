"""Figures of tissue: marks in the right place, and figures of nothing."""

import matplotlib as mpl
import numpy as np
import pytest

from histolib.imaging import Patch, rgb_from_density, separate_stains
from histolib.viz import figure_layers, figure_maps, figure_patches
from histolib.viz.images import CHANNELS, LAYERS, figure_before_after, outcomes
from histolib.viz.style import COLOURS

NONE = np.zeros((0, 2))
XY = np.array([[5.0, 5], [15, 15], [55, 37]])
TYPES = ["dead", "epithelial", "dead"]


def titles(figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes]


def marks(axes) -> dict[str, list]:
    return {each.get_label(): each.get_offsets().tolist() for each in axes.collections}


def hexes(collection) -> list[str]:
    return [mpl.colors.to_hex(each).upper() for each in collection.get_colors()]


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_grids_have_rows_columns_bars_and_detections_of_three_shapes(patch):
    figure = figure_patches({"H&E": [patch, patch], "IHC": [patch], "none": []}, ["one", "two"], title="PHANTOM")
    assert (titles(figure), figure.get_suptitle(), figure.legends) == (["one", "two", "", "", "", ""], "PHANTOM", [])
    assert [figure.axes[i].texts[-1].get_text() for i in (0, 2, 4)] == ["H&E", "IHC", "none"]
    axes = figure_patches({"": [patch]}, points={"": [{"log": [[-50, 500]]}]}).axes[0]
    assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 59.5), (39.5, -0.5))

    def bars(other):
        figure = figure_patches({"a": [patch, patch], "b": [patch, other]})
        return ["µm" in axes.texts[0].get_text() if axes.texts else False for axes in figure.axes]

    assert (bars(patch), bars(Patch(patch.image, 0.25))) == ([False, False, True, True], [True] * 4)
    pred, true = np.array([[1.0, 1], [2, 2], [3, 3]]), np.array([[1.0, 1.5], [9, 9]])
    found = outcomes(pred, true, np.array([0]), np.array([0]))
    expected = {"matched": [[1, 1]], "missed": [[9, 9]], "false": [[2, 2], [3, 3]]}
    assert {name: xy.tolist() for name, xy in found.items()} == expected
    drawn = figure_patches({"": [patch]}, points={"": [found]}).axes[0].collections
    assert len({len(each.get_paths()[0]) for each in drawn}) == 3
    nothing = outcomes(NONE, NONE, np.zeros(0, int), np.zeros(0, int))
    assert [len(xy) for xy in nothing.values()] == [0, 0, 0]


@pytest.mark.parametrize(
    "figure",
    [
        lambda patch, empty: figure_patches({}, title="nothing"),
        lambda patch, empty: figure_patches({"a": [], "b": []}),
        lambda patch, empty: figure_maps(patch, {}),
        lambda patch, empty: figure_maps(patch, {"np": empty * 0.0, "hv": empty * 0.0, "ids": empty}),
        *(
            lambda patch, empty, layer=layer: figure_layers(
                {"H&E": patch, "IHC": patch}, "second stain", layer, xy=[], types=[], instances=empty, title="a tile"
            )
            for layer in LAYERS
        ),
    ],
)
def test_figures_without_patches_and_without_nuclei_are_drawn(patch, figure):
    figure(patch, np.zeros(patch.image.shape[:2], np.int32)).draw_without_rendering()


@pytest.mark.parametrize(
    ("count", "shape", "grid"), [(1, (9, 9), (1, 1)), (3, (9, 9), (1, 3)), (5, (9, 9), (2, 3)), (3, (8, 64), (3, 1))]
)
def test_one_row_is_wrapped_so_that_patches_are_large_and_each_has_its_title(count, shape, grid):
    tile = Patch(np.zeros((*shape, 3), np.uint8), 0.5)
    figure = figure_patches({"": [tile] * count}, [str(i) for i in range(count)])
    assert figure.axes[0].get_gridspec().get_geometry() == grid
    assert titles(figure)[:count] == [str(i) for i in range(count)]


@pytest.mark.parametrize("xy", [NONE, [], [[3, 4]], np.ones((1000, 2))])
def test_points_are_drawn_where_they_are_and_changes_are_hollow(patch, xy):
    figure = figure_patches({"a": [patch], "b": [patch]}, points={"b": [{"log": xy, "od": [[1, 2]]}]})
    expected = {"log": np.asarray(xy, float).reshape(-1, 2).tolist(), "od": [[1, 2]]}
    assert [marks(axes) for axes in figure.axes] == [{}, expected]
    first, second = figure.axes[1].collections
    assert len(first.get_paths()[0]) != len(second.get_paths()[0]), "sets differ in shape"
    assert legend(figure) == ["log", "od"]
    sets = {"lost": [[3, 4]], "new": [[1, 2]], "found": [[5, 6]]}
    lost, new, found = figure_patches({"": [patch]}, points={"": [sets]}).axes[0].collections
    assert [len(each.get_facecolors()) for each in (lost, new, found)] == [0, 0, 1]
    assert len(lost.get_paths()[0]) != len(new.get_paths()[0])


def test_outlines_and_maps_are_drawn_in_the_right_place_and_colour(patch, instances):
    names = ["neoplastic", "dead", "never seen", "connective"]
    figure = figure_patches({"": [patch, patch]}, outlines={"": [(instances, names), (instances * 0, [])]})
    (lines,), (none,) = (axes.collections for axes in figure.axes)
    boxes = [(*path.vertices.min(0), *path.vertices.max(0)) for path in lines.get_paths()]
    assert boxes == [(-0.5, -0.5, 5.5, 5.5), (9.5, 9.5, 19.5, 19.5), (49.5, 34.5, 59.5, 39.5)]
    assert hexes(lines) == [COLOURS[name] for name in ("neoplastic", "dead", "connective")]
    assert none.get_paths() == []
    assert legend(figure) == ["neoplastic", "dead", "connective"], "only types that are drawn"
    alike = figure_patches({"": [patch]}, outlines={"": [(instances, None)]})
    assert (len(set(hexes(alike.axes[0].collections[0]))), alike.legends) == (1, [])
    signed = np.linspace(-1, 1, 2400).reshape(40, 60)
    maps = {"np": np.full((40, 60), 0.2), "hv": signed, "ids": instances, "mask": signed > 0}
    figure = figure_maps(patch, maps, title="PHANTOM")
    shown = {axes.get_title(): axes.images[0] for axes in figure.axes if axes.get_title()}
    assert list(shown) == ["image", *maps]
    limits = {name: image.get_clim() for name, image in shown.items() if name not in ("image", "ids")}
    assert limits == {"np": (0, 1), "hv": (-1, 1), "mask": (0, 1)}
    assert (shown["ids"].get_array().mask == (instances == 0)).all()


@pytest.mark.parametrize(("stain", "second"), [("H&E", "eosin"), ("IHC", "DAB")])
def test_each_channel_is_named(patch, stain, second):
    found = [titles(figure_layers({stain: patch}, channel))[0] for channel in CHANNELS]
    assert found == [stain, *(f"{stain}, {name}" for name in ("hematoxylin", second, "summed density"))]


@pytest.mark.parametrize(("channel", "number"), [("hematoxylin", 0), ("second stain", 1)])
def test_a_stain_is_shown_in_shades_of_its_own_colour(patch, channel, number):
    image = figure_layers({"IHC": patch}, channel).axes[0].images[0]
    expected = separate_stains(patch.image, "hematoxylin", "dab")[..., number].clip(0)
    assert np.allclose(image.get_array(), expected)
    assert mpl.colors.to_hex(image.cmap(1.0)) == COLOURS[("hematoxylin", "dab")[number]].lower()
    assert mpl.colors.to_hex(image.cmap(0.0)) == "#ffffff"
    grey = Patch(rgb_from_density(np.full((8, 8, 3), 0.5)), 0.5)
    assert np.allclose(figure_layers({"H&E": grey}, "summed density").axes[0].images[0].get_array(), 1.5, atol=0.01)


def test_annotations_are_coloured_by_type_or_all_alike(patch, instances):
    kinds = {"dead": XY[[0, 2]].tolist(), "epithelial": XY[[1]].tolist()}
    for layer, expected in (("types", kinds), ("points", {"annotated": XY.tolist()})):
        assert marks(figure_layers({"IHC": patch}, layer=layer, xy=XY, types=TYPES).axes[0]) == expected
    assert marks(figure_layers({"IHC": patch}, xy=XY, types=TYPES).axes[0]) == {}
    names = ["dead", "epithelial", "never seen", "connective"]
    given = {"xy": XY, "types": names, "instances": instances}
    by_type = figure_layers({"H&E": patch}, layer="types", **given)
    alike = figure_layers({"H&E": patch}, "hematoxylin", "outlines", **given)
    shades = [hexes(figure.axes[0].collections[0]) for figure in (by_type, alike)]
    assert shades == [[COLOURS[name] for name in ("dead", "epithelial", "connective")], [COLOURS["annotated"]] * 3]
    assert (legend(by_type), alike.legends) == (["dead", "epithelial", "connective"], [])


@pytest.mark.parametrize(("border", "black"), [(0.0, 0), (0.25, 5), (0.5, 10), (1.0, 20)])
def test_the_first_patch_is_left_of_the_border_and_the_second_right_of_it(border, black):
    first, second = (Patch(np.full((8, 20, 3), value, np.uint8), 0.5) for value in (0, 255))
    figure = figure_before_after({"IHC": first, "H&E": second}, border)
    (axes,) = figure.axes
    shown = axes.images[0].get_array()
    assert (shown[:, :black] == 0).all()
    assert (shown[:, black:] == 255).all()
    assert axes.get_title("left") == ("IHC" if border > 0 else "")
    assert axes.get_title("right") == ("H&E" if border < 1 else "")
    assert all(line.get_xdata()[0] == black - 0.5 for line in axes.lines[-2:])
    dot = Patch(np.zeros((1, 1, 3), np.uint8), 0.5)
    figure_before_after({"a": dot, "b": dot}, border).draw_without_rendering()
