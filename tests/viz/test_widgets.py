"""The viewer redraws on a change, says what went wrong, and is a still figure where nobody can click."""

import ipywidgets
import pytest
from matplotlib.figure import Figure

from histolib.viz import browse, figure_counts, upload


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


def found(content, name, mpp):
    if content == b"broken":
        raise ValueError(f"{name}: expected an image")
    return figure_counts({"nuclei": len(content)}, f"{mpp:g}"), {f"{name}.csv": b"x,y"}


@pytest.mark.parametrize("version", [7, 8])
def test_an_uploaded_picture_is_looked_at_and_its_results_can_be_downloaded(monkeypatch, version):
    monkeypatch.delenv("HISTOLIB_HEADLESS", raising=False)

    def give(content):
        record = {"name": "a<b.png", "content": memoryview(content)}
        return ({record["name"]: record} if version == 7 else (record,)), content

    bar, links, picture = upload(found, mpp=0.25).children
    chosen, scale, start, status = bar.children
    start.click()
    assert status.value == "choose a picture first"
    assert scale.value == 0.25
    for content, fails in ((b"abc", False), (b"broken", True), (b"abcd", False)):
        value, _ = give(content)
        monkeypatch.setattr(type(chosen), "value", value)
        start.click()
        assert status.value == ("a<b.png: expected an image" if fails else "")
        assert ('download="a&lt;b.png.csv"' in links.value) != fails
        assert not start.disabled
    assert bytes(picture.value).startswith(b"\x89PNG")


def test_headless_an_upload_says_what_to_do(monkeypatch):
    monkeypatch.setenv("HISTOLIB_HEADLESS", "1")
    assert "browser" in upload(found)
