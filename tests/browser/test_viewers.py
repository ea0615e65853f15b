"""The viewers of the notebooks in a real browser: a changed control changes the picture, without console errors."""

import base64
import shutil

RIGHT, HOME, END = "\ue014", "\ue011", "\ue010"  # keys of selenium, which may be missing


def test_a_viewer_is_busy_while_it_draws_and_shows_errors(page):
    page.open("slow")
    first = page.picture()
    page.slide("tile", RIGHT)
    page.until_said("drawing …")
    assert page.picture() == first
    (page.folder / "go").touch()
    second = page.new_picture(first, "another picture")
    assert "drawing …" not in page.said()
    page.slide("tile", RIGHT)
    page.until_said("tile 2: expected an image, found none")
    assert page.picture() == second, "the last good picture stays"
    page.close("error")


def test_a_slider_follows_the_data_set_and_each_control_changes_the_picture(page):
    page.open("sets")
    shown = page.picture()
    assert page.slide("tile", pixels=300) == "2"
    shown = page.new_picture(shown, "another tile")
    endonuke = [("split", "ids 2000 to 2004"), ("channel", "second stain")]
    pannuke = [("dataset", "PanNuke"), ("annotation", "outlines"), ("channel", "image")]
    for name, entry in (*endonuke, *pannuke, ("dataset", "BCI"), ("split", "test")):
        page.choose(name, entry)
        shown = page.new_picture(shown, f"{name} {entry}")
    assert page.within("tile", ".widget-readout").text == "0"
    page.close("sets")


def test_a_border_is_dragged_over_the_picture(page):
    page.open("before_after")
    first = page.picture()
    assert 0 < int(page.slide("border (%)", pixels=-15)) < 45
    second = page.new_picture(first, "the border further left")
    page.choose("route", "od")
    third = page.new_picture(second, "another route")
    page.slide("tile", RIGHT)
    page.new_picture(third, "another tile")
    page.close("before_after")


def test_thresholds_change_the_nuclei(page):
    page.open("thresholds")
    shown = page.picture()
    for name, key in (("np threshold", RIGHT), ("edge threshold", END), ("opening px", RIGHT)):
        page.slide(name, key)
        shown = page.new_picture(shown, f"another {name}")
    page.close("thresholds")


def test_routes_are_explored_by_radius_and_outcome(page):
    page.open("routes")
    first = page.picture()
    page.slide("radius", HOME)
    second = page.new_picture(first, "a smaller radius")
    page.within("false", "input[type=checkbox]").click()
    third = page.new_picture(second, "no false points")
    page.choose("route", "od")
    page.new_picture(third, "another route")
    page.close("routes")


def test_an_image_is_uploaded_and_its_results_can_be_downloaded(page, tmp_path):
    page.open("upload")
    first = page.picture()
    (tmp_path / "bad.png").write_bytes(b"no picture")
    shutil.copy(next((page.folder / "phantom" / "endonuke").rglob("*.png")), tmp_path / "mine.png")
    page.upload(tmp_path / "bad.png")
    page.until_said("bad.png: expected")
    assert page.picture() == first
    page.upload(tmp_path / "mine.png")
    page.new_picture(first, "the detected nuclei")
    links = {link.get_attribute("download"): link.get_attribute("href") for link in page.all("a[download]")}
    assert {"mine.csv", "mine.geojson"} <= set(links)
    assert base64.b64decode(links["mine.csv"].split(",")[1]).startswith(b"x_px,y_px,")
    page.close("upload")
