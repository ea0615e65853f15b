"""The record of a run must say what each notebook did, also when one fails, and must always be whole."""

import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from histolib import __version__
from histolib.cli import main
from histolib.config import Paths
from histolib.course import run_course
from histolib.course.summary import Summary, commit_of

PARAMETERS = 'profile = "quick"\noutput_dir = ""\nseed = 1\n'
TAKES = "block = bytearray({megabytes} * 10**6); block[::4096] = block[::4096]; del block\nsum(range(10**7))"
MAKES = """
from pathlib import Path
for name in ("figures/{name}.png", "figures/{name}.pdf", "{name}/weights.bin", ".half.part"):
    path = Path(output_dir) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(1_000_000))"""


def checkout(root, *cells):
    """A folder that looks like the project's; each argument is the code of one notebook's cells."""
    (root / "notebooks").mkdir()
    (root / "pyproject.toml").touch()
    for number, sources in enumerate(cells, 1):
        tagged = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
        made = new_notebook(cells=[tagged, *map(new_code_cell, sources)])
        made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(made, root / "notebooks" / f"0{number}_x.ipynb")
    return root


def read(folder):
    return json.loads((folder / "summary.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """The record of a run whose third notebook fails, and its folder."""
    one, two = (
        [TAKES.format(megabytes=megabytes), MAKES.format(name=name)] for megabytes, name in ((300, "a"), (0, "b"))
    )
    root = checkout(tmp_path_factory.mktemp("failed"), one, two, ["fine = 1", "fine / 0"], ["1"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HISTOLIB_ROOT", str(root))
        assert main(["run", "--output", str(root / "out"), "--set", "seed=5"]) == 1
    return read(root / "out"), root / "out"


def test_a_failing_notebook_is_on_record_with_cell_and_error(failed):
    record, _ = failed
    assert record["status"] == "failed"
    assert [entry["status"] for entry in record["notebooks"]] == ["done", "done", "failed", "not run"]
    assert [entry["cell"] for entry in record["notebooks"]] == [None, None, 3, None]
    assert [entry["error"] for entry in record["notebooks"]] == [
        None,
        None,
        "ZeroDivisionError: division by zero",
        None,
    ]


def test_it_says_what_ran_with_what_and_where(failed):
    record, folder = failed
    assert record["profile"] == "quick"
    assert record["parameters"] == {"profile": "quick", "output_dir": str(folder), "seed": 5}
    assert record["histolib"] == __version__
    assert record["commit"] is None
    assert record["device"] in ("cpu", "cuda")
    assert record["output"] == str(folder)
    assert record["found"] == {"trainings": {}, "phantom": False}
    assert {"python", "torch", "cpus", "began"} <= record.keys()


def test_memory_is_that_of_each_kernel_not_the_highest_so_far(failed):
    large, small, broken, never = (entry["memory_mb"] for entry in failed[0]["notebooks"])
    assert large - small == pytest.approx(300, abs=40)
    assert broken > 0
    assert never is None


def test_time_is_measured_of_what_ran(failed):
    record, _ = failed
    *ran, never = record["notebooks"]
    assert all(entry["seconds"] > 0 and entry["cpu_seconds"] > 0 for entry in ran)
    assert (never["seconds"], never["cpu_seconds"]) == (None, None)
    assert record["seconds"] == pytest.approx(sum(entry["seconds"] for entry in ran), rel=1e-4)


def test_each_notebook_has_the_files_that_it_made(failed):
    record, folder = failed
    for entry, name in zip(record["notebooks"], "ab", strict=False):
        assert entry["figures"] == [f"figures/{name}.pdf", f"figures/{name}.png"]
        assert entry["results"] == [f"{name}/weights.bin"]
        assert entry["results_mb"] == pytest.approx(3, abs=0.1)
    assert [entry["executed"] for entry in record["notebooks"]] == [
        "notebooks/01_x.ipynb", "notebooks/02_x.ipynb", "notebooks/03_x.ipynb", None
    ]  # fmt: skip
    named = [path for entry in record["notebooks"] for path in (*entry["figures"], *entry["results"])]
    assert all((folder / path).is_file() for path in named)


def test_a_run_that_ends_well_says_so_and_leaves_out_what_it_was_not_asked_for(tmp_path):
    root = checkout(tmp_path, ["1"], ["1"])
    run_course(only=["02"], paths=Paths(root))
    record = read(root / "runs/quick")
    assert record["status"] == "done"
    assert [entry["status"] for entry in record["notebooks"]] == ["not run", "done"]
    assert record["phantom_mb"] == 0


def test_a_kernel_that_dies_is_on_record(tmp_path):
    root = checkout(tmp_path, ["import os", "os._exit(9)"])
    with pytest.raises(RuntimeError, match="died"):
        run_course(paths=Paths(root))
    entry = read(root / "runs/quick")["notebooks"][0]
    assert (entry["status"], entry["cell"]) == ("failed", 3)
    assert "died" in entry["error"].lower()


@pytest.fixture
def summary(tmp_path):
    return Summary(tmp_path, ["01_x.ipynb", "02_x.ipynb"], {"profile": "quick"}, tmp_path)


def test_a_run_that_is_killed_has_said_where_it_was(summary, tmp_path):
    assert read(tmp_path)["status"] == "running"
    with summary.notebook("01_x.ipynb", lambda seconds: None):
        assert [entry["status"] for entry in read(tmp_path)["notebooks"]] == ["running", "not run"]
    assert [entry["status"] for entry in read(tmp_path)["notebooks"]] == ["done", "not run"]
    summary.finish()
    assert read(tmp_path)["status"] == "done"


def test_an_interrupt_is_on_record(summary, tmp_path):
    with pytest.raises(KeyboardInterrupt), summary.notebook("02_x.ipynb", lambda seconds: None):
        raise KeyboardInterrupt
    entry = read(tmp_path)["notebooks"][1]
    assert (entry["status"], entry["error"], entry["memory_mb"]) == ("failed", "KeyboardInterrupt", None)


def test_a_record_that_cannot_be_written_leaves_the_old_one_whole(summary, tmp_path, monkeypatch):
    before = (tmp_path / "summary.json").read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        summary.finish()
    assert (tmp_path / "summary.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_outside_of_git_there_is_no_commit(tmp_path):
    assert commit_of(tmp_path) == ""
