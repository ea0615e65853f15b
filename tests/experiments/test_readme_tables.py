"""The README's tables must be those of the committed results, and a table must say what its file says."""

import json
from pathlib import Path

import pytest

from histolib.cli import main
from histolib.config import Paths
from histolib.report import MARKS, NOTEBOOKS, TABLES, fill

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


def test_the_course_is_told_with_time_and_memory_as_measured_or_about(results):
    measured = {"seconds": 390.0, "memory_mb": 2900.0, "results_mb": 60.0}
    part = {"memory_mb": 2400.0, "disk_mb": 400.0, "seconds": {"cyclegan_warm_step": 0.0, "cyclegan_step": 21.6}}
    hover = {**part, "seconds": {"hovernet_step": 1.0, "hovernet_mm2": 1.0}}
    drawn = {**part, "seconds": dict.fromkeys(("bci_pair", "pannuke_patch", "endonuke_tile"), 1.0)}
    steps = {"profile": "full", "cyclegan": part, "hovernet": hover, "maps": hover, "phantom": drawn}
    costs = {"runs": {"quick": {"machine": {"cpus": 8}, "notebooks": {"02": measured}}}, "steps": steps}
    (results / "course_cost.json").write_text(json.dumps(costs))
    lines = fill("<!-- table: course -->\n<!-- end of table -->", results).splitlines()
    assert lines[1].endswith("| quick profile, 8 CPU cores | full profile, one CPU core |")
    assert lines[3].endswith("| – | about 33 min |")
    assert lines[4].startswith("| [2 · CycleGAN](notebooks/02_cyclegan_training.ipynb) | can unpaired")
    assert lines[4].endswith("| 6 min 30 s, 2.9 GB | about 10 days, 2.9 GB |")


def test_every_notebook_of_the_course_has_its_row():
    assert [f"{name}.ipynb" for name in NOTEBOOKS] == sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))


def test_costs_come_from_the_summary_of_a_run_and_bring_the_readme_up_to_date(tmp_path, monkeypatch, capsys):
    (tmp_path / "data/results").mkdir(parents=True)
    (tmp_path / "README.md").write_text("<!-- table: course -->\n<!-- end of table -->\n")
    entry = {"name": "01_x.ipynb", "status": "done", "seconds": 63.4, "cpu_seconds": 40.0, "memory_mb": 968.0}
    machine = dict.fromkeys(("histolib", "commit", "python", "torch", "device"), "") | {"cpus": 4}
    about = {"status": "done", "profile": "quick", "parameters": {}, "phantom_mb": 587.0}
    found = {"trainings": {}, "phantom": False}
    summary = {**machine, **about, "found": found, "notebooks": [{**entry, "results_mb": 16.6}]}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    monkeypatch.setattr("histolib.report.Paths.find", lambda: Paths(tmp_path))
    assert main(["report", "--cost", str(tmp_path / "summary.json")]) == 0
    assert "1 tables in" in capsys.readouterr().out
    assert "| 63 s, 968 MB | – |" in (tmp_path / "README.md").read_text()
    before = (tmp_path / "data/results/course_cost.json").read_bytes()
    (tmp_path / "summary.json").write_text(
        json.dumps({**summary, "found": {"trainings": {"hovernet": 9}, "phantom": True}})
    )
    assert main(["report", "--cost", str(tmp_path / "summary.json")]) == 2
    assert "to go on with, found hovernet, drawn tissue" in capsys.readouterr().err
    assert (tmp_path / "data/results/course_cost.json").read_bytes() == before


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
