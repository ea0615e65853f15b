"""Examples in docstrings run, and the main functions have one."""

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "histolib"
WITH_EXAMPLES = [
    ".".join(("histolib", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text("utf-8")
]
PROMISED = {
    "data": ["BCI", "EndoNuke", "PanNuke", "id_runs", "phantom.draw", "read_split", "splits.within"],
    "ensemble": ["Fusion", "Nuclei", "Route", "choose_fusion", "tile_blocks"],
    "imaging": ["Patch", "map_points", "optical_density", "resample", "rgb_from_density", "separate_stains", "windows"],
    "metrics": [
        "bootstrap_f1", "bootstrap.bootstrap_f1_difference", "detection_scores", "frechet_distance", "image_scores",
        "kernel_distance", "keypoint_average_precision", "match_points", "match_points_then_threshold",
        "scores_from_counts", "segmentation_scores", "type_scores",
    ],
    "nuclei": ["HoVerNet", "describe_instances", "detect_log", "hover_targets", "postprocess"],
    "translation": ["CycleGAN", "Generator", "PatchDiscriminator", "translate"],
    "viz": ["figure_counts", "figure_patches"],
}  # fmt: skip


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run(name):
    module = importlib.import_module(name)
    tried = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert tried.attempted > 0
    assert tried.failed == 0, "see standard output"


@pytest.mark.parametrize(("room", "names"), PROMISED.items(), ids=PROMISED)
def test_main_functions_have_an_example(room, names):
    module = importlib.import_module(f"histolib.{room}")
    for name in names:
        found = module
        for part in name.split("."):
            found = getattr(found, part)
        assert ">>> " in (inspect.getdoc(found) or ""), name
