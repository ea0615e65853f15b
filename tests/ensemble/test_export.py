"""Files that other programs read: exact columns and valid GeoJSON."""

import csv
import json

import numpy as np
import pytest

from histolib.ensemble import Nuclei, write_csv, write_geojson
from histolib.ensemble.export import EXPORTS

POINTS = Nuclei(np.array([[1.23456, 7.0], [0.0, 0.0]]), np.array([0.123456, 2.0]))
SQUARE = np.array([[2.0, 2.0], [6.0, 2.0], [6.0, 5.0], [2.0, 5.0]])
LINE = np.array([[1.0, 1.0], [3.0, 2.0], [5.0, 3.0], [3.0, 2.0]])
TYPES, AREAS = np.array(["epithelial", None], dtype=object), np.array([12.0, 0.5])
FULL = Nuclei(np.array([[4.0, 3.5], [3.0, 2.0]]), np.array([0.9, np.nan]), TYPES, AREAS, (SQUARE, LINE))


def strict(path):
    return json.loads(path.read_text("utf-8"), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_csv_has_the_documented_columns(tmp_path):
    header = "x_px,y_px,x_um,y_um,type,score,area_um2"
    write_csv(tmp_path / "a.csv", POINTS, 0.5)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines == [header, "1.23,7.0,0.617,3.5,,0.1235,", "0.0,0.0,0.0,0.0,,2.0,"]
    write_csv(tmp_path / "a.csv", FULL, 0.25)
    first, second = csv.DictReader((tmp_path / "a.csv").open())
    assert [*first.values()] == ["4.0", "3.5", "1.0", "0.875", "epithelial", "0.9", "12.0"]
    assert (second["type"], second["score"]) == ("", "")
    nothing = Nuclei(np.zeros((0, 2)), np.zeros(0))
    for kind, write in EXPORTS.items():
        write(tmp_path / f"a.{kind}", nothing, 0.5)
    assert (tmp_path / "a.csv").read_text() == f"{header}\n"
    assert strict(tmp_path / "a.geojson") == {"type": "FeatureCollection", "features": []}


def test_geojson_points_lie_half_a_pixel_further_on_and_types_have_colours(tmp_path):
    write_geojson(tmp_path / "a.geojson", POINTS, 0.5)
    found = strict(tmp_path / "a.geojson")
    first, second = found["features"]
    assert (found["type"], first["type"]) == ("FeatureCollection", "Feature")
    assert first["geometry"] == {"type": "Point", "coordinates": [1.73, 7.5]}
    assert second["geometry"] == {"type": "Point", "coordinates": [0.5, 0.5]}
    about = first["properties"]
    assert (about["objectType"], about["classification"]["name"]) == ("detection", "Nucleus")
    assert about["measurements"] == {"Detection probability": 0.123456}
    names = np.array(["b", "a", "b", "c"])
    write_geojson(tmp_path / "a.geojson", Nuclei(np.zeros((4, 2)), np.zeros(4), names), 0.5)
    classes = [feature["properties"]["classification"] for feature in strict(tmp_path / "a.geojson")["features"]]
    assert ([each["name"] for each in classes], classes[0]) == (["b", "a", "b", "c"], classes[2])
    assert len({tuple(each["color"]) for each in classes}) == 3
    assert all(0 <= value <= 255 for each in classes for value in each["color"])


def test_outlines_are_closed_rings_and_lines_are_points(tmp_path):
    write_geojson(tmp_path / "a.geojson", FULL, 0.5)
    first, second = strict(tmp_path / "a.geojson")["features"]
    (ring,) = first["geometry"]["coordinates"]
    assert first["geometry"]["type"] == "Polygon"
    assert ring == [[2.5, 2.5], [6.5, 2.5], [6.5, 5.5], [2.5, 5.5], [2.5, 2.5]]
    assert second["geometry"] == {"type": "Point", "coordinates": [3.5, 2.5]}
    assert first["properties"]["measurements"] == {"Detection probability": 0.9, "Nucleus: Area µm^2": 12.0}
    assert second["properties"]["measurements"] == {"Nucleus: Area µm^2": 0.5}, "what is not a number is left out"
    for points in range(3):
        one = Nuclei(np.array([[3.0, 4.0]]), np.ones(1), contours=(SQUARE[:points],))
        write_geojson(tmp_path / "a.geojson", one, 0.5)
        assert strict(tmp_path / "a.geojson")["features"][0]["geometry"] == {"type": "Point", "coordinates": [3.5, 4.5]}


def test_parts_of_a_slide_are_written_one_after_the_other_with_intensities_as_classes(tmp_path):
    geojson = pytest.importorskip("geojson")
    rng = np.random.default_rng(0)

    def parts():
        for tile in range(20):
            xy = rng.uniform(0, 1000, (100, 2))
            outlines = tuple(SQUARE + point for point in xy)
            grades = rng.integers(0, 4, 100)
            yield Nuclei(xy, np.ones(100), None, np.full(100, tile), outlines, grades / 4, grades)

    write_geojson(tmp_path / "a.geojson", parts(), 0.25)
    found = geojson.loads((tmp_path / "a.geojson").read_text())
    assert found.is_valid
    assert len(found["features"]) == 2000
    classes = {each["properties"]["classification"]["name"] for each in found["features"]}
    assert classes == {"Negative", "1+", "2+", "3+"}
    names = {"Detection probability", "Nucleus: Area µm^2", "Nucleus: DAB OD mean"}
    assert set(found["features"][0]["properties"]["measurements"]) == names
    write_csv(tmp_path / "a.csv", parts(), 0.25)
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert (len(rows), [*rows[0]][-2:]) == (2000, ["dab_od", "intensity"])
