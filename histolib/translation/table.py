"""Text table of translation scores, with the direction of each measure and the comparison to all rivals."""

from collections.abc import Mapping
from typing import Any

from .evaluation import DIRECTIONS

TITLES = {
    "psnr": "PSNR", "ssim": "SSIM", "ms_gmsd": "MS-GMSD", "mdsi": "MDSI", "haarpsi": "HaarPSI", "kid": "KID",
    "fid": "FID", "correlation": "density", "nuclei": "nuclei", "detection": "F1",
}  # fmt: skip
PRESERVED = ("correlation", "nuclei")  # best for the untranslated image, so not compared between rivals
ARROWS = {"higher": "↑", "lower": "↓"}


def headline(scores: Mapping[str, Any]) -> dict[str, float]:
    """One number per available measure of a translation; KID and FID by the first kind of features.

    Args:
        scores: one entry of "translations" of `evaluate_translations`.
    """
    sets: Mapping[str, Any] = next(iter(scores["sets"].values()), {})
    means = {**scores["images"], **sets, "correlation": scores["correlation"]}
    found = {name: value.get("mean") for name, value in means.items()}
    found |= {name: (scores[name] or {}).get("f1") for name in ("nuclei", "detection")}
    return {name: found[name] for name in TITLES if found.get(name) is not None}


def beaten_by(result: Mapping[str, Any], name: str) -> dict[str, list[str]]:
    """Rivals at least as good as a translation, by measure; measures without such a rival have no entry."""
    rivals = {rival: headline(scores) for rival, scores in result["translations"].items()}
    found = {}
    for measure, value in rivals.pop(name, {}).items():
        sign = 1 if DIRECTIONS[measure] == "higher" else -1
        better = [rival for rival, own in rivals.items() if measure in own and sign * own[measure] >= sign * value]
        if better and measure not in PRESERVED:
            found[measure] = better
    return found


def translation_table(result: Mapping[str, Any], name: str = "cyclegan") -> str:
    """Scores of `evaluate_translations`, one line per translation, then the floor, the ceiling and who beats `name`."""
    lines = [
        f"LEAKED: {role} was trained or selected on {len(groups)} of these groups ({', '.join(groups[:5])})"
        for role, groups in result["protocol"].get("leaked", {}).items()
        if groups
    ]
    rows = {rival: headline(scores) for rival, scores in result["translations"].items()}
    if not rows:
        return "\n".join(lines)
    measures = [measure for measure in TITLES if any(measure in row for row in rows.values())]
    lines.append(f"{'':<9} " + " ".join(f"{TITLES[m] + ' ' + ARROWS[DIRECTIONS[m]]:>9}" for m in measures))
    lines += [f"{rival:<9} " + " ".join(f"{_cell(row.get(m)):>9}" for m in measures) for rival, row in rows.items()]
    floor: Mapping[str, Any] = next(iter(result["floor"].values()), {})
    if floor:
        spans = [f"{TITLES[m]} {_cell(s['mean'])} ({' to '.join(map(_cell, s['ci95']))})" for m, s in floor.items()]
        lines.append(f"real against real, {floor['kid']['size']} fields each: {', '.join(spans)}")
    if result["ceiling"]:
        low, high = map(_cell, result["ceiling"]["f1_ci95"])
        lines.append(f"F1 on the true H&E: {_cell(result['ceiling']['f1'])} ({low} to {high})")
    if name in rows and len(rows) > 1:
        lost = beaten_by(result, name)
        named = [f"{TITLES[m]} ({', '.join(who)})" for m, who in lost.items()]
        won = [TITLES[m] for m in rows[name] if m not in (*lost, *PRESERVED)]
        lines += [f"{name} does not beat every rival in {', '.join(named)}"] if lost else []
        lines += [f"{name} beats every rival in {', '.join(won)}"] if won else []
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if abs(value) < 0.01 else f"{value:.3f}"
