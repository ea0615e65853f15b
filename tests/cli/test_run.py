"""The course runner on notebooks made here: what it refuses, executes, records and collects."""

import json
import runpy
from functools import partial
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from histolib.cli.main import main
from histolib.cli.run import code_hash, notebook_files, notebook_parameters

WRITE_BACK = runpy.run_path(str(Path(__file__).parents[2] / ".ci/write_back.py"))
PARAMETERS = """# Parameters that a reader may change
profile = "quick"
output_dir = ""
data_dir = ""
seed = 1  # random seed
radius_um = 3.0
"""


def notebook(*sources, parameters=PARAMETERS):
    tagged = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    made = new_notebook(cells=[new_markdown_cell("# Title"), tagged, *map(new_code_cell, sources)])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return made


def write_checkout(root, patch, **notebooks):
    """Make a folder that looks like the project's, with the given notebooks."""
    patch.setenv("HISTOLIB_ROOT", str(root))
    patch.setenv("HISTOLIB_HEADLESS", "")
    (root / "notebooks").mkdir(exist_ok=True)
    (root / "pyproject.toml").touch()
    for name, made in notebooks.items():
        nbformat.write(made, root / "notebooks" / f"{name[1:]}.ipynb")
    return root


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    return partial(write_checkout, tmp_path, monkeypatch)


def record(folder):
    return json.loads((folder / "summary.json").read_text("utf-8"))


def test_notebooks_come_in_order_and_parameters_are_literals(checkout, tmp_path):
    with pytest.raises(FileNotFoundError, match="expected the notebooks of the course, found none"):
        notebook_files(tmp_path)
    root = checkout(_02_b=notebook(), _01_a=notebook(), _10_c=notebook(), _1_d=notebook(), _notes=notebook())
    assert [file.name for file in notebook_files(root)] == ["01_a.ipynb", "02_b.ipynb", "10_c.ipynb"]
    assert [file.name for file in notebook_files(root, ["10", " 02"])] == ["02_b.ipynb", "10_c.ipynb"]
    for wrong in ("1", "03", "", "01_a"):
        with pytest.raises(FileNotFoundError, match=rf"number of a notebook \(01, 02, 10\), found '{wrong}'"):
            notebook_files(root, ["01", wrong])
    checkout(_01_a=notebook("x = 1", parameters="names = ('a', 'b')\nlow = -1.5  # a note\n"))
    file = root / "notebooks/01_a.ipynb"
    assert notebook_parameters(file) == {"names": ("a", "b"), "low": -1.5}
    checkout(_01_a=notebook(parameters="a = 1\nb = a + 1"))
    with pytest.raises(ValueError, match=r"01_a\.ipynb: expected a literal for b, found 'a \+ 1'"):
        notebook_parameters(file)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "sed=3"], "--set: unknown parameter 'sed', expected data_dir, seed, radius_um"),
        (["--set", "seed=-1"], "--set: expected seed to be 0 or more, found -1"),
        (["--set", "profile=full"], "unknown parameter 'profile'"),
        (["--set", "data_dir=2024"], "data_dir: expected a folder of data sets, found none at 2024"),
        (["--only", "7"], "expected the number of a notebook (01, 02), found '7'"),
        (["--output", "file"], "expected a writable folder, found none"),
        (["--output", "."], "expected a folder for results, found the checkout"),
        (["--profile", "pretrained"], "argument --profile: invalid choice: 'pretrained'"),
    ],
)
def test_wrong_usage_is_one_line_and_nothing_runs(checkout, monkeypatch, refused, options, message):
    root = checkout(_01_a=notebook(), _02_b=notebook())
    (root / "file").touch()
    before = sorted(root.rglob("*"))
    monkeypatch.chdir(root)
    assert message in refused("run", *options)
    assert sorted(root.rglob("*")) == before


FIGURES = """
import os, sys
from pathlib import Path
import matplotlib.pyplot as plt
from histolib.viz import save_figure
about = {"profile": profile, "seed": seed}
save_figure(plt.figure(figsize=(3, 2)), "01_one", Path(output_dir) / "figures", about=about)
plt.close()
count = (Path(output_dir) / "figures/notes.txt").write_text("no figure")
print("a warning", file=sys.stderr)
print("headless", os.environ["HISTOLIB_HEADLESS"])
seed"""
VIEW = f'display({{"{WRITE_BACK["WIDGET_VIEW"]}": {{"model_id": "x"}}, "text/plain": "VBox()"}}, raw=True)'


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The checkout of a run that ended well and was written back, and its first notebook as it was."""
    root, original = tmp_path_factory.mktemp("done"), notebook(FIGURES, VIEW)
    with pytest.MonkeyPatch.context() as patch:
        write_checkout(root, patch, _01_a=original, _02_b=notebook("radius_um", parameters="radius_um = 3.0"))
        assert main(["run", "--set", "seed=7"]) == 0
    WRITE_BACK["main"](root / "runs/quick", root)
    return root, original


def test_figures_and_a_summary_are_collected_and_copies_have_their_parameters(done):
    root, _ = done
    figures = root / "figures"
    names = {path.name for path in figures.iterdir()}
    assert names == {"01_one.png", "01_one.pdf", "manifest.json", "contact_sheet.png"}
    (entry,) = json.loads((figures / "manifest.json").read_text())
    assert len(entry.pop("size_px")) == 2
    assert entry == {
        "name": "01_one", "notebook": "01_a.ipynb", "commit": "", "dpi": 200, "profile": "quick", "seed": 7,
    }  # fmt: skip
    made = record(root / "runs/quick")
    assert (made["status"], made["profile"], made["commit"]) == ("done", "quick", "")
    assert made["parameters"] == {"seed": 7, "profile": "quick", "output_dir": str(root / "runs/quick")}
    assert [entry["name"] for entry in made["notebooks"]] == ["01_a.ipynb", "02_b.ipynb"]
    assert [entry["figures"] for entry in made["notebooks"]] == [["01_one.pdf", "01_one.png"], []]
    for entry in made["notebooks"]:
        assert (entry["status"], entry["cell"], entry["error"]) == ("done", None, None)
        assert entry["seconds"] > 0
    copies = [nbformat.read(root / "runs/quick/notebooks" / name, 4) for name in ("01_a.ipynb", "02_b.ipynb")]
    injected = [cell.source for cell in copies[0].cells if "injected-parameters" in cell.metadata.get("tags", ())]
    assert "seed = 7" in injected[0]
    assert not any("seed" in cell.source for cell in copies[1].cells)


def test_a_notebook_written_back_differs_by_its_outputs_and_the_hash_is_of_the_code(done):
    root, original = done
    text = (root / "notebooks/01_a.ipynb").read_text("utf-8")
    after = nbformat.reads(text, 4)
    nbformat.validate(after)
    assert text.endswith("}\n")
    for cell, before in zip(after.cells, original.cells, strict=True):
        assert (cell.id, cell.source, cell.metadata) == (before.id, before.source, before.metadata)
    assert after.metadata.pop("histolib") == {"executed_code": code_hash(original), "profile": "quick"}
    assert after.metadata == original.metadata
    code = [cell for cell in after.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3]
    stream, result = code[1].outputs
    assert (stream.name, stream.text) == ("stdout", "headless 1\n"), "no stderr"
    assert (result.data["text/plain"], result.execution_count) == ("7", 2)
    assert code[2].outputs == [], "no view of a widget that is gone"
    assert not list((root / "notebooks").glob(".*")), "no temporary file"
    before = code_hash(after)
    after.cells[0].source = "# Another title"
    after.cells[2].outputs = []
    after.cells.insert(2, new_code_cell("# Parameters\n", metadata={"tags": ["injected-parameters"]}))
    assert code_hash(after) == before
    after.cells[3].source += "\n"
    assert code_hash(after) != before


def test_results_and_figures_go_to_output_and_expected_cost_is_logged(checkout, caplog, capsys):
    root = checkout(_01_a=notebook("print(name)", parameters=PARAMETERS + 'name = "a"\n'), _02_b=notebook("1 / 0"))
    (root / "data/results").mkdir(parents=True)
    (root / "data/results/course_cost.json").write_text('{"notebooks": {"01": {"seconds": 90, "memory_mb": 1500}}}')
    caplog.set_level("INFO")
    assert main(["run", "--only", "01", "--output", str(root / "out"), "--set", "name=2024"]) == 0
    assert capsys.readouterr().out == "no figures were made\n"
    assert caplog.messages[0] == "01_a.ipynb, profile quick, expected time and memory: 1.5 min, 1.5 GB"
    assert sorted(path.name for path in (root / "out/figures").iterdir()) == ["contact_sheet.png", "manifest.json"]
    assert [entry["name"] for entry in record(root / "out")["notebooks"]] == ["01_a.ipynb"]
    assert not (root / "figures").exists()
    copy = nbformat.read(root / "out/notebooks/01_a.ipynb", 4)
    assert copy.cells[-1].outputs[0].text == "2024\n", "text stays text where the default is text"


@pytest.mark.parametrize(
    ("source", "error"),
    [("x = fine\nx / 0", "ZeroDivisionError: division by zero"), ("import os\nos._exit(9)", "Kernel died")],
)
def test_a_failing_cell_and_a_kernel_that_dies_stop_the_run_and_are_named(checkout, capsys, source, error):
    root = checkout(_01_a=notebook("fine = 2\nfine", source, "never = 1"), _02_b=notebook())
    assert main(["run", "--output", str(root / "out")]) == 1
    out, err = capsys.readouterr()
    copy = root / "out/notebooks/01_a.ipynb"
    assert out == ""
    assert f"histolib run: 01_a.ipynb: cell 4 failed with {error}" in err
    assert f"\n{source}\n" in err
    assert f"executed copy: {copy}\n" in err
    executed = nbformat.read(copy, 4)
    assert [cell.outputs[0].data["text/plain"] for cell in executed.cells if cell.source == "fine = 2\nfine"] == ["2"]
    assert not (copy.parent / "02_b.ipynb").exists(), "later notebooks are not run"
    made = record(root / "out")
    failed, not_run = made["notebooks"]
    assert (made["status"], failed["status"], not_run["status"]) == ("failed", "failed", "not run")
    assert (failed["cell"], failed["error"]) == (4, error)
    assert failed["seconds"] > 0
    assert not_run["seconds"] is None
