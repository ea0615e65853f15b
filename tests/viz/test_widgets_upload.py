"""A picture of one's own is looked at, its results can be taken home, and headless the example stands in."""

from datetime import UTC, datetime

import ipywidgets
import pytest
from matplotlib.figure import Figure

from histolib.viz import figure_counts, upload


@pytest.fixture(autouse=True)
def clickable(monkeypatch):
    monkeypatch.delenv("HISTOLIB_HEADLESS", raising=False)


@pytest.fixture
def example(tmp_path):
    path = tmp_path / "example.png"
    path.write_bytes(b"an example")
    return path


def found(content, name, mpp, **chosen):
    if content == b"broken":
        raise ValueError(f"{name}: expected an image")
    return figure_counts({"nuclei": len(content)}, f"{mpp:g} {chosen}"), {f"{name}.csv": content}


def choose(monkeypatch, field, name, content, version):
    """As each version hands over what was chosen: a dictionary by name in 7, a tuple of records in 8."""
    record = {"name": name, "content": memoryview(content)}
    monkeypatch.setattr(type(field), "value", {name: record} if version == 7 else (record,))


@pytest.mark.parametrize("version", [7, 8])
def test_an_uploaded_picture_is_looked_at_and_its_results_can_be_downloaded(monkeypatch, example, version):
    row, status, links, picture, _ = upload(found, example, mpp=0.25).children
    field, scale, start = row.children
    assert scale.value == 0.25
    for content, fails in ((b"abc", False), (b"broken", True), (b"abcd", False)):
        choose(monkeypatch, field, "a<b.png", content, version)
        start.click()
        assert status.value == ("a<b.png: expected an image" if fails else "")
        assert ('download="a&lt;b.png.csv"' in links.value) != fails
        assert not start.disabled
        assert bytes(picture.value).startswith(b"\x89PNG"), "an error leaves the last picture"


def test_it_is_busy_while_it_looks(example):
    seen = []

    def look(*args):
        seen.append((status.value, start.disabled))
        return found(*args)

    row, status, *_ = upload(look, example).children
    *_, start = row.children
    start.click()
    assert seen == [("looking at example.png …", True)]


def test_it_names_what_was_chosen(example):
    row, status, *_ = upload(found, example).children
    record = {"name": "mine.png", "type": "", "size": 3, "content": b"abc", "last_modified": datetime.now(UTC)}
    old = ipywidgets.__version__.startswith("7")
    row.children[0].set_trait("value", {"mine.png": record} if old else (record,))
    assert status.value == "mine.png is here"


def test_without_a_choice_the_example_is_looked_at_with_what_else_was_chosen(example):
    seen = []

    def look(*args, **more):
        seen.append((*args, more))
        return found(*args, **more)

    row, *_ = upload(look, example, 0.3, {"marker": ["nuclear", "membrane"]}).children
    _, scale, marker, start = row.children
    scale.value, marker.value = 0.4, "membrane"
    start.click()
    assert seen == [(b"an example", "example.png", 0.4, {"marker": "membrane"})]


def test_an_example_that_is_gone_is_a_line(example):
    row, status, *_ = upload(found, example).children
    example.unlink()
    row.children[-1].click()
    assert "example.png" in status.value


def test_headless_an_upload_is_the_figure_of_the_example(monkeypatch, example):
    monkeypatch.setenv("HISTOLIB_HEADLESS", "1")
    assert isinstance(upload(found, example, choices={"marker": ["nuclear"]}), Figure)
