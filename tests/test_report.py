"""The README's tables must be those of the committed results, and a table must say what its file says."""

import json
from pathlib import Path

import pytest

from histolib.cli import main
from histolib.report import MARKS, TABLES, fill

ROOT = Path(__file__).parent.parent
ROUTE = {
    "precision": 0.8, "recall": 0.9, "f1": 0.85, "f1_ci95": [0.8, 0.9], "average_precision": 0.7,
    "f1_then_threshold": 0.75, "loc_error_um": 1.0, "seconds_per_mm2": 12.34, "count_limits": [-5.0, 1.0, 7.0],
    "recall_by_class": {"stroma": {"recall": 0.5, "n": 1200}}, "recall_by_stain": {"blue": {"recall": None, "n": 0}},
    "difference": {"log": {"f1": 0.05, "ci95": [-0.01, 0.1]}},
}  # fmt: skip


@pytest.fixture
def results(tmp_path):
    routes = {"log": {**ROUTE, "f1": 0.8, "difference": {}}, "cyclegan": ROUTE}
    (tmp_path / "endonuke.json").write_text(json.dumps({"routes": routes}))
    return tmp_path


def test_the_readme_is_up_to_date():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert MARKS.search(readme)
    assert fill(readme, ROOT / "data" / "results") == readme


def test_a_table_is_made_anew_between_its_marks_and_nothing_else_changes(results):
    text = "before\n<!-- table: routes -->\nold\n<!-- end of table -->\nafter\n"
    filled = fill(text, results)
    assert filled.startswith("before\n<!-- table: routes -->\n| route |")
    assert filled.endswith("|\n<!-- end of table -->\nafter\n")
    assert fill(filled, results) == filled
    lines = filled.splitlines()
    assert lines[4].startswith("| `cyclegan` | 0.800 | 0.900 | 0.850 | 0.800 to 0.900 | +0.050 (-0.010 to +0.100) |")
    assert lines[5].startswith("| `log` |")


def test_recalls_say_how_many_nuclei_they_are_of(results):
    filled = fill("<!-- table: recalls -->\n<!-- end of table -->", results)
    assert "stroma (1,200)" in filled
    assert "| `cyclegan` | 0.500 | – | +1.0, -5 to +7 |" in filled


def test_a_table_that_does_not_exist_is_named(results):
    with pytest.raises(ValueError, match=r"found nonsense"):
        fill("<!-- table: nonsense -->\n<!-- end of table -->", results)


def test_every_table_can_be_made_of_the_committed_results():
    for name in TABLES:
        filled = fill(f"<!-- table: {name} -->\n<!-- end of table -->", ROOT / "data" / "results")
        rows = [line.count("|") for line in filled.splitlines()[1:-1]]
        assert len(rows) > 2
        assert len(set(rows)) == 1


def test_the_command_says_that_nothing_is_to_do(capsys):
    assert main(["report", "--check"]) == 0
    assert "unchanged" in capsys.readouterr().out
