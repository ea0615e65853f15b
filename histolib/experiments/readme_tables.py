"""Write the tables of the README and of the full report from data/results, so that no number in them is typed by hand.

python -m histolib.experiments.readme_tables
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, product
from pathlib import Path
from statistics import mean
from typing import Any

from ..config import Paths
from ..translation.evaluation import DIRECTIONS
from ..translation.table import ARROWS, TITLES, headline

PAGES = ("README.md", "data/results/README.md")
MARKS = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
MEASURES = {name: f"{TITLES[name]} {ARROWS[DIRECTIONS[name]]}" for name in TITLES if name != "fid"}
NOTEBOOKS = {
    "01_data_exploration": ("1 · Data exploration", "what do BCI, PanNuke and EndoNuke contain, and what needs care?"),
    "02_cyclegan_training": ("2 · CycleGAN", "can unpaired patches teach IHC → H&E, and does the tissue survive?"),
    "03_hovernet_centroids": ("3 · HoVer-Net", "how are touching nuclei separated?"),
    "04_ensemble_evaluation": ("4 · Ensemble", "does the detour through H&E find nuclei better?"),
    "05_gan_augmentation": ("5 · GAN augmentation", "can a GAN invent the rare nucleus?"),
}
ANSWER = {
    "log": "Laplacian of Gaussian, no learning",
    "direct": "HoVer-Net for H&E on the untranslated IHC",
    "cyclegan": "translation by the CycleGAN, then HoVer-Net for H&E",
    "selftrained": "HoVer-Net on painted H&E and unlabelled IHC (default)",
}
LABORATORIES = {
    "endonuke": "EndoNuke, ER/PR", "ki67_other_labs": "other laboratories, Ki-67", "brca_m2c_val": "BRCA-M2C, H&E",
}  # fmt: skip
NUCLEI = {"brca": "BRCA-M2C", "consep": "CoNSeP", "endonuke": "EndoNuke"}  # of nucleus_types.json
HOVERNET_ROWS = {
    "detection": "detection F1, 3 µm, far pairs excluded first",
    "detection_assign_then_threshold": "detection F1, 3 µm, assigned, then thresholded",
    "dice": "Dice", "aji": "AJI", "pq": "PQ",
}  # fmt: skip
HOVERNET_RUNS = {"first": "first network", "shipped": "pretrained"}
HOVERNET_IMAGES = {"val": "4 validation images", "test": "5 test images"}
# Published scores of the full-width network at 0.25 µm/px on CoNSeP's 14 test images; its detection F1 assigns first.
HOVERNET_PUBLISHED = {
    "official PyTorch code": {"detection_assign_then_threshold": 0.756, "dice": 0.850, "pq": 0.546, "aji": 0.601},
    "the paper's TensorFlow code": {"detection_assign_then_threshold": 0.748, "dice": 0.853, "pq": 0.548, "aji": 0.600},
}
Read = Callable[[str], Any]  # content of a results file by its name
Rows = Iterable[Mapping[str, Any]]  # by the title of the column, what `_cell` writes


def main() -> None:
    """Update the pages."""
    root = Paths.find().root
    for page in (root / name for name in PAGES):
        text = fill(page.read_text("utf-8"), root / "data" / "results")
        page.write_text(text, "utf-8")
        print(f"{len(MARKS.findall(text))} tables in {page}")


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
        rows = TABLES[match[2]](lambda name: json.loads((results / name).read_text("utf-8")))
        return f"{match[1]}{_markdown(rows)}\n{match[3]}"

    return MARKS.sub(table, text)


def _answer(read: Read) -> Rows:
    endonuke, others = read("endonuke.json")["routes"], read("laboratories.json")["ki67_other_labs"]
    for name, method in ANSWER.items():
        yield {
            "route": _route(name, endonuke[name]), "method": method, "EndoNuke, ER/PR, 188 tiles": endonuke[name],
            "other laboratories, Ki-67, 6 fields": others[name],
        }  # fmt: skip


def _laboratories(read: Read) -> Rows:
    found, rows = read("laboratories.json"), []
    for route in dict.fromkeys(chain.from_iterable(found.values())):
        f1 = [scores[route]["f1"] for scores in found.values() if route in scores]
        cells = {title: found[name].get(route, "") for name, title in LABORATORIES.items()}
        rows.append({"F1 of": f"`{route}`", **cells, "lowest": min(f1) if len(f1) > 1 else ""})
    return sorted(rows, key=lambda row: -(row["lowest"] or 0))


def _routes(read: Read) -> Rows:
    for name, scores in _best_first(read):
        log, od = (_change(scores["difference"].get(other, {})) for other in ("log", "od"))
        yield {
            "route": _route(name, scores), "precision": scores["precision"], "recall": scores["recall"],
            "F1": scores["f1"], "95 % interval": scores["f1_ci95"], "F1 − `log`": log, "F1 − `od`": od,
            "AP": scores["average_precision"], "F1, assigned first": scores["f1_then_threshold"],
            "error µm": f"{scores['loc_error_um']:.2f}", "s/mm²": f"{scores['seconds_per_mm2']:.1f}",
        }  # fmt: skip


def _recalls(read: Read) -> Rows:
    for name, scores in _best_first(read):
        recalls, (low, middle, high) = scores["recall_by_class"] | scores["recall_by_stain"], scores["count_limits"]
        numbers = {f"{group} ({found['n']:,})": found["recall"] for group, found in recalls.items()}
        limits = {"predicted minus true count per tile: mean, 95 % limits": f"{middle:+.1f}, {low:+.0f} to {high:+.0f}"}
        yield {"recall of": _route(name, scores)} | numbers | limits


def _course(read: Read) -> Rows:
    costs = read("course_cost.json")
    for file, (title, question) in NOTEBOOKS.items():
        cost = costs["notebooks"][file[:2]]
        measured = f"{cost['seconds'] / 60:.1f} min, {cost['memory_mb'] / 1000:.1f} GB"
        row = {"notebook": f"[{title}](notebooks/{file}.ipynb)", "question": question}
        yield row | {f"quick profile, {costs['machine']['cpus']} CPU cores": measured}


def _hovernet(read: Read) -> Rows:
    results, columns = read("hovernet_consep.json"), {}
    for (run, name), (part, images) in product(HOVERNET_RUNS.items(), HOVERNET_IMAGES.items()):
        columns[f"{name}, {images}"] = results[run][part] | results[run][part]["segmentation"]
    columns |= {f"{source}, 14 test images": scores for source, scores in HOVERNET_PUBLISHED.items()}
    for key, title in HOVERNET_ROWS.items():
        yield {"": title} | {name: scores.get(key) for name, scores in columns.items()}


def _phantom(read: Read) -> Rows:
    runs = [read(f"translation_phantom_{seed}.json")["translations"] for seed in (0, 1, 2)]
    for name in runs[0]:
        scores = [headline(run[name]) for run in runs]
        spreads = {title: _spread([one.get(key) for one in scores], key) for key, title in MEASURES.items()}
        yield {"IHC → H&E": f"`{name}`"} | spreads


def _real(read: Read) -> Rows:
    for fold in (1, 2):
        results = read(f"translation_real_{fold}.json")
        rows: dict[str, Any] = {f"`{name}`": headline(scores) for name, scores in results["translations"].items()}
        rows["real against real"] = {**results["floor"]["encoder"], "correlation": "", "nuclei": ""}
        for name, scores in rows.items():
            numbers = {MEASURES[key]: scores.get(key) for key in ("kid", "correlation", "nuclei")}
            yield {"fold": str(fold), "IHC → H&E": name} | numbers


def _ablation(read: Read) -> Rows:
    for name, scores in read("cyclegan_ablation.json")["summary"].items():
        means = {key: found["mean"] for key, found in scores.items()}
        yield {
            "setting": name, "F1 ↑": means["detection"],
            "change (lowest to highest seed)": _change(scores.get("change", {})),
            "KID ↓": means["kid"], "SSIM ↑": means["ssim"], "density ↑": means["correlation"],
        }  # fmt: skip


def _arms(read: Read) -> Rows:
    for key, found in read("nucleus_types.json")["sets"].items():
        rarest = min(found["types"], key=found["split"]["train"]["nuclei"].__getitem__)
        for arm, scores in found["arms"].items():
            change = scores["minus sampler and augmentation"]["macro_f1"]
            yield {
                "data": NUCLEI[key], "training set": arm, "macro-F1": _triple(scores["macro_f1"]),
                "minus sampler and augmentation": _change(_triple(change)) if any(change) else "",
                "balanced accuracy": _triple(scores["balanced_accuracy"]),
                "calibration error": _triple(scores["calibration_error"]),
                "recall of the rarest type": f"{rarest}: {_cell(_triple(scores[f'recall of {rarest}']))}",
            }  # fmt: skip


def _drawings(read: Read) -> Rows:
    for key, found in read("nucleus_types.json")["sets"].items():
        gan, named = found["gan"], found["gan"]["drawings_named"]
        recognised = sum(row[i] for i, row in enumerate(named)) / sum(map(sum, named))
        compared = {name: [scores] for name, scores in gan["references"].items()}
        for name, runs in (compared | {f"drawings, {gan['family']}": gan["quality"]}).items():
            means = {k: mean(one["encoder"][k] for one in runs) for k in ("kid", "fid", "precision", "recall")}
            yield {
                "data": NUCLEI[key], "crops": name, "KID ↓": means["kid"], "FID ↓": f"{means['fid']:.0f}",
                "precision ↑": means["precision"], "recall ↑": means["recall"],
                "named as asked ↑": "" if name in compared else recognised,
                "grey values to the nearest training crop": f"{mean(one['nearest']['median'] for one in runs):.1f}",
            }  # fmt: skip


def _claims(read: Read) -> Rows:
    for claim, scores in read("nucleus_types.json")["claims"]["table"].items():
        row: dict[str, Any] = {"change of a DCGAN": claim}
        for key, title in (("kid", "KID ↓"), ("macro_f1", "macro-F1 ↑")):
            change = scores[key].get("change")
            row[title] = _spread(scores[key]["seeds"], key)
            row[f"change of {title[:-2]}"] = _change(_triple(change)) if change else ""
            row[f"{title[:-2]}: verdict"] = scores[key].get("verdict", "")
        yield row | {"macro-F1 minus plain": _change(_triple(scores["minus plain"]))}


TABLES: dict[str, Callable[[Read], Rows]] = {
    "answer": _answer, "course": _course, "routes": _routes, "recalls": _recalls, "laboratories": _laboratories,
    "hovernet": _hovernet, "translation-phantom": _phantom, "translation-real": _real, "cyclegan-ablation": _ablation,
    "nucleus-types": _arms, "nucleus-drawings": _drawings, "gan-claims": _claims,
}  # fmt: skip


def _triple(numbers: Sequence[float]) -> dict[str, Any]:
    """A score with its interval, from (score, low, high)."""
    return {"mean": numbers[0], "ci95": list(numbers[1:])}


def _best_first(read: Read) -> list[tuple[str, Any]]:
    return sorted(read("endonuke.json")["routes"].items(), key=lambda item: -item[1]["f1"])


def _route(name: str, scores: Mapping[str, Any]) -> str:
    """Name of a route; † marks scores of earlier weights."""
    return f"`{name}`" + " †" * scores.get("earlier", False)


def _spread(values: Sequence[Any], measure: str) -> str:
    """The mean over runs with its range; one number if they are equal."""
    digits = 1 if measure == "psnr" else 3
    if None in values:
        return "–"
    if max(values) - min(values) < 0.5 * 10.0**-digits:
        return f"{values[0]:.{digits}f}"
    return f"{mean(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def _cell(value: Any) -> str:
    """A number, an interval (two numbers) or a score with its interval; text stays as it is."""
    if isinstance(value, dict):
        score, *interval = (value[key] for key in ("f1", "f1_ci95", "mean", "ci95") if key in value)
        return f"{_cell(score)} ({_cell(*interval)})"
    if isinstance(value, list):
        return " to ".join(map(_cell, value))
    return "–" if value is None else value if isinstance(value, str) else f"{value:.3f}"


def _change(change: Mapping[str, Any]) -> str:
    """A signed difference with its interval or range; empty if there is none."""
    numbers = change.get("f1", change.get("mean")), *change.get("ci95", (change.get("low"), change.get("high")))
    return "{:+.3f} ({:+.3f} to {:+.3f})".format(*numbers) if change else ""


def _markdown(rows: Rows) -> str:
    table = list(rows)
    lines = [list(table[0]), ["---"] * len(table[0]), *(map(_cell, row.values()) for row in table)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    main()
