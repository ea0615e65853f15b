"""The tables of the README and of the report equal those of the committed results."""

import json
from pathlib import Path

import pytest

from histolib.experiments.readme_tables import MARKS, NOTEBOOKS, PAGES, TABLES, fill, main

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "data" / "results"
ROUTE = {
    "precision": 0.8, "recall": 0.9, "f1": 0.85, "f1_ci95": [0.8, 0.9], "average_precision": 0.7,
    "f1_then_threshold": 0.75, "loc_error_um": 1.0, "seconds_per_mm2": 12.34, "count_limits": [-5.0, 1.0, 7.0],
    "recall_by_class": {"stroma": {"recall": 0.5, "n": 1200}}, "recall_by_stain": {"blue": {"recall": None, "n": 0}},
    "difference": {"log": {"f1": 0.05, "ci95": [-0.01, 0.1]}},
}  # fmt: skip


@pytest.fixture
def results(tmp_path):
    routes = {"log": {**ROUTE, "f1": 0.8, "difference": {}, "earlier": True}, "cyclegan": ROUTE}
    (tmp_path / "endonuke.json").write_text(json.dumps({"routes": routes}))
    return tmp_path


def test_the_pages_are_up_to_date_and_short():
    texts = [(ROOT / page).read_text("utf-8") for page in PAGES]
    assert {name for text in texts for _, name, _ in MARKS.findall(text)} == set(TABLES)
    assert [fill(text, RESULTS) for text in texts] == texts
    assert len(texts[0].encode()) <= 18_000


def table(name, results):
    return fill(f"<!-- table: {name} -->\n<!-- end of table -->", results).splitlines()


def test_tables_are_filled_between_their_marks_and_unknown_ones_named(results):
    text = "before\n<!-- table: routes -->\nold\n<!-- end of table -->\nafter\n"
    filled = fill(text, results)
    assert filled.startswith("before\n<!-- table: routes -->\n| route |")
    assert filled.endswith("|\n<!-- end of table -->\nafter\n")
    assert fill(filled, results) == filled
    lines = filled.splitlines()
    assert lines[4].startswith("| `cyclegan` | 0.800 | 0.900 | 0.850 | 0.800 to 0.900 | +0.050 (-0.010 to +0.100) |")
    assert lines[5].startswith("| `log` † |")
    recalls = "\n".join(table("recalls", results))
    assert "stroma (1,200)" in recalls
    assert "| `cyclegan` | 0.500 | – | +1.0, -5 to +7 |" in recalls
    with pytest.raises(ValueError, match=r"expected a table out of answer, .* found none"):
        table("none", results)
    notebooks = {name[:2]: {"seconds": 390.0, "memory_mb": 2900.0} for name in NOTEBOOKS}
    (results / "course_cost.json").write_text(json.dumps({"machine": {"cpus": 8}, "notebooks": notebooks}))
    lines = table("course", results)
    assert lines[1].endswith("| quick profile, 8 CPU cores |")
    assert lines[4].startswith("| [2 · CycleGAN](notebooks/02_cyclegan_training.ipynb) | can unpaired")
    assert lines[4].endswith("| 6.5 min, 2.9 GB |")
    assert [f"{name}.ipynb" for name in NOTEBOOKS] == sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_rows_of_one_width(name):
    rows = table(name, RESULTS)[1:-1]
    assert len(rows) > 2
    assert len({row.count("|") for row in rows}) == 1


def test_the_table_of_laboratories_sorts_by_the_lowest_f1(results):
    scored = {name: {"f1": f1, "f1_ci95": [0.4, 0.95]} for name, f1 in {"log": 0.5, "od": 0.9, "macenko": 0.7}.items()}
    endonuke = {"od": {"f1": 0.6, "f1_ci95": [0.5, 0.7]}, "log": scored["od"], "macenko": scored["od"]}
    found = {"endonuke": endonuke, "ki67_other_labs": scored, "brca_m2c_val": {"hovernet": scored["od"]}}
    (results / "laboratories.json").write_text(json.dumps(found))
    rows = table("laboratories", results)[3:-1]
    assert [row.split("`")[1] for row in rows] == ["macenko", "od", "log", "hovernet"]
    assert rows[1] == "| `od` | 0.600 (0.500 to 0.700) | 0.900 (0.400 to 0.950) |  | 0.600 |"
    assert rows[3] == "| `hovernet` |  |  | 0.900 (0.400 to 0.950) |  |"


def test_the_script_writes_both_pages(results, tmp_path, monkeypatch, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/results").symlink_to(results)
    for page in PAGES:
        (tmp_path / page).write_text("<!-- table: routes -->\n<!-- end of table -->\n")
    monkeypatch.setenv("HISTOLIB_ROOT", str(tmp_path))
    main()
    assert all("`cyclegan`" in (tmp_path / page).read_text("utf-8") for page in PAGES)
    assert capsys.readouterr().out.count("1 tables") == 2
