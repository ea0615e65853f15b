"""Write nuclei as a CSV table or as GeoJSON for QuPath."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..io import replacing
from .nuclei import Nuclei
from .staining import INTENSITIES

# Okabe and Ito's palette, safe for colour-blind readers; types take its colours in the order of their appearance.
PALETTE = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (213, 94, 0), (204, 121, 167), (86, 180, 233))
INTENSITY_COLOURS = dict(zip(INTENSITIES, ((86, 180, 233), (240, 228, 66), (230, 159, 0), (213, 94, 0)), strict=True))
DECIMALS = {"x_px": 2, "y_px": 2, "x_um": 3, "y_um": 3, "score": 4, "area_um2": 2, "dab_od": 4}
MEASUREMENTS = {"score": "Detection probability", "area_um2": "Nucleus: Area µm^2", "dab_od": "Nucleus: DAB OD mean"}


def write_csv(path: str | Path, nuclei: Nuclei | Iterable[Nuclei], mpp: float) -> None:
    """Write `Nuclei.table`, with pixel coordinates rounded to 0.01; the file is written completely or not at all.

    Args:
        path: the file.
        nuclei: nuclei of the image, or of its tiles one after the other, of which one is in memory at a time.
        mpp: microns per pixel of the image.
    """
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        for i, part in enumerate(_parts(nuclei)):
            part.table(mpp).round(DECIMALS).to_csv(file, index=False, header=i == 0)


def write_geojson(path: str | Path, nuclei: Nuclei | Iterable[Nuclei], mpp: float) -> None:
    """Write QuPath detections: an outline where the route provides one, else a point. Arguments as `write_csv`.

    The class is the intensity (Negative, 1+, 2+, 3+) where it is known, else the type; measurements have QuPath's
    names. QuPath's origin is the corner of the first pixel and ours its centre, so coordinates are shifted by half a
    pixel. Layout as QuPath 0.4 and later export it (github.com/qupath/qupath/pull/1099).
    """
    colours: dict[str, tuple[int, int, int]] = dict(INTENSITY_COLOURS)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        separator = ""
        for part in _parts(nuclei):
            for feature in _features(part, mpp, colours):
                file.write(separator + json.dumps(feature))
                separator = ",\n"
        file.write("]}\n")


EXPORTS = {"csv": write_csv, "geojson": write_geojson}


def _parts(nuclei: Nuclei | Iterable[Nuclei]) -> Iterable[Nuclei]:
    return [nuclei] if isinstance(nuclei, Nuclei) else nuclei


def _features(nuclei: Nuclei, mpp: float, colours: dict[str, tuple[int, int, int]]) -> Iterator[dict[str, Any]]:
    """GeoJSON features; classes without a colour are added to `colours`."""
    for i, row in enumerate(nuclei.table(mpp).to_dict("records")):
        measured = {name: row.get(key) for key, name in MEASUREMENTS.items()}
        name = row["type"] if isinstance(row["type"], str) and row["type"] else "Nucleus"
        if nuclei.intensity is not None:
            name = INTENSITIES[int(row["intensity"])]
        colour = colours.setdefault(name, PALETTE[(len(colours) - len(INTENSITY_COLOURS)) % len(PALETTE)])
        properties = {
            "objectType": "detection",
            "classification": {"name": name, "color": colour},
            "measurements": {key: value for key, value in measured.items() if value is not None and np.isfinite(value)},
        }
        geometry = _geometry(nuclei.contours[i] if nuclei.contours else (), row["x_px"], row["y_px"])
        yield {"type": "Feature", "geometry": geometry, "properties": properties}


def _geometry(contour: Any, x: float, y: float) -> dict[str, Any]:
    ring = np.round(np.asarray(contour, np.float64).reshape(-1, 2) + 0.5, 2)
    if len(ring) < 3 or cv2.contourArea(ring.astype(np.float32)) < 1e-6:  # degenerate: no polygon
        return {"type": "Point", "coordinates": [round(float(x) + 0.5, 2), round(float(y) + 0.5, 2)]}
    corners = ring.tolist()
    return {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
