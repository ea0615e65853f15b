"""The course runner on notebooks made here: what it refuses before it starts, and what it leaves when one fails."""

from pathlib import Path

import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from papermill.exceptions import PapermillExecutionError

from histolib.cli import main
from histolib.config import Paths
from histolib.course import NotebookFailed, notebook_files, run_course
from histolib.course.notebook import VIEW_MIMETYPE, code_hash

PARAMETERS = """# What a reader may change
profile = "quick"
output_dir = ""
data_dir = ""
seed = 1  # of chance
radius_um = 3.0
"""
BEGIN = "from histolib.course.notebook import check_injected\ncheck_injected(In)"


def notebook(*sources: str, parameters: str = PARAMETERS) -> nbformat.NotebookNode:
    tagged = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    made = new_notebook(cells=[new_markdown_cell("# Title"), tagged, *map(new_code_cell, sources)])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return made


def checkout(root: Path, **notebooks: nbformat.NotebookNode) -> Path:
    """A folder that looks like the project's, with these notebooks."""
    (root / "notebooks").mkdir()
    (root / "pyproject.toml").touch()
    for name, made in notebooks.items():
        nbformat.write(made, root / "notebooks" / f"{name[1:]}.ipynb")
    return root


# --- which notebooks ---


def test_notebooks_come_in_order_and_by_number(tmp_path):
    root = checkout(tmp_path, _02_b=notebook(), _01_a=notebook(), _10_c=notebook(), _1_d=notebook(), _notes=notebook())
    names = [file.name for file in notebook_files(root)]
    assert names == ["01_a.ipynb", "02_b.ipynb", "10_c.ipynb"]
    assert [file.name for file in notebook_files(root, ["10", " 02"])] == ["02_b.ipynb", "10_c.ipynb"]
    for wrong in ("1", "03", "", "01_a"):
        with pytest.raises(
            FileNotFoundError, match=rf"expected the number of a notebook \(01, 02, 10\), found '{wrong}'"
        ):
            notebook_files(root, ["01", wrong])


def test_a_folder_without_notebooks_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected the notebooks of the course, found none"):
        notebook_files(tmp_path)


# --- what is refused before anything runs ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "sed=3"], "unknown parameter 'sed', expected profile, output_dir, data_dir, seed, radius_um"),
        (["--set", "seed=three"], "expected seed to be int (as 1), found str 'three'"),
        (["--set", "seed"], "--set: expected NAME=VALUE, found 'seed'"),
        (["--set", "seed=-1"], "--set: expected seed to be 0 or more, found -1"),
        (["--set", "radius_um=0"], "--set: expected radius_um to be a length in microns above 0, found 0"),
        (["--set", "profile=full"], "--set: expected profile to be given as --profile, found it among the parameters"),
        (["--set", "output_dir=x"], "--set: expected output_dir to be given as --output"),
        (["--set", "data_dir=2024"], "data_dir: expected a folder with bci, pannuke, endonuke, found none at "),
        (["--only", "7"], "expected the number of a notebook (01, 02), found '7'"),
        (["--output", "file"], "expected a folder to write to, found none"),
        (["--output", "."], "found the checkout: the copies would replace notebooks"),
        (["--profile", "fast"], "argument --profile: invalid choice: 'fast'"),
    ],
)
def test_wrong_usage_is_one_line_and_nothing_runs(tmp_path, monkeypatch, capsys, options, message):
    root = checkout(tmp_path, _01_a=notebook(), _02_b=notebook())
    before = {file: file.read_bytes() for file in (root / "notebooks").iterdir()}
    (root / "file").touch()
    monkeypatch.chdir(root)
    monkeypatch.delenv("HISTOLIB_ROOT", raising=False)
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **__: pytest.fail("a notebook ran"))
    try:
        code = main(["run", *options])
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert {file: file.read_bytes() for file in (root / "notebooks").iterdir()} == before


def test_a_profile_that_is_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected one of quick, full, found 'fast'"):
        run_course("fast", paths=Paths(checkout(tmp_path, _01_a=notebook())))


def test_each_notebook_gets_the_parameters_that_it_has(tmp_path, monkeypatch):
    short = notebook(parameters='profile = "quick"\noutput_dir = ""\n')
    root, calls = checkout(tmp_path, _01_a=short, _02_b=notebook()), []
    monkeypatch.setattr(papermill, "execute_notebook", lambda file, copy, given, **_: calls.append((file.name, given)))
    assert run_course("quick", output=tmp_path / "out", parameters={"seed": 9}, paths=Paths(root)) == []
    common = {"profile": "quick", "output_dir": str(tmp_path / "out")}
    assert calls == [("01_a.ipynb", common), ("02_b.ipynb", common | {"seed": 9})]


# --- the plan ---


def test_the_plan_is_told_before_the_first_notebook_and_progress_after_each(tmp_path, monkeypatch, caplog):
    root = checkout(tmp_path, _01_a=notebook(), _02_b=notebook())
    caplog.set_level("INFO")
    told = []
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **__: told.append(list(caplog.messages)))
    run_course(paths=Paths(root))
    plan, start = told[0]
    assert plan.startswith("profile quick, notebooks 01, 02, on c")
    assert f"results: {root / 'runs/quick'}, with summary.json; figures: {root / 'figures'}" in plan
    assert start == "[1/2] 01_a.ipynb, profile quick"
    assert told[1][2].startswith("[1/2] 01_a.ipynb: done in 0 s")
    assert caplog.messages[-1].startswith("[2/2] 02_b.ipynb: done in 0 s")


def test_a_dry_run_prints_the_plan_and_leaves_everything_as_it_is(tmp_path, monkeypatch, capsys):
    root = checkout(tmp_path, _01_a=notebook(), _02_b=notebook())
    before = sorted(root.rglob("*"))
    monkeypatch.setenv("HISTOLIB_ROOT", str(root))
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **__: pytest.fail("a notebook ran"))
    assert main(["run", "--plan", "--only", "02", "--output", str(root / "out"), "--set", "data_dir=gone"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("profile quick, notebooks 02, on c")
    assert f"results: {root / 'out'}, with summary.json; figures: {root / 'out/figures'}" in out
    assert f"missing: data_dir: expected a folder with bci, pannuke, endonuke, found none at {root / 'gone'}" in out
    assert err == ""
    assert sorted(root.rglob("*")) == before


def test_text_stays_text_where_the_default_is_text(tmp_path, monkeypatch):
    root = checkout(tmp_path, _01_a=notebook(parameters=PARAMETERS + 'name = "a"\n'))
    monkeypatch.setenv("HISTOLIB_ROOT", str(root))
    given = []
    monkeypatch.setattr(papermill, "execute_notebook", lambda file, copy, here, **_: given.append(here))
    for text in ("2024", "'2024'", "None", "b c"):
        assert main(["run", "--set", f"name={text}", "--set", "radius_um=2"]) == 0
    assert [here["name"] for here in given] == ["2024", "2024", "None", "b c"]
    assert {here["radius_um"] for here in given} == {2}


# --- runs ---

FIGURES = """
import sys
from pathlib import Path
folder = Path(output_dir) / "figures"
folder.mkdir(parents=True)
for name in ("one.png", "one.pdf", "notes.txt"):
    (folder / name).write_text(str(seed))
print("a warning", file=sys.stderr)
print("µm")
seed"""
VIEW = f'display({{"{VIEW_MIMETYPE}": {{"model_id": "x"}}, "text/plain": "VBox()"}}, raw=True)'


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run that ends well, written back: the checkout, its notebook as it was, and the figures."""
    original = notebook(BEGIN, FIGURES, VIEW)
    root = checkout(tmp_path_factory.mktemp("done"), _01_a=original, _02_b=notebook("1 / 0"))
    figures = run_course("quick", ["01"], parameters={"seed": 7}, paths=Paths(root), update=True)
    return root, original, figures


def test_figures_are_collected_as_png_and_pdf(done):
    root, _, figures = done
    assert figures == [root / "figures" / "one.pdf", root / "figures" / "one.png"]
    assert {file.read_text() for file in figures} == {"7"}
    assert sorted(path.name for path in (root / "figures").iterdir()) == ["one.pdf", "one.png"]


def test_the_executed_copy_is_kept_with_what_was_injected(done):
    copy = nbformat.read(done[0] / "runs" / "quick" / "notebooks" / "01_a.ipynb", 4)
    assert [cell.metadata.get("tags") for cell in copy.cells[:3]] == [[], ["parameters"], ["injected-parameters"]]


def test_a_notebook_written_back_differs_by_its_outputs_alone(done):
    root, original, _ = done
    source = root / "notebooks" / "01_a.ipynb"
    text, after = source.read_text("utf-8"), nbformat.read(source, 4)
    nbformat.validate(after)
    assert text.endswith("}\n")
    assert not text.endswith("\n\n")
    for cell, before in zip(after.cells, original.cells, strict=True):
        assert (cell.id, cell.source, cell.metadata) == (before.id, before.source, before.metadata)
    assert after.metadata.pop("histolib") == {"executed_code": code_hash(original), "profile": "quick"}
    assert after.metadata == original.metadata
    code = [cell for cell in after.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3, 4]
    stream, result = code[2].outputs
    assert (stream.name, stream.text) == ("stdout", "µm\n"), "no stderr"
    assert (result.data["text/plain"], result.execution_count) == ("7", 3)
    assert code[3].outputs == [], "no view of a widget whose state is gone"
    assert [path.name for path in source.parent.iterdir()].count("01_a.ipynb") == len(list(source.parent.glob("01*")))


def test_a_notebook_run_as_it_was_written_back_gives_the_same_hash(done):
    after = nbformat.read(done[0] / "notebooks" / "01_a.ipynb", 4)
    assert after.metadata.histolib.executed_code == code_hash(after)
    after.cells[0].source = "# Another title"
    after.cells[2].outputs = []
    assert after.metadata.histolib.executed_code == code_hash(after), "prose and outputs are not code"
    after.cells.insert(2, new_code_cell("# Parameters\n", metadata={"tags": ["injected-parameters"]}))
    assert after.metadata.histolib.executed_code == code_hash(after)
    after.cells[3].source += "\n"
    assert after.metadata.histolib.executed_code != code_hash(after)


def test_a_failing_cell_stops_the_run_and_is_named(tmp_path, monkeypatch, capsys):
    failing = notebook(BEGIN, "fine = 2\nfine", "x = fine\nx / 0", "never = 1")
    root = checkout(tmp_path, _01_a=failing, _02_b=notebook())
    before = (root / "notebooks" / "01_a.ipynb").read_bytes()
    monkeypatch.setenv("HISTOLIB_ROOT", str(root))
    assert main(["run", "--update", "--output", str(root / "out")]) == 1
    out, err = capsys.readouterr()
    copy = root / "out" / "notebooks" / "01_a.ipynb"
    assert out == ""
    assert "histolib run: 01_a.ipynb: cell 5 failed with ZeroDivisionError: division by zero\nx = fine\nx / 0\n" in err
    assert f"executed up to there: {copy}\n" in err
    executed = nbformat.read(copy, 4)
    assert [cell.outputs[0].data["text/plain"] for cell in executed.cells if cell.source == "fine = 2\nfine"] == ["2"]
    assert not (copy.parent / "02_b.ipynb").exists(), "what comes after it is not run"
    assert (root / "notebooks" / "01_a.ipynb").read_bytes() == before, "a failed notebook is not written back"


def test_a_kernel_that_dies_is_reported_with_its_cell(tmp_path):
    root = checkout(tmp_path, _01_a=notebook("import os", "os._exit(9)", "never = 1"))
    with pytest.raises(NotebookFailed, match=r"01_a\.ipynb: cell 4 failed with (.|\n)*died(.|\n)*os\._exit\(9\)"):
        run_course(paths=Paths(root))


def test_papermill_itself_fails_on_a_misspelt_parameter(tmp_path):
    root = checkout(tmp_path, _01_a=notebook(BEGIN))
    with pytest.raises(PapermillExecutionError, match="unknown parameter 'sed', expected profile, output_dir, data"):
        papermill.execute_notebook(
            root / "notebooks" / "01_a.ipynb", tmp_path / "out.ipynb", {"sed": 3}, progress_bar=False
        )
