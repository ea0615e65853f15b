"""`histolib detect` from files to files, on routes whose answer is known."""

import csv
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

GREY, NOTHING = np.full((60, 80), 200, np.uint8), Nuclei(np.zeros((0, 2)), np.zeros(0))


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


def test_each_image_gets_a_table_and_an_overlay_which_a_second_run_replaces(tmp_path, capsys, route_that):
    image, target = draw(tmp_path / "a.png"), tmp_path / "new" / "out"
    route_that(lambda patch: Nuclei(np.ones((3, 2)), np.ones(3)))
    assert detect(image, image, "--mpp", 0.25, "--output", target) == 0
    assert len(rows(target / "a.csv")) == 3
    capsys.readouterr()
    route_that(lambda patch: Nuclei(np.array([[4.0, 6.0]]), np.array([0.5])))
    assert detect(image, "--mpp", 0.25, "--output", target) == 0
    line = "a       1 nuclei     3333 per mm²  at 0.25 µm/px  0 % positive, H-score 0\n"
    assert capsys.readouterr() == (line, "")
    assert sorted(os.listdir(target)) == ["a.csv", "a.geojson", "a.summary.json"]
    (row,) = rows(target / "a.csv")
    assert [*row] == ["x_px", "y_px", "x_um", "y_um", "type", "score", "area_um2", "dab_od", "intensity"]
    assert [*row.values()] == ["4.0", "6.0", "1.0", "1.5", "", "0.5", "", "0.0", "0"]
    for kinds, expected in (("csv", ["a.csv"]), ("geojson , csv", ["a.csv", "a.geojson"])):
        assert detect(image, "--mpp", 1, "--format", kinds, "--output", tmp_path / kinds) == 0
        assert sorted(os.listdir(tmp_path / kinds)) == [*expected, "a.summary.json"]


def test_marker_and_scale_reach_the_route_and_the_scale_comes_from_the_tag_unless_it_is_given(tmp_path, monkeypatch):
    seen = []
    fake = Route("fake", lambda patch, marker, models: seen.append((patch.mpp, marker)) or NOTHING)
    monkeypatch.setitem(ROUTES, "log", fake)
    command = [draw(tmp_path / "a.tif", dpi=(101_600, 101_600)), "--route", "log", "--output", tmp_path / "out"]
    assert detect(*command) == 0
    assert detect(*command, "--mpp", 0.5, "--marker", "cytoplasm") == 0
    assert seen == [(pytest.approx(0.25, rel=1e-4), "nuclear"), (0.5, "cytoplasm")]


def test_bad_files_of_a_folder_are_named_and_the_rest_is_done(tmp_path, capsys):
    folder, empty = tmp_path / "slides", tmp_path / "empty"
    empty.mkdir()
    draw(folder / "a.png")
    draw(folder / "z.TIF")
    draw(folder / "one.png", GREY[:1, :1])
    (folder / "text.jpg").write_text("hello")
    (folder / "cut.bmp").write_bytes(draw(folder / "cut.bmp").read_bytes()[:-80])
    (folder / "notes.txt").write_text("not asked for")
    (folder / "._a.png").write_text("what macOS leaves behind")
    (folder / "nested.png").mkdir()
    command = [folder, tmp_path / "gone.png", empty, "--mpp", 0.5, "--route", "log", "--output", tmp_path / "out"]
    assert detect(*command) == 2
    out, lines = (text.splitlines() for text in capsys.readouterr())
    assert (len(out), len(lines)) == (2, 5)
    for name in ("one.png", "text.jpg", "cut.bmp", "gone.png", "empty"):
        (line,) = [line for line in lines if f"{os.sep}{name}: expected" in line]
        assert line.startswith("histolib detect: ")
        assert "found" in line
    outputs = [f"{name}.{kind}" for name in "az" for kind in ("csv", "geojson", "summary.json")]
    assert sorted(os.listdir(tmp_path / "out")) == outputs


def test_images_of_one_name_get_files_of_their_own_whatever_their_case(tmp_path, route_that):
    """What each file holds says which image it came from."""
    names = ["a_b/c.png", "a/b_c.png", "x/t.png", "y/t.png", "y/t.tif", "y/T.bmp", "y/t_png.png", "z/y/t.png"]
    for shade, name in enumerate(names):
        draw(tmp_path / name, np.full((20, 20), shade, np.uint8))
    route_that(lambda patch: Nuclei(np.array([[float(patch.image[0, 0, 0]), 0.0]]), np.ones(1)))
    folders = [tmp_path / name for name in ("a_b", "a", "x", "y", "z/y")]
    assert detect(*folders, "--mpp", 0.5, "--format", "csv", "--output", tmp_path / "out") == 0
    found = {path.stem: int(float(rows(path)[0]["x_px"])) for path in (tmp_path / "out").glob("*.csv")}
    assert sorted(found.values()) == list(range(len(names)))
    assert {"c", "b_c", "x_t_png", "y_t_png", "y_t_tif", "y_T_bmp", "t_png", "y_t_png_2"} == set(found)


def test_without_a_terminal_progress_is_at_most_a_line_every_30_seconds(tmp_path, route_that, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    clock = {"now": 0.0, "step": 0.0}
    monkeypatch.setattr(time, "monotonic", lambda: clock["now"])

    def slow(patch: object) -> Nuclei:
        clock["now"] += clock["step"]
        return NOTHING

    route_that(slow)
    for i in range(20):
        draw(tmp_path / f"in/{i}.png", GREY[:20, :20])
    for clock["step"], lines in ((1.0, 0), (10.0, 6), (100.0, 10)):
        caplog.clear()
        assert detect(tmp_path / "in", "--mpp", 0.5, "--format", "csv", "--output", tmp_path / "out") == 0
        messages = [message for message in caplog.messages if "of 20 images" in message]
        assert len(messages) == lines, messages
    assert messages[0] == "2 of 20 images (10 %) in 200 s, 0.01 per second, about 1800 s left"


def test_missing_weights_and_outputs_that_cannot_be_written_are_one_line(tmp_path, refused, route_that, monkeypatch):
    err = refused("detect", draw(tmp_path / "a.png"), "--mpp", 0.5, "--route", "od", "--weights", tmp_path)
    for part in ("route od: expected hovernet.safetensors", str(tmp_path), "histolib run --only 02,03"):
        assert part in err
    route_that(lambda patch: pytest.fail("the work began"))
    image = draw(tmp_path / "a.png")
    err = refused("detect", image, "--mpp", 0.5, "--output", image / "below")
    assert f"histolib detect: {image / 'below'}: expected a writable folder, found none" in err

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    route_that(lambda patch: Nuclei(np.ones((1, 2)), np.ones(1)))
    monkeypatch.setattr(os, "fsync", full)
    err = refused("detect", image, "--mpp", 0.5, "--output", tmp_path / "out")
    assert err == f"histolib detect: {tmp_path / 'out' / 'a.tiles.0'}: No space left on device\n"
    assert [path.stat().st_size for path in (tmp_path / "out").iterdir()] == [0]


def test_without_weights_the_default_route_is_refused(tmp_path, refused):
    command = [draw(tmp_path / "a.png"), "--mpp", "0.5", "--output", tmp_path / "out", "--weights", tmp_path]
    for options, route in (([], "selftrained"), (["--marker", "membrane"], "od")):
        assert f"route {route}: expected " in refused("detect", *command, *options)
    assert detect(*command, "--route", "log") == 0
