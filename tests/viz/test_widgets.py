"""The viewer redraws on a change, says what went wrong, and is a still figure where nobody can click."""

import ipywidgets
import pytest
from matplotlib.figure import Figure

from histolib.viz import browse, figure_counts


@pytest.fixture
def calls() -> list:
    return []


@pytest.fixture
def draw(calls):
    def run(tile, stain: str = "he") -> Figure:
        calls.append((tile, stain))
        if tile == "broken":
            raise ValueError("tile: expected an image, found none")
        return figure_counts({"dead": len(calls)}, stain)

    return run


def parts(box):
    controls, picture = box.children
    return controls.children[:-1], controls.children[-1], picture


def test_headless_the_first_choice_is_a_figure(draw, calls, monkeypatch):
    monkeypatch.setenv("HISTOLIB_HEADLESS", "1")
    assert isinstance(browse(draw, {"tile": [4, 5], "stain": ["ihc", "he"]}), Figure)
    assert calls == [(4, "ihc")]


def test_a_change_redraws_with_all_values(draw, calls, monkeypatch):
    monkeypatch.delenv("HISTOLIB_HEADLESS", raising=False)
    (tile, stain), status, picture = parts(browse(draw, {"tile": [4, 5, 6], "stain": ["ihc", "he"]}))
    assert isinstance(tile, ipywidgets.SelectionSlider)
    assert isinstance(stain, ipywidgets.Dropdown)
    first = bytes(picture.value)
    assert first.startswith(b"\x89PNG")
    tile.value = 6
    stain.value = "he"
    assert calls == [(4, "ihc"), (6, "ihc"), (6, "he")]
    assert bytes(picture.value).startswith(b"\x89PNG")
    assert bytes(picture.value) != first
    assert status.value == ""


def test_a_slider_goes_up_and_starts_at_the_first_choice(draw, calls, monkeypatch):
    monkeypatch.delenv("HISTOLIB_HEADLESS", raising=False)
    (tile, stain), *_ = parts(browse(draw, {"tile": [0.5, 0.8, 0.2], "stain": [True, False]}))
    assert list(tile.options) == [0.2, 0.5, 0.8]
    assert (tile.value, calls) == (0.5, [(0.5, True)])
    assert isinstance(stain, ipywidgets.Dropdown), "yes or no is no number"


def test_what_went_wrong_is_said_and_the_next_change_draws_again(draw, monkeypatch):
    monkeypatch.delenv("HISTOLIB_HEADLESS", raising=False)
    (tile,), status, picture = parts(browse(draw, {"tile": ["a", "broken", "b"]}))
    before = picture.value
    tile.value = "broken"
    assert status.value == "tile: expected an image, found none"
    assert picture.value == before
    tile.value = "b"
    assert status.value == ""
    assert picture.value != before


def test_pairs_are_values_and_not_labels(draw, calls, monkeypatch):
    monkeypatch.delenv("HISTOLIB_HEADLESS", raising=False)
    (tile,), *_ = parts(browse(draw, {"tile": [("fold", 1), ("fold", 2)]}))
    tile.value = ("fold", 2)
    assert [first for first, _ in calls] == [("fold", 1), ("fold", 2)]
