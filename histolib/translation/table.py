"""Scores of translations for a person: a table that says which way is better, and who beats whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .translation_scores import DIRECTIONS

__all__ = ["beaten_by", "headline", "translation_table"]

TITLES = {
    "psnr": "PSNR",
    "ssim": "SSIM",
    "ms_gmsd": "MS-GMSD",
    "mdsi": "MDSI",
    "haarpsi": "HaarPSI",
    "kid": "KID",
    "fid": "FID",
    "correlation": "density",
    "nuclei": "nuclei",
    "cycle": "cycle",
    "detection": "F1",
}
KEPT = ("correlation", "nuclei", "cycle")  # what a translation keeps, best of all one that does nothing
ARROWS = {"higher": "↑", "lower": "↓"}


def headline(scores: Mapping[str, Any]) -> dict[str, float]:
    """One number for each measure that there is of one direction, KID and FID by the first features.

    Args:
        scores: `evaluate_translations`' "to_he" or "to_ihc" of a translation.
    """
    sets: Mapping[str, Any] = next(iter(scores["sets"].values()), {})
    means = {**scores["images"], **sets, "correlation": scores["correlation"], "cycle": scores["cycle"] or {}}
    found = {name: value.get("mean") for name, value in means.items()}
    found |= {name: (scores[name] or {}).get("f1") for name in ("nuclei", "detection")}
    return {name: found[name] for name in TITLES if found.get(name) is not None}


def beaten_by(result: Mapping[str, Any], name: str, direction: str = "to_he") -> dict[str, list[str]]:
    """The rivals that are at least as good as a translation, by measure; measures in which none is have no entry.

    What a translation keeps is left out: doing nothing keeps everything.
    """
    rivals = {rival: headline(s[direction]) for rival, s in result["translations"].items() if s[direction]}
    own = rivals.pop(name, {})
    found = {}
    for measure, value in own.items():
        sign = 1 if DIRECTIONS[measure] == "higher" else -1
        better = [
            rival for rival, other in rivals.items() if measure in other and sign * other[measure] >= sign * value
        ]
        if better and measure not in KEPT:
            found[measure] = better
    return found


def translation_table(result: Mapping[str, Any], name: str = "cyclegan") -> str:
    """The scores of `evaluate_translations`: a line a translation, real against real, and what beats one of them."""
    lines = [
        f"LEAKED: {file} was trained on {len(groups)} of these groups ({', '.join(groups[:5])}), so its scores say "
        "nothing of new images."
        for file, groups in result["protocol"].get("leaked", {}).items()
        if groups
    ]
    for direction, title in (("to_he", "to H&E"), ("to_ihc", "to IHC")):
        rows = {rival: headline(s[direction]) for rival, s in result["translations"].items() if s[direction]}
        measures = [measure for measure in TITLES if any(measure in row for row in rows.values())]
        if not measures:
            continue
        lines.append(f"{title:<9} " + " ".join(f"{TITLES[m] + ' ' + ARROWS[DIRECTIONS[m]]:>9}" for m in measures))
        lines += [f"{rival:<9} " + " ".join(f"{_cell(row.get(m)):>9}" for m in measures) for rival, row in rows.items()]
        floor: Mapping[str, Any] = next(iter(result["floor"][direction].values()), {})
        if floor:
            spans = [f"{TITLES[m]} {_cell(s['mean'])} ({' to '.join(map(_cell, s['ci95']))})" for m, s in floor.items()]
            lines.append(f"real against real, {floor['kid']['size']} fields each: {', '.join(spans)}")
        if direction == "to_he" and result["ceiling"]:
            low, high = map(_cell, result["ceiling"]["f1_ci95"])
            lines.append(f"F1 on the true H&E: {_cell(result['ceiling']['f1'])} ({low} to {high})")
        if name in rows and len(rows) > 1:
            lost = beaten_by(result, name, direction)
            won = [TITLES[m] for m in rows[name] if m not in (*lost, *KEPT)]
            if lost:
                named = [f"{TITLES[m]} ({', '.join(who)})" for m, who in lost.items()]
                lines.append(f"{name} does not beat every rival in {', '.join(named)}")
            if won:
                lines.append(f"{name} beats every rival in {', '.join(won)}")
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if abs(value) < 0.01 else f"{value:.3f}"
