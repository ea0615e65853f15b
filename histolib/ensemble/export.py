"""Nuclei on disk: a CSV table, GeoJSON that opens in QuPath, and a label file in EndoNuke's layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..config import replacing
from .nuclei import Nuclei

__all__ = ["EXPORTS", "write_csv", "write_geojson", "write_points"]

# QuPath packs colours; an RGB triple is read as well. Okabe and Ito's palette, safe for colour-blind readers.
PALETTE = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (213, 94, 0), (204, 121, 167), (86, 180, 233))


def write_csv(path: str | Path, nuclei: Nuclei, mpp: float) -> None:
    """Write the table of `Nuclei.table`, coordinates to a hundredth, whole or not at all."""
    table = nuclei.table(mpp).round({"x_px": 2, "y_px": 2, "x_um": 3, "y_um": 3, "score": 4, "area_um2": 2})
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)


def write_geojson(path: str | Path, nuclei: Nuclei, mpp: float) -> None:
    """Write a FeatureCollection of QuPath detections: an outline where the route draws one, else a point.

    QuPath counts from the corner of the first pixel and we from its centre, so half a pixel is added.
    """
    table = nuclei.table(mpp)
    names = [str(name) if isinstance(name, str) and name else "Nucleus" for name in table["type"]]
    colours = {name: list(PALETTE[i % len(PALETTE)]) for i, name in enumerate(sorted(set(names)))}
    features = []
    for i, (name, x, y) in enumerate(zip(names, table["x_px"], table["y_px"], strict=True)):
        contour = None if nuclei.contours is None else nuclei.contours[i]
        measurements = {"score": table["score"][i], "area_um2": table["area_um2"][i]}
        known = {key: float(value) for key, value in measurements.items() if value is not None and np.isfinite(value)}
        features.append(
            {
                "type": "Feature",
                "geometry": _geometry(contour, x, y),
                "properties": {
                    "objectType": "detection",
                    "classification": {"name": name, "color": colours[name]},
                    "measurements": known,
                },
            }
        )
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def _geometry(contour: np.ndarray | None, x: float, y: float) -> dict[str, Any]:
    ring = np.round(np.asarray([] if contour is None else contour, np.float64).reshape(-1, 2) + 0.5, 2)
    across, down = (ring - np.roll(ring, 1, axis=0)).T
    area = abs((np.roll(ring[:, 0], 1) * down - np.roll(ring[:, 1], 1) * across).sum())
    if area < 1e-6:  # a line or less is no polygon
        return {"type": "Point", "coordinates": [round(float(x) + 0.5, 2), round(float(y) + 0.5, 2)]}
    return {"type": "Polygon", "coordinates": [[*ring.tolist(), ring[0].tolist()]]}


def write_points(path: str | Path, nuclei: Nuclei, mpp: float) -> None:
    """Write a nucleus a line as EndoNuke does, `x y class` in whole pixels, all of class 0; `mpp` changes nothing.

    What one network finds so becomes labels that another may learn from.
    """
    whole = np.unique(np.round(nuclei.xy).clip(min=0).astype(int), axis=0)
    with replacing(path) as temporary:
        temporary.write_text("".join(f"{x} {y} 0\n" for x, y in whole))


EXPORTS: dict[str, Callable[[str | Path, Nuclei, float], None]] = {
    "csv": write_csv,
    "geojson": write_geojson,
    "txt": write_points,
}
