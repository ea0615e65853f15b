"""`histolib evaluate --dataset pannuke|consep`: a network on outlined nuclei, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..config import best_device, writable_folder
from ..data import in_groups, open_outlined, read_split
from ..results import write_results
from .evaluation import evaluate_nuclei
from .weights import load_hovernet

__all__ = ["evaluate_outlined"]


def evaluate_outlined(
    root: Path,
    weights: Path,
    split: Path | None,
    radius_um: float,
    output: Path | None,
    part: str = "test",
    orientations: int = 1,
) -> dict[str, Any]:
    """Score a network on one part of a split, or on all of a set, print the table and write the JSON.

    Args:
        root: folder in PanNuke's layout or of CoNSeP's tiles.
        weights: file of `save_hovernet`, or a published checkpoint.
        split: JSON of groups; None scores everything.
        radius_um: largest distance of a hit in microns.
        output: JSON file to write.
        part: the part of the split: train, val or test.
        orientations: over how many orientations of an image maps are averaged.

    Raises:
        FileNotFoundError, ValueError, OSError: what cannot be read or written.
    """
    if output:
        writable_folder(output.parent)
    samples, types = open_outlined(root)
    if split:
        samples = in_groups(samples, read_split(split)[part])
    net, card = load_hovernet(weights)
    with tqdm(samples, unit="image", disable=None) as bar:
        result = evaluate_nuclei(
            net,
            card,
            samples,
            types=types,
            radius_um=radius_um,
            orientations=orientations,
            device=best_device(),
            progress=lambda _: bar,
        )
    result["protocol"] |= {"weights": str(weights), "split": str(split) if split else None, "part": part}
    if output:
        write_results(output, result)
    print(table(result))
    return result


def table(result: Mapping[str, Any]) -> str:
    """The scores of `evaluate_nuclei` for a person; a leak stands in the first line."""
    leaked = result["protocol"]["leaked"]
    if leaked is None:
        lines = ["The weights do not say what they were trained on: these scores may be leaked."]
    elif leaked:
        known = ", ".join(leaked)
        lines = [f"LEAKED: these weights were trained on or chosen by {known}; the scores say nothing of new images."]
    else:
        lines = []
    for name, title in (
        ("detection", "pairs beyond the radius excluded first"),
        ("detection_assign_then_threshold", "assigned, then thresholded"),
    ):
        scores = result[name]
        low, high = map(cell, scores["f1_ci95"])
        lines.append(
            f"detection  F1 {cell(scores['f1'])} ({low} to {high})  precision {cell(scores['precision'])}  "
            f"recall {cell(scores['recall'])}  {title}"
        )
    numbers = {**result["segmentation"], "mPQ": result["pannuke"]["mpq"], "bPQ": result["pannuke"]["bpq"]}
    lines.append("  ".join(f"{name} {cell(value)}" for name, value in numbers.items()))
    lines += [
        f"{name:<15} F1 weighted {cell(row['weighted_f1'])}  plain {cell(row['plain_f1'])}  "
        f"PQ {cell(result['pannuke']['per_type'][name])}  {row['n_true']} annotated, {row['n_pred']} found"
        for name, row in result["types"].items()
    ]
    return "\n".join(lines)


def cell(value: float | None) -> str:
    """Three digits, or a dash."""
    return "-" if value is None else f"{value:.3f}"
