"""The common look, scale bars, and figures on disk."""

import json
import os

import numpy as np
import pytest
from matplotlib.colors import is_color_like
from matplotlib.figure import Figure
from PIL import Image

from histolib.viz import figure_patches, save_figure
from histolib.viz.style import COLOURS, PALETTE, add_scale_bar, colours, contact_sheet, style, wrapped


def test_names_have_fixed_colours_and_text_is_wrapped_around_formulas():
    assert all(map(is_color_like, COLOURS.values()))
    found = colours(["a", "missed", "b"])
    assert (found["missed"], len(set(found.values()))) == (COLOURS["missed"], 3)
    assert set(colours(map(str, range(20))).values()) == set(PALETTE)
    assert colours([]) == {}
    assert wrapped("one two three four five", 2) == "one two three\nfour five"
    assert wrapped("cycle: $|F(G(x))-x|+|G(F(y))-y|$", 1).split("\n")[1] == "$|F(G(x))-x|+|G(F(y))-y|$"
    assert wrapped("a\nb", 9) == "a\nb"
    assert wrapped("", 1) == ""


@pytest.mark.parametrize(
    ("mpp", "width", "length_um"), [(0.5, 200, 20), (0.25, 256, 20), (0.46, 1024, 100), (0.25, 90_000, 1000), (1, 3, 1)]
)
def test_the_bar_is_a_round_number_of_microns_below_the_image(mpp, width, length_um):
    with style():
        figure = Figure(figsize=(3, 3))
        axes = figure.subplots()
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


def test_a_figure_is_saved_as_a_16_9_png_and_pdf_of_the_same_bytes_with_a_note_below(tmp_path, patch):
    about = {"profile": "quick", "seed": 0}
    paths = save_figure(figure_patches({"a": [patch]}), "name", tmp_path / "new", about)
    assert paths == [tmp_path / "new" / "name.png", tmp_path / "new" / "name.pdf"]
    assert sorted(os.listdir(tmp_path / "new")) == ["name.pdf", "name.png"]
    with Image.open(paths[0]) as image:
        assert image.width >= 1920
        assert image.width / image.height == pytest.approx(16 / 9, abs=0.01)
        assert json.loads(image.info["Description"]) == about
    figure = figure_patches({"": [patch] * 2}, points={"": [{"log": [[3, 4]]}] * 2})
    (plain, pdf), again = (save_figure(figure, name, tmp_path) for name in ("plain", "again"))
    noted, _ = save_figure(figure, "noted", tmp_path, note="quick profile " * 5)
    assert [plain.read_bytes(), pdf.read_bytes()] == [path.read_bytes() for path in again]
    assert pdf.read_bytes().startswith(b"%PDF-")
    assert not figure.texts
    with Image.open(plain) as one, Image.open(noted) as other:
        differs = np.flatnonzero((np.asarray(one) != np.asarray(other)).any(axis=(1, 2)))
        assert other.size == one.size
    legend = figure.legends[0].get_window_extent()
    assert len(differs)
    assert differs.min() > one.height - legend.y0 * one.height / figure.bbox.height


@pytest.mark.parametrize(("count", "columns", "rows"), [(0, 1, 1), (1, 1, 1), (4, 4, 1), (9, 4, 3)])
def test_a_sheet_has_a_cell_for_every_picture(count, columns, rows):
    sheet = contact_sheet([(str(i), Image.new("RGB", (100, 300), "red")) for i in range(count)], cell_px=120)
    assert sheet.size == (columns * 120, rows * (80 + 26))
    red = (np.asarray(sheet) == (255, 0, 0)).all(axis=2).sum()
    assert (red > 0) == (count > 0)
