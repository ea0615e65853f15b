"""`histolib detect` on images of many tiles: nuclei on borders, interrupted runs, regions and pictures."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from histolib.cli.main import main
from histolib.ensemble import ROUTES, Nuclei, Route
from histolib.imaging import Patch

DOTS = np.stack(np.meshgrid(np.arange(20, 1990, 24), np.arange(20, 1590, 24)), -1).reshape(-1, 2)  # some on borders
BROWN, BLUE = (120, 70, 40), (90, 100, 150)


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Path:
    """Dots on pale tissue, brown in the left half and blue in the right, at 0.5 microns per pixel."""
    pixels = np.full((1610, 2010, 3), 210, np.uint8)
    for x, y in DOTS:
        pixels[y - 3 : y + 4, x - 3 : x + 4] = BROWN if x < 1000 else BLUE
    pixels[:, 2000:] = 250  # glass
    path = tmp_path_factory.mktemp("image") / "dots.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def calls(monkeypatch) -> list[Patch]:
    """Patches of the calls of a route that finds every dot; it is interrupted when the list holds `None`."""
    patches: list[Patch] = []

    def run(patch: Patch, *_: object) -> Nuclei:
        if None in patches and len(patches) > 3:
            raise KeyboardInterrupt
        patches.append(patch)
        labels, count = ndimage.label(patch.image[..., 0] < 160)
        xy = np.array(ndimage.center_of_mass(labels > 0, labels, range(1, count + 1))).reshape(-1, 2)[:, ::-1]
        return Nuclei(xy, np.ones(count))

    monkeypatch.setitem(ROUTES, "log", Route("dots", run))
    return patches


def detect(image: Path, output: Path, *options: object) -> int:
    command = ["detect", image, "--mpp", 0.5, "--route", "log", "--output", output, *options]
    return main([str(word) for word in command])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".png"}


def test_every_nucleus_is_found_once_and_scored(tmp_path, image, calls, capsys):
    assert detect(image, tmp_path) == 0
    assert len(calls) == 12
    rows = list(csv.DictReader((tmp_path / "dots.csv").open()))
    found = np.array([[float(row["x_px"]), float(row["y_px"])] for row in rows])
    order = np.lexsort(found.T)
    np.testing.assert_allclose(found[order], DOTS[np.lexsort(DOTS.T)], atol=0.01)
    brown = np.mean(DOTS[:, 0] < 1000)
    assert {row["intensity"] for row, x in zip(rows, found[:, 0], strict=True) if x > 1000} == {"0"}
    summary = json.loads((tmp_path / "dots.summary.json").read_text())
    (low, high), positivity = summary["staining"]["positivity_ci95"], summary["staining"]["positivity"]
    assert positivity == pytest.approx(100 * brown, abs=0.01)
    assert low < positivity < high
    assert summary["nuclei"] == np.sum(summary["fields"]["counts"]) == len(DOTS)
    for picture in ("tissue", "density", "positivity", "page"):
        assert Image.open(tmp_path / f"dots.{picture}.png").size == (2000, 1125)
    assert f"{len(DOTS)} nuclei" in capsys.readouterr().out


def test_an_interrupted_run_resumes_with_the_same_result(tmp_path, image, calls, refused):
    assert detect(image, tmp_path / "whole") == 0
    calls[:] = [None]
    assert detect(image, tmp_path / "broken") == 130
    (journal,) = (tmp_path / "broken").iterdir()
    assert journal.name == "dots.tiles.0"
    with journal.open("ab") as file:
        file.write(b'{"tile": 3, "xy": [[1.0')  # a kill in the middle of a line
    lines = journal.read_bytes().count(b"\n") - 1
    command = ["detect", image, "--mpp", 0.6, "--route", "log", "--output", tmp_path / "broken", "--resume"]
    assert "expected tiles of the same image and settings; run without --resume" in refused(*command)
    calls.clear()
    assert detect(image, tmp_path / "broken", "--resume") == 0
    assert len(calls) == 12 - lines
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole")
    calls.clear()
    assert detect(image, tmp_path / "broken", "--resume") == 0
    assert not calls, "a finished image is not detected again"
    assert detect(image, tmp_path / "broken") == 0
    assert len(calls) == 12


def test_all_tiles_share_the_stain_sample_of_the_slide(tmp_path, image, calls):
    assert detect(image, tmp_path) == 0
    assert len({id(patch.sample) for patch in calls}) == 1
    assert calls[0].sample.shape == (12 * 256, 256, 3)
    small = tmp_path / "small.png"
    Image.open(image).crop((0, 0, 200, 200)).save(small)
    assert detect(small, tmp_path) == 0
    assert calls[-1].sample is None, "an image of one tile is its own sample"
    assert not list(tmp_path.glob("small*.tissue.png"))


def test_regions_are_scored_and_holes_are_left_out(tmp_path, image, calls, refused):
    outer, hole = [[0, 0], [500, 0], [500, 500], [0, 500], [0, 0]], [[100, 100], [400, 100], [400, 400], [100, 400]]
    right = {"type": "Polygon", "coordinates": [[[1200, 0], [1800, 0], [1800, 900], [1200, 900]]]}
    features = [
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [outer, hole]}, "properties": {"name": "a"}},
        {"type": "Feature", "geometry": right, "properties": {"classification": {"name": "Stroma"}}},
    ]
    (tmp_path / "r.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert detect(image, tmp_path, "--regions", tmp_path / "r.geojson") == 0
    regions = json.loads((tmp_path / "dots.summary.json").read_text())["regions"]
    inside = (DOTS < 500).all(1) & ~((DOTS > 100) & (DOTS < 400)).all(1)
    assert regions["a"]["nuclei"] == inside.sum()
    assert (regions["a"]["staining"]["positivity"], regions["Stroma"]["staining"]["positivity"]) == (100, 0)
    (tmp_path / "r.geojson").write_text('{"features": [{"geometry": {"type": "Point", "coordinates": [1, 2]}}]}')
    assert "r.geojson: expected GeoJSON with polygons" in refused("detect", image, "--regions", tmp_path / "r.geojson")
    assert "expected a GeoJSON file of regions, found nothing" in refused("detect", image, "--regions", tmp_path / "x")


def test_a_slide_without_tissue_and_bad_thresholds_are_refused(tmp_path, calls, refused):
    Image.new("RGB", (1200, 1200), (245, 245, 245)).save(tmp_path / "glass.png")
    command = ["detect", tmp_path / "glass.png", "--mpp", 0.5, "--route", "log", "--output", tmp_path / "out"]
    assert "glass.png: expected tissue, found empty glass only" in refused(*command)
    for text in ("1,2", "0.3,0.2,0.5", "a,b,c", "0,0.2,0.5"):
        assert "expected three increasing numbers above 0" in refused(*command, "--thresholds", text)
