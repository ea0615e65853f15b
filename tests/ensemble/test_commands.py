"""`histolib detect` and `histolib evaluate` from files to files, on routes whose answer is known."""

import csv
import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from histolib.cli import main
from histolib.ensemble import HOVERNET, ROUTES, Nuclei, tile_blocks
from histolib.ensemble.commands import _output_names

# Three dark discs on grey.
Y, X = np.mgrid[:60, :80]
DISCS = np.min([np.hypot(X - x, Y - y) for x, y in ((20, 15), (20, 45), (60, 30))], axis=0) < 9
GREY = np.where(DISCS, 60, 200).astype(np.uint8)


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
    assert row == {
        "x_px": "4.0",
        "y_px": "6.0",
        "x_um": "1.0",
        "y_um": "1.5",
        "type": "",
        "score": "0.5",
        "area_um2": "",
    }
    assert json.loads((tmp_path / "new/out/a.geojson").read_text())["features"][0]["geometry"]["coordinates"] == [
        4.5,
        6.5,
    ]


@pytest.mark.parametrize(("kinds", "expected"), [("csv", ["a.csv"]), ("geojson , csv", ["a.csv", "a.geojson"])])
def test_only_the_formats_asked_for_are_written(tmp_path, kinds, expected, route_that):
    route_that(lambda patch: Nuclei(np.zeros((0, 2)), np.zeros(0)))
    assert detect(draw(tmp_path / "a.png"), "--mpp", 1, "--format", kinds, "--output", tmp_path / "out") == 0
    assert sorted(os.listdir(tmp_path / "out")) == expected


def test_no_nuclei_still_make_both_files(tmp_path):
    glass = draw(tmp_path / "glass.png", np.full((40, 40, 3), 245, np.uint8))
    assert detect(glass, "--mpp", 0.5, "--output", tmp_path / "out") == 0
    assert rows(tmp_path / "out/glass.csv") == []
    assert json.loads((tmp_path / "out/glass.geojson").read_text()) == {"type": "FeatureCollection", "features": []}


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
    assert detect(tmp_path, "--mpp", 0.25, "--output", tmp_path / "out") == 0
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
        assert detect(path, "--mpp", 0.5, "--marker", marker, "--output", tmp_path / marker) == 0
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
    assert detect(folder, tmp_path / "gone.png", "--mpp", 0.5, "--output", tmp_path / "out") == 2
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
    assert {"c", "b_c", "x_t_png", "y_t_png", "t_tif", "T_bmp"} <= set(found)


PLACES = st.tuples(
    st.sampled_from(["a", "A", "a/b", "a_b", "b"]),
    st.sampled_from(["c", "C", "b_c", "c_png"]),
    st.sampled_from(["png", "PNG", "tif"]),
)


@given(st.lists(PLACES, max_size=12, unique=True))
def test_names_never_collide_even_where_case_does_not_count(places):
    names = _output_names([Path(f"/data/{folder}/{stem}.{suffix}") for folder, stem, suffix in places])
    assert len({name.casefold() for name in names}) == len(places)
    assert not any(os.sep in name for name in names)


def test_names_of_thousands_of_equal_stems_are_found():
    names = _output_names([Path(f"/data/{i}/tile.png") for i in range(5000)])
    assert names[4999] == "4999_tile_png"
    assert len(set(names)) == 5000


@pytest.mark.parametrize("broken", ["text", "missing", "empty"])
def test_an_output_that_cannot_be_written_stops_before_the_work(tmp_path, capsys, route_that, broken):
    route_that(lambda patch: pytest.fail("the work began"))
    (tmp_path / "file").touch()
    target = {"text": "file", "missing": "file/below", "empty": "file/far/below"}[broken]
    assert detect(draw(tmp_path / "a.png"), "--mpp", 0.5, "--output", tmp_path / target) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert f"histolib detect: {tmp_path / target}: expected a folder to write to, found none" in err


def test_a_disk_that_fills_up_ends_the_run_with_one_line(tmp_path, capsys, route_that, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    route_that(lambda patch: Nuclei(np.ones((1, 2)), np.ones(1)))
    monkeypatch.setattr("histolib.config.os.fsync", full)
    assert detect(draw(tmp_path / "a.png"), "--mpp", 0.5, "--output", tmp_path / "out") == 2
    assert capsys.readouterr() == ("", "histolib detect: [Errno 28] No space left on device\n")
    assert os.listdir(tmp_path / "out") == []


def test_missing_weights_say_where_they_were_sought_and_how_to_get_them(tmp_path, capsys):
    assert detect(draw(tmp_path / "a.png"), "--mpp", 0.5, "--route", "od", "--weights", tmp_path) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert f"route od: expected {HOVERNET}" in err
    assert str(tmp_path) in err
    assert "histolib run --only 02,03" in err


# --- evaluate ---


def evaluate(*argv: object) -> int:
    return main(["evaluate", *map(str, argv), "--dataset", "endonuke"])


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def test_scores_are_written_with_their_protocol(tmp_path, endonuke, planted, capsys):
    target = tmp_path / "new" / "results.json"
    assert evaluate(endonuke, "--routes", "planted", "--output", target) == 0
    results = json.loads(target.read_text(), parse_constant=refuse)
    assert results["routes"] == {
        "planted": {
            "precision": 0.4,
            "recall": 0.5,
            "f1": 0.4444,
            "f1_ci95": [0.4444, 0.4444],  # three neighbours are one block
            "loc_error_um": 1.125,
            "count_bias": 0.3333,
            "n_true": 4,
            "n_pred": 5,
        }
    }
    protocol = results["protocol"]
    assert (protocol["radius_um"], protocol["tiles"], protocol["dataset"]) == (3.0, 3, "endonuke")
    assert (protocol["annotators"], protocol["study"], protocol["marker"]) == (["ann"], "bulk", "nuclear")
    out, err = capsys.readouterr()
    assert err == ""
    header, line = out.splitlines()
    assert header.split()[:4] == ["route", "precision", "recall", "F1"]
    assert line.split() == ["planted", "0.400", "0.500", "0.444", "0.444", "to", "0.444", "1.125", "+0.3"]
    assert os.listdir(target.parent) == ["results.json"]


def test_what_cannot_be_computed_is_null_and_a_dash(tmp_path, endonuke, route_that, capsys):
    for label in (endonuke / "dataset/labels/bulk/ann").iterdir():
        label.write_text("")
    route_that(lambda patch: Nuclei(np.zeros((0, 2)), np.zeros(0)))
    assert evaluate(endonuke, "--routes", "log", "--output", tmp_path / "r.json") == 0
    scores = json.loads((tmp_path / "r.json").read_text(), parse_constant=refuse)["routes"]["log"]
    assert (scores["f1"], scores["f1_ci95"], scores["n_true"]) == (None, [None, None], 0)
    assert capsys.readouterr().out.splitlines()[1].split() == ["log", "-", "-", "-", "-", "to", "-", "-", "+0.0"]


def test_without_routes_all_whose_weights_are_there_are_scored_and_the_rest_is_named(tmp_path, endonuke, caplog):
    with caplog.at_level(logging.WARNING):
        assert evaluate(endonuke, "--weights", tmp_path, "--output", tmp_path / "r.json") == 0
    assert list(json.loads((tmp_path / "r.json").read_text())["routes"]) == ["log"]
    named = [record.args[0] for record in caplog.records if "left out" in record.message]
    assert named == [name for name in ROUTES if name != "log"]
    assert HOVERNET in caplog.text


def test_only_the_annotator_asked_for_is_the_truth(tmp_path, endonuke, planted):
    other = endonuke / "dataset/labels/bulk/other"
    other.mkdir()
    (other / "1.txt").write_text("12 10 0\n")
    for options, expected in (([], 5), (["--annotator", "other"], 1), (["--annotator", "ann"], 4)):
        assert evaluate(endonuke, "--routes", "planted", "--output", tmp_path / "r.json", *options) == 0
        assert json.loads((tmp_path / "r.json").read_text())["routes"]["planted"]["n_true"] == expected


def test_a_split_leaves_only_its_test_blocks(tmp_path, endonuke, planted):
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": ["1-2"], "val": [], "test": ["3-3"]}))
    assert evaluate(endonuke, "--routes", "planted", "--split", split, "--output", tmp_path / "r.json") == 0
    results = json.loads((tmp_path / "r.json").read_text())
    assert (results["protocol"]["tiles"], results["protocol"]["split"]) == (1, str(split))
    assert results["routes"]["planted"]["n_true"] == 1


def test_a_radius_of_ones_own_is_used_and_written_down(tmp_path, endonuke, planted):
    assert evaluate(endonuke, "--routes", "planted", "--radius-um", 4, "--output", tmp_path / "r.json") == 0
    results = json.loads((tmp_path / "r.json").read_text())
    assert (results["protocol"]["radius_um"], results["routes"]["planted"]["recall"]) == (4.0, 0.75)


@pytest.mark.parametrize("target", ["set", "file/r.json"])
def test_results_that_cannot_be_written_are_refused_before_the_work(tmp_path, endonuke, capsys, route_that, target):
    route_that(lambda patch: pytest.fail("the work began"))
    (tmp_path / "file").touch()
    assert evaluate(endonuke, "--routes", "log", "--output", tmp_path / target) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "expected a" in err


def test_blocks_are_ten_neighbours_of_one_run():
    ids = [*range(1, 13), *range(500, 503)]
    assert tile_blocks(ids) == ["0.0"] * 10 + ["0.1"] * 2 + ["1.0"] * 3
    assert tile_blocks([500, 1, 500]) == ["1.0", "0.0", "1.0"], "a tile of two annotators stays in one block"
    assert tile_blocks([]) == []


@pytest.mark.skipif("HISTOLIB_REAL_DATA" not in os.environ, reason="HISTOLIB_REAL_DATA is not set")
def test_log_reaches_its_score_on_real_tiles(tmp_path):
    root = Path(os.environ["HISTOLIB_REAL_DATA"]) / "endonuke"
    assert evaluate(root, "--routes", "log", "--output", tmp_path / "r.json") == 0
    scores = json.loads((tmp_path / "r.json").read_text())["routes"]["log"]
    assert scores["f1"] >= 0.77
    assert scores["f1_ci95"][0] < scores["f1"] < scores["f1_ci95"][1]


def test_without_weights_the_default_is_the_simplest_route_and_that_is_said(tmp_path, caplog):
    image = tmp_path / "a.png"
    Image.fromarray(np.full((60, 60, 3), 240, np.uint8)).save(image)
    (tmp_path / "empty").mkdir()
    command = [image, "--mpp", "0.5", "--output", tmp_path / "out", "--weights", tmp_path / "empty"]
    assert detect(*command) == 0
    assert "route log in place of ensemble" in caplog.text
    caplog.clear()
    assert detect(*command, "--marker", "membrane") == 0
    assert "route log in place of od" in caplog.text
    caplog.clear()
    assert detect(*command, "--route", "log") == 0
    assert "in place" not in caplog.text
