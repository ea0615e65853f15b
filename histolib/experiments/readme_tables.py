"""The tables of the README, written from the committed results so that no number in it is typed by hand."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from .config import PROFILES, Paths, replacing
from .course import COSTS, Cost, duration, expected, read_costs, size_of, with_run
from .results import write_results

__all__ = ["TABLES", "add_parsers", "fill", "run_report"]

SEEDS = (0, 1, 2)
FOLDS = (1, 2)
MARKS = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
TRANSLATION_COLUMNS = {
    "psnr": ("PSNR ↑", 1),
    "ssim": ("SSIM ↑", 3),
    "ms_gmsd": ("MS-GMSD ↓", 3),
    "mdsi": ("MDSI ↓", 3),
    "haarpsi": ("HaarPSI ↑", 3),
    "kid": ("KID ↓", 3),
    "correlation": ("density ↑", 3),
    "nuclei": ("nuclei ↑", 3),
    "cycle": ("cycle ↓", 3),
    "detection": ("F1 ↑", 3),
}
NOTEBOOKS = {
    "01_data_exploration": (
        "1 · Data exploration",
        "what do BCI, PanNuke and EndoNuke hold, and what must be cleaned?",
    ),
    "02_cyclegan_training": (
        "2 · CycleGAN",
        "can unpaired patches teach IHC → H&E, and does the tissue survive?",
    ),
    "03_hovernet_centroids": ("3 · HoVer-Net", "how are touching nuclei pulled apart?"),
    "04_ensemble_evaluation": ("4 · Ensemble", "does the detour through H&E find nuclei better?"),
}
Read = Callable[[str], Any]  # of the name of a results file
EPILOG = """\
examples:
  histolib report
  histolib report --check
  histolib report --cost runs/quick/summary.json
"""


def add_parsers(subparsers: argparse._SubParsersAction) -> None:
    """Add `report` to the command line."""
    about = "Write the tables of the README from data/results, so that no number in them is typed by hand."
    parser = subparsers.add_parser("report", description=about, epilog=EPILOG)
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--check", action="store_true", help="write nothing; exit 2 where the README is out of date")
    either.add_argument(
        "--cost",
        type=Path,
        nargs="+",
        default=[],
        metavar="SUMMARY",
        help=f"first take time and memory of the course from summary.json of runs from nothing, into {COSTS} "
        "(default: leave them)",
    )
    parser.set_defaults(run=run_report)


def run_report(args: argparse.Namespace) -> int:
    """Bring the README's tables up to date, or say that they are not."""
    root = Paths.find().root
    readme, results = root / "README.md", root / "data" / "results"
    for summary in args.cost:
        measured = with_run(read_costs(results), json.loads(summary.read_text("utf-8")), str(summary))
        write_results(results / COSTS, measured)
    before = readme.read_text("utf-8")
    after = fill(before, results)
    if args.check and before != after:
        raise ValueError(f"{readme}: expected the tables of data/results, found others; `histolib report` writes them")
    if before != after:
        with replacing(readme) as temporary:
            temporary.write_text(after, "utf-8")
    print(f"{len(MARKS.findall(after))} tables in {readme}, {'unchanged' if before == after else 'written'}")
    return 0


def fill(text: str, results: Path) -> str:
    """A text with every table between `<!-- table: NAME -->` and `<!-- end of table -->` made anew.

    Args:
        text: Markdown.
        results: folder of the results that tables are made of.

    Raises:
        FileNotFoundError: a results file is missing.
        ValueError: there is no table of that name.
    """

    def read(name: str) -> Any:
        return json.loads((results / name).read_text("utf-8"))

    def table(match: re.Match) -> str:
        if match[2] not in TABLES:
            raise ValueError(f"expected a table out of {', '.join(TABLES)}, found {match[2]}")
        return f"{match[1]}{TABLES[match[2]](read)}\n{match[3]}"

    return MARKS.sub(table, text)


def _routes(read: Read) -> str:
    routes = read("endonuke.json")["routes"]
    rows = []
    for name, scores in sorted(routes.items(), key=lambda item: -item[1]["f1"]):
        gains = [_gain(scores["difference"].get(other)) for other in ("log", "od")]
        rows.append(
            [
                f"`{name}`", _number(scores["precision"]), _number(scores["recall"]), _number(scores["f1"]),
                _interval(scores["f1_ci95"]), *gains, _number(scores["average_precision"]),
                _number(scores["f1_then_threshold"]), _number(scores["loc_error_um"], 2),
                _number(scores["seconds_per_mm2"], 1),
            ]
        )  # fmt: skip
    head = [
        "route",
        "precision",
        "recall",
        "F1",
        "95 % interval",
        "F1 − `log`",
        "F1 − `od`",
        "AP",
        "F1, assigned first",
    ]
    return _markdown([*head, "error µm", "s/mm²"], rows)


def _recalls(read: Read) -> str:
    routes = read("endonuke.json")["routes"]
    groups = [(table, name) for table in ("recall_by_class", "recall_by_stain") for name in routes["log"][table]]
    sizes = [routes["log"][table][name]["n"] for table, name in groups]
    rows = [
        [f"`{name}`", *(_number(scores[table][group]["recall"]) for table, group in groups), _limits(scores)]
        for name, scores in sorted(routes.items(), key=lambda item: -item[1]["f1"])
    ]
    head = [f"{name} ({size:,})" for (_, name), size in zip(groups, sizes, strict=True)]
    return _markdown(["recall of", *head, "count a tile: mean, 95 % limits"], rows)


def _course(read: Read) -> str:
    costs = read(COSTS)
    rows = []
    for file, (title, question) in NOTEBOOKS.items():
        quick, full = (expected(costs, size, file[:2]) for size in PROFILES.values())
        rows.append([f"[{title}](notebooks/{file}.ipynb)", question, _cost(quick), _cost(full)])
    cpus = costs.get("runs", {}).get("quick", {}).get("machine", {}).get("cpus", "two")
    return _markdown(
        ["notebook", "the question", f"quick profile, {cpus} CPU cores", "full profile, one CPU core"], rows
    )


def _cost(cost: Cost) -> str:
    if cost.seconds is None:
        return "–"
    memory = "" if cost.memory_mb is None else f", {size_of(cost.memory_mb)}"
    return f"{'about ' if cost.steps else ''}{duration(cost.seconds)}{memory}"


def _hovernet(read: Read) -> str:
    results = read("hovernet_consep.json")
    published = {"detection": None, "assigned": 0.748, "dice": 0.85, "pq": 0.55}
    networks = {"first network": "first", "as shipped": "shipped", "mean of 8 orientations": "shipped_8_orientations"}
    parts = [results[network][part] for network in networks.values() for part in ("val", "test")]
    rows = []
    for title, pick in (
        ("detection F1, 3 µm, far pairs excluded first", "detection"),
        ("detection F1, 3 µm, assigned, then thresholded", "assigned"),
        ("Dice", "dice"),
        ("AJI", "aji"),
        ("PQ", "pq"),
    ):
        rows.append([title, *(_hover_cell(part, pick) for part in parts), _number(published.get(pick))])
    head = [f"{network}, {images}" for network in networks for images in ("4 images to choose by", "5 test images")]
    return _markdown(["", *head, "published, full width, 0.25 µm/px"], rows)


def _hover_cell(scores: Mapping[str, Any], pick: str) -> str:
    key = {"detection": "detection", "assigned": "detection_assign_then_threshold"}.get(pick)
    if key is None:
        return _number(scores["segmentation"][pick])
    return f"{_number(scores[key]['f1'])} ({_interval(scores[key]['f1_ci95'])})"


def _phantom(read: Read) -> str:
    runs = [read(f"translation_phantom_{seed}.json") for seed in SEEDS]
    names = runs[0]["translations"]
    rows = []
    for name in names:
        scores = [_translation(run["translations"][name]["to_he"]) for run in runs]
        rows.append(
            [f"`{name}`", *(_spread([one[key] for one in scores], TRANSLATION_COLUMNS[key][1]) for key in scores[0])]
        )
    return _markdown(["IHC → H&E", *(title for title, _ in TRANSLATION_COLUMNS.values())], rows)


def _real(read: Read) -> str:
    keys = ("kid", "correlation", "nuclei", "cycle")
    rows = []
    for fold in FOLDS:
        results = read(f"translation_real_{fold}.json")
        for name, both in results["translations"].items():
            scores = _translation(both["to_he"])
            cells = [_number(scores[key], TRANSLATION_COLUMNS[key][1]) for key in keys]
            rows.append([str(fold), f"`{name}`", *cells])
        floor = results["floor"]["to_he"]["encoder"]["kid"] if "to_he" in results["floor"] else None
        if floor:
            rows.append(
                [str(fold), "real against real", f"{_number(floor['mean'])} ({_interval(floor['ci95'])})", "", "", ""]
            )
    return _markdown(["fold", "IHC → H&E", *(TRANSLATION_COLUMNS[key][0] for key in keys)], rows)


def _tricks(read: Read) -> str:
    summary = read("tricks.json")["summary"]
    rows = []
    for name, scores in summary.items():
        change = scores.get("change")
        changed = "" if change is None else f"{change['mean']:+.3f} ({change['low']:+.3f} to {change['high']:+.3f})"
        rows.append(
            [name, _number(scores["detection"]["mean"]), changed, _number(scores["kid"]["mean"]),
             _number(scores["ssim"]["mean"]), _number(scores["correlation"]["mean"])]
        )  # fmt: skip
    return _markdown(["setting", "F1 ↑", "change (lowest to highest seed)", "KID ↓", "SSIM ↑", "density ↑"], rows)


TABLES: dict[str, Callable[[Read], str]] = {
    "routes": _routes,
    "recalls": _recalls,
    "course": _course,
    "hovernet": _hovernet,
    "translation-phantom": _phantom,
    "translation-real": _real,
    "tricks": _tricks,
}


def _translation(scores: Mapping[str, Any]) -> dict[str, float | None]:
    """The numbers of one direction by the keys of the columns, None where there is none."""
    sets = scores["sets"].get("encoder", {})
    found = {
        **{key: value["mean"] for key, value in scores["images"].items()},
        **{key: value["mean"] for key, value in sets.items()},
        "correlation": scores["correlation"]["mean"],
        "nuclei": scores["nuclei"]["f1"] if scores.get("nuclei") else None,
        "cycle": scores["cycle"]["mean"] if scores.get("cycle") else None,
        "detection": scores["detection"]["f1"] if scores.get("detection") else None,
    }
    return {key: found.get(key) for key in TRANSLATION_COLUMNS}


def _spread(values: Sequence[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    if max(known) - min(known) < 0.5 * 10.0**-digits:
        return _number(known[0], digits)
    return f"{mean(known):.{digits}f} ({min(known):.{digits}f}–{max(known):.{digits}f})"


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _interval(bounds: Sequence[float | None]) -> str:
    return " to ".join(_number(value) for value in bounds)


def _gain(difference: Mapping[str, Any] | None) -> str:
    if difference is None:
        return ""
    low, high = difference["ci95"]
    return f"{difference['f1']:+.3f} ({low:+.3f} to {high:+.3f})"


def _limits(scores: Mapping[str, Any]) -> str:
    low, middle, high = scores["count_limits"]
    return f"{middle:+.1f}, {low:+.0f} to {high:+.0f}"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
