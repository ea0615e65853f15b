"""The viewers redraw on a change, say what they do and what went wrong, and are a still figure where nobody can click.

They hold with ipywidgets 7.7 as with 8: `.ci/run` runs `tests/viz/test_widgets*.py` with both.
"""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from histolib.imaging import Patch
from histolib.viz import browse, figure_counts, wipe
from histolib.viz.widgets_parts import BUSY


@pytest.fixture(autouse=True)
def clickable(monkeypatch):
    monkeypatch.delenv("HISTOLIB_HEADLESS", raising=False)


@pytest.fixture
def calls() -> list:
    return []


@pytest.fixture
def draw(calls):
    def run(tile, stain: str = "he") -> Figure:
        calls.append((tile, stain))
        if tile == "broken":
            raise ValueError("tile: expected an image, found none")
        if tile == "defect":
            raise KeyError("tile")
        return figure_counts({"dead": len(calls)}, stain)

    return run


def parts(box):
    row, status, picture, _ = box.children
    return row.children, status, picture


def pixels(picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.value)))


def test_headless_the_first_choice_is_a_figure(draw, calls, monkeypatch):
    monkeypatch.setenv("HISTOLIB_HEADLESS", "1")
    assert isinstance(browse(draw, {"tile": [4, 5], "stain": ["ihc", "he"]}), Figure)
    assert calls == [(4, "ihc")]


def test_a_change_redraws_with_all_values(draw, calls):
    (tile, stain), status, picture = parts(browse(draw, {"tile": [4, 5, 6], "stain": ["ihc", "he"]}))
    first = bytes(picture.value)
    assert first.startswith(b"\x89PNG")
    tile.value = 6
    stain.value = "he"
    assert calls == [(4, "ihc"), (6, "ihc"), (6, "he")]
    assert bytes(picture.value).startswith(b"\x89PNG")
    assert bytes(picture.value) != first
    assert status.value == ""


def test_it_is_busy_while_it_draws_and_not_after(calls):
    def look(tile):
        if tile:
            calls.append((status.value, BUSY in box._dom_classes))
        return figure_counts({"dead": tile}, "")

    box = browse(look, {"tile": range(3)})
    (tile,), status, _ = parts(box)
    tile.value = 2
    assert calls == [("drawing …", True)]
    assert (status.value, BUSY in box._dom_classes) == ("", False)


@pytest.mark.parametrize(
    ("wrong", "line"), [("broken", "tile: expected an image, found none"), ("defect", "KeyError: 'tile'")]
)
def test_what_went_wrong_is_a_line_below_which_the_last_picture_stays(draw, wrong, line):
    box = browse(draw, {"tile": ["a", wrong, "b"]})
    (tile,), status, picture = parts(box)
    before = picture.value
    tile.value = wrong
    assert (status.value, picture.value, BUSY in box._dom_classes) == (line, before, False)
    tile.value = "b"
    assert status.value == ""
    assert picture.value != before


def test_what_goes_wrong_at_first_is_raised(draw):
    with pytest.raises(ValueError, match="expected an image"):
        browse(draw, {"tile": ["broken"]})


def test_pairs_are_values_and_not_labels(draw, calls):
    (tile,), *_ = parts(browse(draw, {"tile": [("fold", 1), ("fold", 2)]}))
    tile.value = ("fold", 2)
    assert [first for first, _ in calls] == [("fold", 1), ("fold", 2)]


def test_what_can_be_chosen_follows_from_what_was_chosen_before(draw, calls):
    sizes, stains = {"BCI": 2, "PanNuke": 5}, {"BCI": ["he", "ihc"], "PanNuke": ["he"]}
    shown = browse(
        lambda data, tile, stain: draw((data, tile), stain),
        {
            "data": list(sizes),
            "tile": lambda chosen: range(sizes[chosen["data"]]),
            "stain": lambda chosen: stains[chosen["data"]],
        },
    )
    (data, tile, stain), *_ = parts(shown)
    assert tile.max == 1
    tile.value, stain.value = 1, "ihc"
    data.value = "PanNuke"
    assert (tile.max, tile.value) == (4, 1), "what can be kept is kept"
    assert (stain.value, stain.disabled) == ("he", True)
    tile.value = 4
    data.value = "BCI"
    assert (tile.max, tile.value, stain.disabled) == (1, 0, False)
    assert calls[3:] == [(("PanNuke", 1), "he"), (("PanNuke", 4), "he"), (("BCI", 0), "he")], "drawn once a change"


def test_a_choice_of_nothing_is_refused_at_first_and_a_line_later(draw, calls):
    with pytest.raises(ValueError, match="tile: expected something to choose from"):
        browse(draw, {"tile": range(0)})
    (data, tile), status, _ = parts(
        browse(
            lambda data, tile: draw(tile),
            {"data": ["full", "empty"], "tile": lambda c: range(3 * (c["data"] == "full"))},
        )
    )
    data.value = "empty"
    assert status.value.startswith("tile: expected something to choose from")
    assert len(calls) == 1
    data.value = "full"
    assert (status.value, tile.max, len(calls)) == ("", 2, 2)


BLACK, WHITE = (Patch(np.full((20, 20, 3), value, np.uint8), 0.5) for value in (60, 200))


def test_a_border_wipes_from_the_first_patch_to_the_second(calls):
    def pair(tile):
        calls.append(tile)
        return {"IHC": BLACK, "H&E": WHITE}

    (tile, border), status, picture = parts(wipe(pair, {"tile": range(2)}))
    assert (border.value, border.continuous_update) == (50, True)
    shares = []
    for border.value in (0, 25, 100):
        row = pixels(picture)[300, :, 0]
        dark, light = (row == 60).sum(), (row == 200).sum()
        shares.append(round(100 * dark / (dark + light)))
    assert shares == pytest.approx([0, 25, 100], abs=1)
    assert (calls, status.value) == ([0], ""), "the border moves without drawing anew"
    tile.value = 1
    tile.value = 0
    assert calls == [0, 1], "a pair is drawn once"


def test_what_moves_with_the_border_is_the_picture_alone():
    (_, border), _, picture = parts(wipe(lambda tile: {"a": BLACK, "b": WHITE}, {"tile": range(2)}))
    shown = []
    for border.value in (30, 70):
        shown.append(pixels(picture))
    differs = np.flatnonzero((shown[0] != shown[1]).any(axis=(1, 2)))
    above, below = shown[0][: differs[0]], shown[0][differs[-1] + 1 :]
    assert above.min() < 100, "the names stay"
    assert below.min() == 0, "the scale bar stays"


def test_headless_a_wipe_is_a_figure_with_the_border_in_the_middle(monkeypatch):
    monkeypatch.setenv("HISTOLIB_HEADLESS", "1")
    axes = wipe(lambda tile: {"IHC": BLACK, "H&E": WHITE}, {"tile": [3]}).axes[0]
    assert (axes.images[0].get_array()[0, :, 0] == 60).sum() == 10
    assert [axes.get_title(loc=side) for side in ("left", "right")] == ["IHC", "H&E"]
