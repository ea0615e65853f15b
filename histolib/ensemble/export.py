"""Write nuclei as a CSV table, as GeoJSON for QuPath, or as a label file in EndoNuke's layout."""

import json
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from ..io import replacing
from .nuclei import Nuclei

# Okabe and Ito's palette, safe for colour-blind readers.
PALETTE = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (213, 94, 0), (204, 121, 167), (86, 180, 233))


def write_csv(path: str | Path, nuclei: Nuclei, mpp: float) -> None:
    """Write `Nuclei.table`, with pixel coordinates rounded to 0.01; the file is written completely or not at all."""
    table = nuclei.table(mpp).round({"x_px": 2, "y_px": 2, "x_um": 3, "y_um": 3, "score": 4, "area_um2": 2})
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)


def write_geojson(path: str | Path, nuclei: Nuclei, mpp: float) -> None:
    """Write QuPath detections: an outline where the route provides one, else a point.

    QuPath's origin is the corner of the first pixel and ours its centre, so coordinates are shifted by half a pixel.
    """
    table = nuclei.table(mpp).astype({"score": float, "area_um2": float})
    table["type"] = [name if isinstance(name, str) and name else "Nucleus" for name in table["type"]]
    colours = dict(zip(sorted({*table["type"]}), cycle(PALETTE), strict=False))
    features = []
    for i, row in enumerate(table.to_dict("records")):
        measured = {key: row[key] for key in ("score", "area_um2") if np.isfinite(row[key])}
        kind = {"name": row["type"], "color": colours[row["type"]]}
        properties = {"objectType": "detection", "classification": kind, "measurements": measured}
        geometry = _geometry(nuclei.contours[i] if nuclei.contours else (), row["x_px"], row["y_px"])
        features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def _geometry(contour: Any, x: float, y: float) -> dict[str, Any]:
    ring = np.round(np.asarray(contour, np.float64).reshape(-1, 2) + 0.5, 2)
    across, down = (ring - np.roll(ring, 1, axis=0)).T
    area = abs((np.roll(ring[:, 0], 1) * down - np.roll(ring[:, 1], 1) * across).sum())
    if area < 1e-6:  # degenerate: no polygon
        return {"type": "Point", "coordinates": [round(float(x) + 0.5, 2), round(float(y) + 0.5, 2)]}
    return {"type": "Polygon", "coordinates": [[*ring.tolist(), ring[0].tolist()]]}


def write_points(path: str | Path, nuclei: Nuclei, mpp: float) -> None:
    """Write a label file in EndoNuke's layout: lines `x y 0` in whole pixels; `mpp` is not used.

    `histolib train hovernet` learns from such files, so detections can serve as pseudo-labels.
    """
    whole = np.unique(np.round(nuclei.xy).clip(min=0).astype(int), axis=0)
    with replacing(path) as temporary:
        temporary.write_text("".join(f"{x} {y} 0\n" for x, y in whole))


EXPORTS = {"csv": write_csv, "geojson": write_geojson, "txt": write_points}
