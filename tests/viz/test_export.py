"""Figures on disk: whole, sharp enough for a projector, and the same bytes for the same figure."""

import os

import pytest
from matplotlib.figure import Figure
from PIL import Image

from histolib.viz import figure_counts, figure_patches, save_figure


def test_a_figure_is_written_as_png_of_200_dpi_and_pdf(tmp_path, patch):
    paths = save_figure(figure_patches({"a": [patch]}), "name", tmp_path / "new")
    assert paths == [tmp_path / "new" / "name.png", tmp_path / "new" / "name.pdf"]
    assert sorted(os.listdir(tmp_path / "new")) == ["name.pdf", "name.png"]
    with Image.open(paths[0]) as image:
        assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
        assert min(image.size) > 300
        image.load()
    content = paths[1].read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    first, second = (save_figure(figure_counts({"dead": 3}, "nuclei"), name, tmp_path) for name in "ab")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_a_write_that_fails_leaves_the_old_figure(tmp_path, monkeypatch):
    figure = figure_counts({"dead": 3}, "nuclei")
    png, pdf = save_figure(figure, "a", tmp_path)
    before = png.read_bytes(), pdf.read_bytes()

    def full(self, path, **_):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(OSError, match="disk full"):
        save_figure(figure, "a", tmp_path)
    assert (png.read_bytes(), pdf.read_bytes()) == before
    assert sorted(os.listdir(tmp_path)) == ["a.pdf", "a.png"]
