"""Write the tables of the README from data/results, so that no number in them is typed by hand.

python -m histolib.experiments.readme_tables            # write
python -m histolib.experiments.readme_tables --check    # exit code 2 if the README is out of date
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from ..config import Paths
from ..io import replacing
from ..translation.evaluation import DIRECTIONS
from ..translation.table import ARROWS, TITLES, headline

MARKS = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
MEASURES = {name: f"{TITLES[name]} {ARROWS[DIRECTIONS[name]]}" for name in TITLES if name != "fid"}
NOTEBOOKS = {
    "01_data_exploration": ("1 · Data exploration", "what do BCI, PanNuke and EndoNuke contain, and what needs care?"),
    "02_cyclegan_training": ("2 · CycleGAN", "can unpaired patches teach IHC → H&E, and does the tissue survive?"),
    "03_hovernet_centroids": ("3 · HoVer-Net", "how are touching nuclei separated?"),
    "04_ensemble_evaluation": ("4 · Ensemble", "does the detour through H&E find nuclei better?"),
}
HOVERNET_ROWS = {
    "detection": "detection F1, 3 µm, far pairs excluded first",
    "detection_assign_then_threshold": "detection F1, 3 µm, assigned, then thresholded",
    "dice": "Dice", "aji": "AJI", "pq": "PQ",
}  # fmt: skip
HOVERNET_RUNS = {
    "first": "first network",
    "shipped": "pretrained",
    "shipped_8_orientations": "pretrained, 8 orientations",
}
# Published scores of the full-width network at 0.25 µm/px on CoNSeP's 14 test images; its detection F1 assigns first.
HOVERNET_PUBLISHED = {
    "official PyTorch code": {"detection_assign_then_threshold": 0.756, "dice": 0.850, "pq": 0.546, "aji": 0.601},
    "the paper's TensorFlow code": {"detection_assign_then_threshold": 0.748, "dice": 0.853, "pq": 0.548, "aji": 0.600},
}
Read = Callable[[str], Any]  # content of a results file by its name


def main(argv: Sequence[str] | None = None) -> int:
    """Update the README, or check that it is up to date."""
    parser = argparse.ArgumentParser(description="Write the tables of the README from data/results.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 2 if the README is out of date")
    check, readme = parser.parse_args(argv).check, Paths.find().root / "README.md"
    before = readme.read_text("utf-8")
    after = fill(before, readme.parent / "data" / "results")
    if before != after and check:
        parser.error(f"{readme}: expected the tables of data/results, found others; run without --check")
    if before != after:
        with replacing(readme) as temporary:
            temporary.write_text(after, "utf-8")
    print(f"{len(MARKS.findall(after))} tables in {readme}, {'unchanged' if before == after else 'written'}")
    return 0


def fill(text: str, results: Path) -> str:
    """Replace every table between `<!-- table: NAME -->` and `<!-- end of table -->`.

    Args:
        text: Markdown.
        results: folder of the result files.

    Raises:
        FileNotFoundError: a result file is missing.
        ValueError: a table name is unknown.
    """

    def table(match: re.Match) -> str:
        if match[2] not in TABLES:
            raise ValueError(f"expected a table out of {', '.join(TABLES)}, found {match[2]}")
        made = TABLES[match[2]](lambda name: json.loads((results / name).read_text("utf-8")))
        return f"{match[1]}{made}\n{match[3]}"

    return MARKS.sub(table, text)


def _routes(read: Read) -> str:
    rows = []
    for name, scores in _best_first(read):
        gains = [_change(scores["difference"].get(other), "f1") for other in ("log", "od")]
        numbers = [_number(scores[key]) for key in ("precision", "recall", "f1")]
        others = [_number(scores[key]) for key in ("average_precision", "f1_then_threshold")]
        others += [_number(scores["loc_error_um"], 2), _number(scores["seconds_per_mm2"], 1)]
        rows.append([f"`{name}`", *numbers, _interval(scores["f1_ci95"]), *gains, *others])
    head = ["route", "precision", "recall", "F1", "95 % interval", "F1 − `log`", "F1 − `od`", "AP"]
    return _markdown([*head, "F1, assigned first", "error µm", "s/mm²"], rows)


def _recalls(read: Read) -> str:
    rows, head = [], []
    for name, scores in _best_first(read):
        recalls, (low, middle, high) = scores["recall_by_class"] | scores["recall_by_stain"], scores["count_limits"]
        head = [f"{group} ({recall['n']:,})" for group, recall in recalls.items()]
        numbers = [_number(recall["recall"]) for recall in recalls.values()]
        rows.append([f"`{name}`", *numbers, f"{middle:+.1f}, {low:+.0f} to {high:+.0f}"])
    return _markdown(["recall of", *head, "predicted minus true count per tile: mean, 95 % limits"], rows)


def _course(read: Read) -> str:
    costs = read("course_cost.json")
    rows = []
    for file, (title, question) in NOTEBOOKS.items():
        cost = costs["notebooks"][file[:2]]
        measured = f"{cost['seconds'] / 60:.1f} min, {cost['memory_mb'] / 1000:.1f} GB"
        rows.append([f"[{title}](notebooks/{file}.ipynb)", question, measured])
    return _markdown(["notebook", "question", f"quick profile, {costs['machine']['cpus']} CPU cores"], rows)


def _hovernet(read: Read) -> str:
    results = read("hovernet_consep.json")
    images = {"val": "4 validation images", "test": "5 test images"}
    head = [f"{name}, {count}" for name in HOVERNET_RUNS.values() for count in images.values()]
    rows = []
    for key, title in HOVERNET_ROWS.items():
        scores = [results[name][part] for name in HOVERNET_RUNS for part in images]
        cells = [
            f"{_number(one[key]['f1'])} ({_interval(one[key]['f1_ci95'])})" if key in one
            else _number(one["segmentation"][key]) for one in scores
        ]  # fmt: skip
        rows.append([title, *cells, *(_number(published.get(key)) for published in HOVERNET_PUBLISHED.values())])
    return _markdown(["", *head, *(f"{source}, 14 test images" for source in HOVERNET_PUBLISHED)], rows)


def _phantom(read: Read) -> str:
    runs = [read(f"translation_phantom_{seed}.json")["translations"] for seed in (0, 1, 2)]
    rows = []
    for name in runs[0]:
        scores = [headline(run[name]) for run in runs]
        columns = ([one.get(key) for one in scores] for key in MEASURES)
        rows.append([f"`{name}`", *(_spread(column, 3 if i else 1) for i, column in enumerate(columns))])
    return _markdown(["IHC → H&E", *MEASURES.values()], rows)


def _real(read: Read) -> str:
    keys = ("kid", "correlation", "nuclei")
    rows = []
    for fold in (1, 2):
        results = read(f"translation_real_{fold}.json")
        for name, scores in results["translations"].items():
            rows.append([str(fold), f"`{name}`", *(_number(headline(scores).get(key)) for key in keys)])
        floor = results["floor"]["encoder"]["kid"]
        rows.append([str(fold), "real against real", f"{_number(floor['mean'])} ({_interval(floor['ci95'])})", "", ""])
    return _markdown(["fold", "IHC → H&E", *(MEASURES[key] for key in keys)], rows)


def _ablation(read: Read) -> str:
    rows = []
    for name, scores in read("cyclegan_ablation.json")["summary"].items():
        numbers = [_number(scores[key]["mean"]) for key in ("kid", "ssim", "correlation")]
        rows.append([name, _number(scores["detection"]["mean"]), _change(scores.get("change"), "mean"), *numbers])
    return _markdown(["setting", "F1 ↑", "change (lowest to highest seed)", "KID ↓", "SSIM ↑", "density ↑"], rows)


TABLES: dict[str, Callable[[Read], str]] = {
    "routes": _routes, "recalls": _recalls, "course": _course, "hovernet": _hovernet, "translation-phantom": _phantom,
    "translation-real": _real, "cyclegan-ablation": _ablation,
}  # fmt: skip


def _best_first(read: Read) -> list[tuple[str, Any]]:
    return sorted(read("endonuke.json")["routes"].items(), key=lambda item: -item[1]["f1"])


def _spread(values: Sequence[Any], digits: int) -> str:
    if None in values or max(values) - min(values) < 0.5 * 10.0**-digits:
        return _number(values[0], digits)
    return f"{mean(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _interval(bounds: Sequence[float | None]) -> str:
    return " to ".join(_number(value) for value in bounds)


def _change(change: Mapping[str, Any] | None, key: str) -> str:
    """A signed difference with its interval or range."""
    if change is None:
        return ""
    low, high = change["ci95"] if "ci95" in change else (change["low"], change["high"])
    return f"{change[key]:+.3f} ({low:+.3f} to {high:+.3f})"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows])


if __name__ == "__main__":
    sys.exit(main())
