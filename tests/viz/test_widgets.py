"""Viewers redraw after a change, show their status and errors, and are still figures where there is no browser.

They work with ipywidgets 7.7 and 8: `.ci/run` runs `tests/viz/test_widgets*.py` with both.
"""

import io
from datetime import UTC, datetime

import ipywidgets
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from histolib.imaging import Patch
from histolib.viz import before_after, browse, figure_intervals, upload

BLACK, WHITE = (Patch(np.full((20, 20, 3), value, np.uint8), 0.5) for value in (60, 200))


@pytest.fixture(autouse=True)
def calls(monkeypatch) -> list:
    monkeypatch.delenv("HISTOLIB_HEADLESS", raising=False)
    return []


@pytest.fixture
def draw(calls):
    def run(tile, stain: str = "he") -> Figure:
        calls.append((tile, stain))
        if tile == "broken":
            raise ValueError("tile: expected an image, found none")
        if tile == "defect":
            raise KeyError("tile")
        return figure_intervals({"dead": {"n": len(calls)}}, stain)

    return run


def parts(box):
    row, status, *_, picture, _ = box.children
    return row.children, status, picture


def test_a_change_redraws_with_all_values_and_shows_that_it_is_busy(draw, calls):
    def look(**chosen):
        states.append(status.value if calls else None)
        return draw(**chosen)

    states: list = []
    (tile, stain), status, picture = parts(browse(look, {"tile": [4, 5, 6], "stain": ["ihc", "he"]}))
    first = bytes(picture.value)
    tile.value = 6
    stain.value = "he"
    assert (calls, states[1:], status.value) == ([(4, "ihc"), (6, "ihc"), (6, "he")], ["drawing …"] * 2, "")
    assert bytes(picture.value) != first


def test_without_a_browser_viewers_are_still_figures(draw, calls, find, example, monkeypatch):
    monkeypatch.setenv("HISTOLIB_HEADLESS", "1")
    assert isinstance(browse(draw, {"tile": [4, 5], "stain": ["ihc", "he"]}), Figure)
    assert isinstance(upload(find, example, 0.5, {"marker": ["nuclear"]}), Figure)
    assert calls == [(4, "ihc"), (b"an example", "example.png", 0.5, {"marker": "nuclear"})]
    axes = before_after(lambda tile: {"IHC": BLACK, "H&E": WHITE}, {"tile": [3]}).axes[0]
    assert (axes.images[0].get_array()[0, :, 0] == 60).sum() == 10
    assert [axes.get_title(loc=side) for side in ("left", "right")] == ["IHC", "H&E"]


@pytest.mark.parametrize(
    ("wrong", "line"), [("broken", "tile: expected an image, found none"), ("defect", "KeyError: 'tile'")]
)
def test_an_error_is_raised_first_and_a_status_line_later_and_the_last_picture_stays(draw, calls, wrong, line):
    for values, message in ((["broken"], "expected an image"), (range(0), "tile: expected at least one value")):
        with pytest.raises(ValueError, match=message):
            browse(draw, {"tile": values})
    (tile,), status, picture = parts(browse(draw, {"tile": ["a", wrong, "b"]}))
    before = picture.value
    tile.value = wrong
    assert (status.value, picture.value) == (line, before)
    tile.value = "b"
    assert (status.value, picture.value != before) == ("", True)
    calls.clear()
    choices = {"data": ["full", "empty"], "tile": lambda chosen: range(3 if chosen["data"] == "full" else 0)}
    (data, tile), status, _ = parts(browse(lambda data, tile: draw(tile), choices))
    data.value = "empty"
    assert (status.value[:37], len(calls)) == ("tile: expected at least one value, fo", 1)
    data.value = "full"
    assert (status.value, len(tile.options), len(calls)) == ("", 3, 2)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (range(3), ipywidgets.SelectionSlider),
        ([0.5, 2], ipywidgets.SelectionSlider),
        ([True, False], ipywidgets.Checkbox),
        ([1, "two"], ipywidgets.Dropdown),
        ([("fold", 1)], ipywidgets.Dropdown),
    ],
)
def test_the_control_fits_the_values_and_numbers_are_sorted(draw, calls, values, kind):
    (control,), *_ = parts(browse(lambda a_name: draw(a_name), {"a_name": values}))
    assert type(control) is kind
    assert (control.value, control.description, control.disabled) == (values[0], "a name", len(values) == 1)
    control.value = values[-1]
    assert [first for first, _ in calls] == list(dict.fromkeys((values[0], values[-1])))
    (tile,), *_ = parts(browse(draw, {"tile": [0.5, 0.8, 0.1 + 0.2, 0.5]}))
    assert [label for label, _ in tile.options] == ["0.3", "0.5", "0.8"]
    assert (tile.value, tile.continuous_update) == (0.5, False), "it starts at the first one"
    (tile,), *_ = parts(browse(draw, {"tile": range(9)}, live=["tile"]))
    assert tile.continuous_update


def test_choices_follow_from_the_values_before_them(draw, calls):
    sizes, stains = {"BCI": 2, "PanNuke": 5}, {"BCI": ["he", "ihc"], "PanNuke": ["he"]}
    choices = {"data": list(sizes), "tile": lambda chosen: range(sizes[chosen["data"]])}
    choices["stain"] = lambda chosen: stains[chosen["data"]]
    (data, tile, stain), *_ = parts(browse(lambda data, tile, stain: draw((data, tile), stain), choices))
    assert len(tile.options) == 2
    tile.value, stain.value = 1, "ihc"
    data.value = "PanNuke"
    assert (len(tile.options), tile.value) == (5, 1), "a value that is still offered is kept"
    assert (stain.value, stain.disabled) == ("he", True)
    tile.value, data.value = 4, "BCI"
    assert (len(tile.options), tile.value, stain.disabled) == (2, 0, False)
    assert calls[3:] == [(("PanNuke", 1), "he"), (("PanNuke", 4), "he"), (("BCI", 0), "he")], "one drawing a change"


def test_a_border_moves_between_two_patches_that_are_made_once(calls):
    def pair(tile):
        calls.append(tile)
        return {"IHC": BLACK, "H&E": WHITE}

    (tile, border), status, picture = parts(before_after(pair, {"tile": range(2)}))
    assert (border.value, border.continuous_update) == (50, True)
    shares = []
    for border.value in (0, 25, 100):
        row = np.asarray(Image.open(io.BytesIO(picture.value)).convert("RGB"))[300, :, 0]
        dark, light = (row == 60).sum(), (row == 200).sum()
        shares.append(round(100 * dark / (dark + light)))
    assert shares == pytest.approx([0, 25, 100], abs=1)
    tile.value = 1
    tile.value = 0
    assert (calls, status.value) == ([0, 1], "")


@pytest.fixture
def example(tmp_path):
    path = tmp_path / "example.png"
    path.write_bytes(b"an example")
    return path


@pytest.fixture
def find(calls):
    def run(content, name, mpp, **chosen):
        calls.append((content, name, mpp, chosen))
        if content == b"broken":
            raise ValueError(f"{name}: expected an image")
        return figure_intervals({"nuclei": {"n": len(content)}}, f"{mpp:g} {chosen}"), {f"{name}.csv": content}

    return run


def choose(field, name, content):
    """Set the value in the form of the installed version: a dictionary by name in 7, a tuple of records in 8."""
    record = {"name": name, "type": "", "size": 3, "content": content, "last_modified": datetime.now(UTC)}
    field.set_trait("value", {name: record} if ipywidgets.__version__.startswith("7") else (record,))


def test_an_upload_and_a_changed_scale_or_choice_are_shown(find, calls, example):
    row, status, links, picture, _ = upload(find, example, 0.25, {}).children
    field, scale = row.children
    assert scale.value == 0.25
    assert 'download="example.png.csv"' in links.value
    for content, fails in ((b"abc", False), (b"broken", True), (b"abcd", False)):
        choose(field, "a<b.png", content)
        assert calls[-1] == (content, "a<b.png", 0.25, {})
        assert status.value == ("a<b.png: expected an image" if fails else "")
        assert ('download="a&lt;b.png.csv"' in links.value) != fails
        assert bytes(picture.value).startswith(b"\x89PNG"), "an error leaves the last picture"
    calls.clear()
    row, *_ = upload(find, example, 0.3, {"marker": ["nuclear", "membrane"]}).children
    _, scale, marker = row.children
    scale.value, marker.value = 0.4, "membrane"
    last = (b"an example", "example.png", 0.4, {"marker": "membrane"})
    assert (len(calls), calls[-1]) == (3, last)
