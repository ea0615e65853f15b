"""The committed notebooks must share one skeleton, and show the outputs of the code that they hold."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from histolib.cli.run import code_hash, notebook_parameters
from histolib.config import PROFILES

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    book = nbformat.read(request.param, as_version=4)
    book.path = request.param
    return book


def code(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


def test_it_is_one_of_five_valid_small_and_has_unique_and_stable_cell_ids(notebook):
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05"]
    nbformat.validate(nbformat.read(notebook.path, as_version=4))
    assert notebook.path.stat().st_size < 2_000_000
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(rf"{notebook.path.name[:2]}-\d\d", name) for name in ids)


def test_it_opens_with_title_badge_question_cost_and_what_goes_in_and_out(notebook):
    first = notebook.cells[0].source
    assert first.startswith(f"# {int(notebook.path.name[:2])} · ")
    assert f"notebooks/{notebook.path.name})" in first
    assert "colab-badge.svg" in first
    for part in ("**The question.**", "time and memory", "inputs", "outputs"):
        assert part in first


def test_the_badge_is_that_of_the_readme_and_names_the_tag_of_the_bootstrap(notebook):
    repository, tag = re.search(r'REPO, TAG = "(.+?)", "(.+?)"', notebook.cells[1].source).groups()
    assert f"github/{repository}/blob/{tag}/notebooks/{notebook.path.name}" in notebook.cells[0].source
    (badge,) = re.findall(r"\[!\[Open in Colab\]\(.+?\)\]\(.+?\)", notebook.cells[0].source)
    assert badge in (NOTEBOOKS[0].parent.parent / "README.md").read_text("utf-8")


def test_the_bootstrap_is_the_same_everywhere_and_acts_on_colab_alone(notebook):
    cell = notebook.cells[1].source
    assert cell == nbformat.read(NOTEBOOKS[0], as_version=4).cells[1].source
    body = ast.parse(cell.replace("%cd", "pass #")).body
    assert all(isinstance(node, ast.Import | ast.ImportFrom | ast.Assign) for node in body[:-1])
    assert ast.unparse(body[-1].test) == "'google.colab' in sys.modules"


def test_a_session_starts_after_parameters_that_are_literals_and_agree_with_the_table_above_them(notebook):
    parameters = notebook_parameters(notebook.path)
    assert notebook.cells[3].metadata["tags"] == ["parameters"]
    assert {"profile": "quick", "data_dir": "", "output_dir": "", "seed": 0}.items() <= parameters.items()
    assert parameters["profile"] in PROFILES
    assert "run = start(globals())" in notebook.cells[4].source
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| `(.+?)` \| (.+) \|$", notebook.cells[2].source, flags=re.M)
    told = {name: (kind, ast.literal_eval(default)) for name, kind, default, _ in rows}
    assert list(told.items()) == [(name, (type(value).__name__, value)) for name, value in parameters.items()]
    assert len(rows) == notebook.cells[2].source.count("\n| `")
    for name, _, _, purpose in rows:
        assert len(purpose) > 20, name
        assert name.endswith("_um") == ("µm" in purpose), "a length says its unit"


def test_its_classes_are_networks_and_its_own_training_is_one_step(notebook):
    cells = [re.sub(r"^(\s*)%", r"\1# ", cell.source, flags=re.M) + "\n" for cell in code(notebook)]
    for node in (node for cell in cells for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.ClassDef)):
        assert [ast.unparse(base) for base in node.bases] == ["nn.Module"]
    assert sum(".backward(" in cell for cell in cells) <= 1
    assert not any("plt." in cell for cell in cells)


def test_it_ends_with_solved_exercises_what_stays_limits_and_references(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for part in ("## Exercises", "## Recap", "**Saved**", "**Limits**", "**References**"):
        assert part in text
    asked = re.findall(r"^\d\. \*(\w+)\.\*", text, flags=re.M)
    solved = [cell for cell in code(notebook) if "solution" in cell.metadata.get("tags", ())]
    assert asked == ["Easy", "Medium", "Hard"]
    assert [cell.source.splitlines()[0] for cell in solved] == [f"# Solution {i}" for i in (1, 2, 3)]


def test_its_outputs_are_those_of_its_code_without_errors_dead_widgets_noise_and_paths_of_a_machine(notebook):
    assert notebook.metadata["histolib"] == {"executed_code": code_hash(notebook), "profile": "quick"}
    assert all(cell.execution_count for cell in code(notebook))
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    assert sum("image/jpeg" in output.get("data", {}) for output in outputs) >= 4
    for output in outputs:
        assert output.output_type != "error"
        assert output.get("name") != "stderr"
        assert WIDGET_VIEW not in output.get("data", {})
    shown = (str(each.get("text", "")) + str(each.get("data", {}).get("text/plain", "")) for each in outputs)
    assert not re.search(r"(/home/|/root/|/tmp/|/Users/)", "\n".join(shown))
