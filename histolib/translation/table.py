"""Text table of translation scores, with the direction of each measure."""

from collections.abc import Mapping
from typing import Any

from .evaluation import DIRECTIONS

TITLES = {
    "psnr": "PSNR", "ssim": "SSIM", "ms_gmsd": "MS-GMSD", "mdsi": "MDSI", "haarpsi": "HaarPSI", "kid": "KID",
    "fid": "FID", "correlation": "density", "nuclei": "nuclei", "detection": "F1",
}  # fmt: skip
ARROWS = {"higher": "↑", "lower": "↓"}


def headline(scores: Mapping[str, Any]) -> dict[str, float]:
    """One number per available measure of a translation; KID and FID by the first kind of features.

    Args:
        scores: one entry of "translations" of `evaluate_translations`.
    """
    sets: Mapping[str, Any] = next(iter(scores["sets"].values()), {})
    found = {**scores["images"], **sets, **{name: scores[name] for name in ("correlation", "nuclei", "detection")}}
    values = {name: one.get("mean", one.get("f1")) for name, one in found.items() if one}
    return {name: values[name] for name in TITLES if values.get(name) is not None}


def translation_table(result: Mapping[str, Any]) -> str:
    """Scores of `evaluate_translations`, one line per translation, then the floor and the ceiling."""
    rows = {name: headline(scores) for name, scores in result["translations"].items()}
    measures = [measure for measure in TITLES if any(measure in row for row in rows.values())]
    titles = [f"{TITLES[measure]} {ARROWS[DIRECTIONS[measure]]}" for measure in measures]
    cells = {"": titles} | {name: [_cell(row.get(measure)) for measure in measures] for name, row in rows.items()}
    lines = [f"{name:<9} " + " ".join(f"{cell:>9}" for cell in line) for name, line in cells.items()]
    floor: Mapping[str, Any] = next(iter(result["floor"].values()), {})
    if floor:
        spans = [f"{TITLES[m]} {_cell(s['mean'])} ({' to '.join(map(_cell, s['ci95']))})" for m, s in floor.items()]
        lines.append(f"real against real, {floor['kid']['size']} fields each: {', '.join(spans)}")
    if ceiling := result["ceiling"]:
        low, high = map(_cell, ceiling["f1_ci95"])
        lines.append(f"F1 on the true H&E: {_cell(ceiling['f1'])} ({low} to {high})")
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if abs(value) < 0.01 else f"{value:.3f}"
