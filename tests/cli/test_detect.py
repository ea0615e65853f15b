"""`histolib detect` from files to files, on routes whose answer is known."""

import csv
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histolib.cli.main import main
from histolib.ensemble import ROUTES, Nuclei, Route
from histolib.ensemble.routes import DEFAULT_ROUTES

# Three dark discs on grey.
Y, X = np.mgrid[:60, :80]
DISCS = np.min([np.hypot(X - x, Y - y) for x, y in ((20, 15), (20, 45), (60, 30))], axis=0) < 9
GREY = np.where(DISCS, 60, 200).astype(np.uint8)


@pytest.fixture
def route_that(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable], None]:
    """Replace the route `log` by a function from a patch to its nuclei, and make it the default."""
    for marker in DEFAULT_ROUTES:
        monkeypatch.setitem(DEFAULT_ROUTES, marker, "log")

    def put(run: Callable) -> None:
        monkeypatch.setitem(ROUTES, "log", Route("fake", lambda patch, marker, models: run(patch)))

    return put


def draw(path: Path, image: np.ndarray = GREY, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **options)
    return path


def detect(*argv: object) -> int:
    return main(["detect", *map(str, argv)])


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open()))


def test_each_image_gets_a_table_and_an_overlay(tmp_path, capsys, route_that):
    route_that(lambda patch: Nuclei(np.array([[4.0, 6.0]]), np.array([0.5])))
    assert detect(draw(tmp_path / "a.png"), "--mpp", 0.25, "--output", tmp_path / "new" / "out") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out == "a       1 nuclei     3333 per mm²  at 0.25 µm/px\n"
    assert sorted(os.listdir(tmp_path / "new" / "out")) == ["a.csv", "a.geojson"]
    (row,) = rows(tmp_path / "new/out/a.csv")
    assert [*row] == ["x_px", "y_px", "x_um", "y_um", "type", "score", "area_um2"]
    assert [*row.values()] == ["4.0", "6.0", "1.0", "1.5", "", "0.5", ""]
    (feature,) = json.loads((tmp_path / "new/out/a.geojson").read_text())["features"]
    assert feature["geometry"]["coordinates"] == [4.5, 6.5]


@pytest.mark.parametrize(("kinds", "expected"), [("csv", ["a.csv"]), ("geojson , csv", ["a.csv", "a.geojson"])])
def test_only_the_formats_asked_for_are_written(tmp_path, kinds, expected, route_that):
    route_that(lambda patch: Nuclei(np.zeros((0, 2)), np.zeros(0)))
    assert detect(draw(tmp_path / "a.png"), "--mpp", 1, "--format", kinds, "--output", tmp_path / "out") == 0
    assert sorted(os.listdir(tmp_path / "out")) == expected


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_the_scale_comes_from_the_files_tag_unless_it_is_given(tmp_path, name, route_that):
    seen = []
    route_that(lambda patch: seen.append(patch.mpp) or Nuclei(np.zeros((0, 2)), np.zeros(0)))
    tagged = draw(tmp_path / name, dpi=(101_600, 101_600))
    assert detect(tagged, "--output", tmp_path / "out") == 0
    assert detect(tagged, "--mpp", 0.5, "--output", tmp_path / "out") == 0
    assert seen == pytest.approx([0.25, 0.5], rel=1e-4)


def test_a_grey_image_gives_what_its_rgb_copy_gives_and_transparency_is_glass(tmp_path):
    colour = np.repeat(GREY[..., None], 3, axis=2)
    half = np.dstack([colour, np.where(np.arange(80) < 40, 255, 0).astype(np.uint8) + np.zeros((60, 1), np.uint8)])
    white = colour.copy()
    white[:, 40:] = 255
    for name, image in {"grey": GREY, "colour": colour, "half": half, "white": white}.items():
        draw(tmp_path / f"{name}.png", image)
    assert detect(tmp_path, "--mpp", 0.25, "--route", "log", "--output", tmp_path / "out") == 0
    text = {path.stem: path.read_text() for path in (tmp_path / "out").glob("*.csv")}
    assert text["grey"] == text["colour"] != text["half"] == text["white"]
    assert len(text["grey"].splitlines()) == 4
    assert len(text["half"].splitlines()) == 3


def test_the_marker_decides_which_colour_counts(tmp_path):
    image = np.full((60, 80, 3), 240, np.uint8)
    image[np.hypot(X - 15, Y - 30) < 6] = (110, 60, 20)  # brown
    image[np.hypot(X - 45, Y - 30) < 6] = (70, 60, 150)  # blue
    path = draw(tmp_path / "a.png", image)
    found = {}
    for marker in ("nuclear", "cytoplasm"):
        assert detect(path, "--mpp", 0.5, "--route", "log", "--marker", marker, "--output", tmp_path / marker) == 0
        found[marker] = sorted(round(float(row["x_px"])) for row in rows(tmp_path / marker / "a.csv"))
    assert found == {"nuclear": [15, 45], "cytoplasm": [45]}


def test_bad_files_of_a_folder_are_named_and_the_rest_is_done(tmp_path, capsys):
    folder = tmp_path / "slides"
    draw(folder / "a.png")
    draw(folder / "z.TIF")
    cut = draw(folder / "cut.png")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    draw(folder / "deep.png", GREY.astype(np.uint16) * 200)
    draw(folder / "one.png", GREY[:1, :1])
    (folder / "text.jpg").write_text("hello")
    (folder / "notes.txt").write_text("not asked for")
    (folder / "._a.png").write_text("what macOS leaves behind")
    (folder / "nested.png").mkdir()
    assert detect(folder, tmp_path / "gone.png", "--mpp", 0.5, "--route", "log", "--output", tmp_path / "out") == 2
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    lines = err.splitlines()
    assert len(lines) == 5
    for name in ("cut.png", "deep.png", "one.png", "text.jpg", "gone.png"):
        (line,) = [line for line in lines if f"{os.sep}{name}: expected" in line]
        assert line.startswith("histolib detect: ")
        assert "found" in line
    assert sorted(os.listdir(tmp_path / "out")) == ["a.csv", "a.geojson", "z.csv", "z.geojson"]


def test_nothing_else_is_left_in_the_output_folder_and_a_second_run_replaces_the_first(tmp_path, route_that):
    path = draw(tmp_path / "a.png")
    for count in (3, 1):
        route_that(lambda patch, count=count: Nuclei(np.ones((count, 2)), np.ones(count)))
        assert detect(path, path, "--mpp", 0.5, "--output", tmp_path / "out") == 0
        assert sorted(os.listdir(tmp_path / "out")) == ["a.csv", "a.geojson"]
        assert len(rows(tmp_path / "out/a.csv")) == count


def test_images_of_one_name_get_files_of_their_own(tmp_path, route_that):
    """What each file holds says which image it came from."""
    shades = {}
    for shade, name in enumerate(["a_b/c.png", "a/b_c.png", "x/t.png", "y/t.png", "y/t.tif", "y/T.bmp", "y/t_png.png"]):
        draw(tmp_path / name, np.full((20, 20), shade, np.uint8))
        shades[shade] = name
    route_that(lambda patch: Nuclei(np.array([[float(patch.image[0, 0, 0]), 0.0]]), np.ones(1)))
    folders = [tmp_path / name for name in ("a_b", "a", "x", "y")]
    assert detect(*folders, "--mpp", 0.5, "--format", "csv", "--output", tmp_path / "out") == 0
    found = {path.stem: int(float(rows(path)[0]["x_px"])) for path in (tmp_path / "out").iterdir()}
    assert sorted(found.values()) == list(shades)
    assert {"c", "b_c", "x_t_png", "y_t_png", "y_t_tif", "y_T_bmp", "t_png"} == set(found)


def test_thousands_of_equal_names_are_told_apart_whatever_their_case(tmp_path, route_that):
    route_that(lambda patch: Nuclei(np.zeros((0, 2)), np.zeros(0)))
    for i in range(200):
        draw(tmp_path / str(i) / ("tile.png" if i % 2 else "TILE.PNG"), GREY[:20, :20])
    folders = [tmp_path / str(i) for i in range(200)]
    assert detect(*folders, "--mpp", 0.5, "--format", "csv", "--output", tmp_path / "out") == 0
    names = {path.stem.casefold() for path in (tmp_path / "out").iterdir()}
    assert len(names) == 200
    assert "199_tile_png" in names


def test_without_a_terminal_progress_is_a_line_every_tenth_but_not_within_30_seconds(
    tmp_path, route_that, caplog, monkeypatch
):
    caplog.set_level(logging.INFO)
    clock = {"now": 0.0}
    monkeypatch.setattr(time, "monotonic", lambda: clock["now"])

    def slow(patch: object, seconds: float) -> Nuclei:
        clock["now"] += seconds
        return Nuclei(np.zeros((0, 2)), np.zeros(0))

    for i in range(20):
        draw(tmp_path / f"in/{i}.png", GREY[:20, :20])
    for seconds, lines in ((1.0, 0), (10.0, 6), (100.0, 10)):
        caplog.clear()
        route_that(lambda patch, seconds=seconds: slow(patch, seconds))
        assert detect(tmp_path / "in", "--mpp", 0.5, "--format", "csv", "--output", tmp_path / "out") == 0
        messages = [message for message in caplog.messages if "of 20 images" in message]
        assert len(messages) == lines, messages
    assert messages[0] == "2 of 20 images (10 %) in 200 s"


@pytest.mark.parametrize("broken", ["text", "missing", "empty"])
def test_an_output_that_cannot_be_written_stops_before_the_work(tmp_path, capsys, route_that, broken):
    route_that(lambda patch: pytest.fail("the work began"))
    (tmp_path / "file").touch()
    target = {"text": "file", "missing": "file/below", "empty": "file/far/below"}[broken]
    assert detect(draw(tmp_path / "a.png"), "--mpp", 0.5, "--output", tmp_path / target) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert f"histolib detect: {tmp_path / target}: expected a writable folder, found none" in err


def test_a_disk_that_fills_up_ends_the_run_with_one_line(tmp_path, capsys, route_that, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    route_that(lambda patch: Nuclei(np.ones((1, 2)), np.ones(1)))
    monkeypatch.setattr(os, "fsync", full)
    assert detect(draw(tmp_path / "a.png"), "--mpp", 0.5, "--output", tmp_path / "out") == 2
    assert capsys.readouterr() == ("", "histolib detect: [Errno 28] No space left on device\n")
    assert os.listdir(tmp_path / "out") == []


def test_missing_weights_say_where_they_were_sought_and_how_to_get_them(tmp_path, capsys):
    assert detect(draw(tmp_path / "a.png"), "--mpp", 0.5, "--route", "od", "--weights", tmp_path) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "route od: expected hovernet.safetensors" in err
    assert str(tmp_path) in err
    assert "histolib run --only 02,03" in err


def test_without_weights_the_default_is_the_simplest_route_and_that_is_said(tmp_path, caplog):
    image = tmp_path / "a.png"
    Image.fromarray(np.full((60, 60, 3), 240, np.uint8)).save(image)
    (tmp_path / "empty").mkdir()
    command = [image, "--mpp", "0.5", "--output", tmp_path / "out", "--weights", tmp_path / "empty"]
    assert detect(*command) == 0
    assert "using route log instead of ensemble" in caplog.text
    caplog.clear()
    assert detect(*command, "--marker", "membrane") == 0
    assert "using route log instead of od" in caplog.text
    caplog.clear()
    assert detect(*command, "--route", "log") == 0
    assert "instead of" not in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mpp", "0"], "expected a number, 0.05 to 2, found '0'"),
        (["--mpp", "wide"], "found 'wide'"),
        (["--route", "magic"], "invalid choice: 'magic'"),
        (["--format", "pdf"], "unknown format 'pdf', expected csv, geojson, txt"),
        (["--format", ","], "unknown format ','"),
        (["--weights", "gone"], "gone: expected a folder of weights, found nothing"),
    ],
)
def test_wrong_usage_is_refused_with_one_line(tmp_path, capsys, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    try:
        code = detect(draw(tmp_path / "a.png"), *options)
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
