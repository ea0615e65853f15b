"""The notebooks' viewers in a real browser: a control moved, the picture changed, nothing in the console."""

import base64
import shutil

import pytest


@pytest.fixture
def keys():
    from selenium.webdriver.common.keys import Keys

    return Keys


def test_a_viewer_says_that_it_draws_before_it_has_drawn_and_what_went_wrong(page, keys):
    page.open("slow")
    first = page.picture()
    page.slide("tile", keys.ARROW_RIGHT)
    page.until(lambda: "drawing …" in page.said(), "the busy line")
    page.until(lambda: float(page.all("img.widget-image")[0].value_of_css_property("opacity")) < 0.5, "a faded picture")
    assert page.picture() == first, "it is still at work"
    page.keep("busy")
    (page.folder / "go").touch()
    second = page.new_picture(first, "another picture")
    assert "drawing …" not in page.said()
    page.slide("tile", keys.ARROW_RIGHT)
    page.until(lambda: "tile 2: expected an image, found none" in page.said(), "the error line")
    assert not page.all(".histolib-busy")
    assert page.picture() == second, "the last good picture stays"
    page.keep("error")
    assert page.complaints() == []


def test_a_slider_follows_the_set_and_each_control_changes_the_picture(page):
    page.open("sets")
    first = page.picture()
    assert page.drag("tile", 300) == "2"
    second = page.new_picture(first, "another tile")
    page.choose("split", "ids 2000 to 2004")
    third = page.new_picture(second, "another run")
    assert page.drag("tile", 300) == "4"
    fourth = page.new_picture(third, "its last tile")
    page.choose("channel", "second stain")
    fifth = page.new_picture(fourth, "DAB")
    page.keep("sets_dab")
    page.choose("dataset", "PanNuke")
    sixth = page.new_picture(fifth, "another set")
    assert page.drag("tile", 300) == "1"
    seventh = page.new_picture(sixth, "its last tile")
    page.choose("annotation", "outlines")
    eighth = page.new_picture(seventh, "outlines")
    page.choose("channel", "image")
    ninth = page.new_picture(eighth, "outlines on the picture")
    page.keep("sets_outlines")
    page.choose("dataset", "BCI")
    tenth = page.new_picture(ninth, "pairs")
    page.choose("split", "test")
    page.new_picture(tenth, "the only test pair")
    assert page.within("tile", ".widget-readout").text == "0"
    page.keep("sets_pair")
    assert {"drawing …", "busy"} <= set(page.seen())
    assert page.complaints() == []


def test_a_border_is_dragged_over_the_picture(page, keys):
    page.open("wipe")
    first = page.picture()
    assert 0 < int(page.drag("border (%)", -15)) < 45
    second = page.new_picture(first, "the border further left")
    page.keep("wipe_left")
    page.choose("route", "od")
    third = page.new_picture(second, "another route")
    page.slide("tile", keys.ARROW_RIGHT)
    page.new_picture(third, "another tile")
    page.keep("wipe")
    assert {"drawing …", "busy"} <= set(page.seen())
    assert page.complaints() == []


def test_thresholds_cut_live_maps(page, keys):
    page.open("thresholds")
    shown = page.picture()
    for name, key in (("np threshold", "ARROW_RIGHT"), ("edge threshold", "END"), ("opening px", "ARROW_RIGHT")):
        page.slide(name, getattr(keys, key))
        shown = page.new_picture(shown, f"another {name}")
        page.keep(f"thresholds_{name.split()[0]}")
    assert {"drawing …", "busy"} <= set(page.seen())
    assert page.complaints() == []


def test_routes_are_explored_by_radius_and_outcome(page, keys):
    page.open("routes")
    first = page.picture()
    page.slide("radius", keys.HOME)
    second = page.new_picture(first, "a smaller radius")
    page.keep("routes")
    page.within("false", "input[type=checkbox]").click()
    third = page.new_picture(second, "no false points")
    page.choose("route", "od")
    page.new_picture(third, "another route")
    page.keep("routes_without_false")
    assert {"drawing …", "busy"} <= set(page.seen())
    assert page.complaints() == []


def test_a_picture_is_uploaded_and_its_results_can_be_downloaded(page, tmp_path):
    page.open("upload")
    (button,) = page.all(".jupyter-button.mod-primary")
    button.click()
    first = page.new_picture(page.picture(), "the example")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    shutil.copy(next((page.folder / "phantom" / "endonuke").rglob("*.png")), tmp_path / "mine.png")
    page.upload(tmp_path / "bad.png")
    button.click()
    page.until(lambda: any("bad.png: expected" in line for line in page.said()), "the error line")
    assert page.picture() == first
    page.keep("upload_error")
    page.upload(tmp_path / "mine.png")
    button.click()
    page.new_picture(first, "what was found")
    links = {link.get_attribute("download"): link.get_attribute("href") for link in page.all("a[download]")}
    assert sorted(links) == ["mine.csv", "mine.geojson", "mine.txt"]
    assert base64.b64decode(links["mine.csv"].split(",")[1]).startswith(b"x_px,y_px,")
    page.keep("upload")
    assert {"looking at mine.png …", "busy"} <= set(page.seen())
    assert page.complaints() == []
