"""A notebook's session: folders, figures, data sets, and refused parameters."""

from dataclasses import replace

import matplotlib.pyplot as plt
import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from papermill.exceptions import PapermillExecutionError

from histolib.config import PROFILES
from histolib.data import phantom
from histolib.notebook import check_injected, open_datasets, start

SMALL = replace(PROFILES["quick"], pannuke_per_fold=2, endonuke_runs=(2, 2), bci_pairs=(1, 1), bci_px=64)
KNOWN = "seed = 1\nradius_um = 3.0\nfast = False\nname = 'a'"


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Start a session in an empty folder, with changed parameters."""
    monkeypatch.chdir(tmp_path)
    return lambda **changes: start({"profile": "quick", "output_dir": "", "seed": 3, "In": [""], **changes})


def test_results_go_to_the_run_folder_or_to_output_dir_and_wrong_parameters_are_named(begin, tmp_path):
    run = begin()
    assert run.output == tmp_path / "runs" / "quick"
    assert run.folder("a") == run.folder("a")
    assert (run.output / "a").is_dir()
    run = begin(output_dir=str(tmp_path / "drive"))
    assert run.output == tmp_path / "drive"
    with pytest.raises(ValueError, match="expected one of quick, full, pretrained, found 'fast'"):
        begin(profile="fast")
    with pytest.raises(ValueError, match=r"expected radius_um to be .* found nan"):
        begin(radius_um=float("nan"))
    with pytest.raises(ValueError, match="unknown parameter 'sead'"):
        begin(In=["", "seed = 0\n", "# Parameters\nsead = 1\n"])


def test_a_figure_is_saved_twice_and_returned_and_only_those_of_the_quick_profile_carry_a_note(begin):
    run, figure = begin(), plt.figure(figsize=(3, 2))
    assert run.save_figure(figure, "01_quick") is figure
    run.save_figure(figure, "01_results", committed=True)
    saved = {path.name for path in (run.output / "figures").iterdir()}
    assert saved == {f"01_{name}.{kind}" for name in ("quick", "results") for kind in ("pdf", "png")}
    quick, results = (plt.imread(run.output / "figures" / f"{name}.png") for name in ("01_quick", "01_results"))
    assert quick.min() < results.min() == 1
    plt.close(figure)


def test_phantoms_are_drawn_once_and_found_again_and_a_folder_without_sets_is_refused(tmp_path):
    sets = open_datasets(tmp_path, SMALL, seed=2)
    assert sets.sources == {"bci": "PHANTOM", "pannuke": "PHANTOM", "endonuke": "PHANTOM"}
    assert (sets.phantom, len(sets.bci), len(sets.pannuke), len(sets.endonuke)) == (True, 2, 6, 4)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    open_datasets(tmp_path, SMALL, seed=2)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times
    real = open_datasets(tmp_path / "unused", SMALL, data_dir=str(sets.pannuke.root.parent))
    assert set(real.sources.values()) == {"real folder"}
    assert (real.phantom, len(real.pannuke)) == (False, 6)
    assert not (tmp_path / "unused").exists()


def test_each_missing_set_falls_back_to_its_own_phantom(tmp_path):
    phantom.write_endonuke(tmp_path / "real" / "endonuke", runs=(3,))
    sets = open_datasets(tmp_path / "data", SMALL, data_dir=str(tmp_path / "real"))
    assert sets.sources == {"bci": "PHANTOM", "pannuke": "PHANTOM", "endonuke": "real folder"}
    assert (sets.phantom, len(sets.bci), len(sets.pannuke), len(sets.endonuke)) == (True, 2, 6, 3)
    assert sets.endonuke.root.is_relative_to(tmp_path / "real")
    assert {path.name for path in (tmp_path / "data/phantom/quick").iterdir()} == {"bci", "pannuke"}


def test_a_folder_without_data_sets_and_an_incomplete_set_are_refused_and_not_replaced_by_a_phantom(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "half/endonuke").mkdir(parents=True)
    refusals = {name: f"{name}: expected a folder with bci, pannuke, endonuke" for name in ("empty", "missing")}
    for folder, message in (refusals | {"half": "endonuke: expected images and labels"}).items():
        with pytest.raises(FileNotFoundError, match=message):
            open_datasets(tmp_path / "drawn" / folder, SMALL, data_dir=str(tmp_path / folder))
    assert not list(tmp_path.glob("drawn/**/endonuke"))


def injected(**given):
    return "".join(["# Parameters\n", *(f"{name} = {value!r}\n" for name, value in given.items())])


def test_injected_parameters_are_checked_against_the_literals_before_them():
    for given in ({}, {"seed": 2}, {"radius_um": 3}, {"radius_um": 2.5, "fast": True, "name": ""}):
        check_injected(["", KNOWN, injected(**given)])
    check_injected([])
    check_injected(["", "import os", KNOWN, "check_injected(In)"])
    history = ["", "a = 1", "import os\nget_ipython().run_line_magic('matplotlib', 'inline')", "seed = 1", "await x"]
    check_injected([*history, injected(seed=2)])
    for given, message in (({"sed": 2}, "unknown parameter 'sed', expected seed"), ({"name": None}, "found NoneType")):
        with pytest.raises(ValueError, match=f"papermill: .*{message}"):
            check_injected(["", KNOWN, injected(**given)])
    with pytest.raises(ValueError, match="unknown parameter 'a', expected seed"):
        check_injected([*history, injected(a=2)])


def test_papermill_itself_fails_on_a_misspelt_parameter(tmp_path):
    check = "from histolib.notebook import check_injected\ncheck_injected(In)"
    made = new_notebook(cells=[new_code_cell(KNOWN, metadata={"tags": ["parameters"]}), new_code_cell(check)])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, tmp_path / "one.ipynb")
    with pytest.raises(PapermillExecutionError, match="unknown parameter 'sed', expected seed, radius_um"):
        papermill.execute_notebook(tmp_path / "one.ipynb", tmp_path / "out.ipynb", {"sed": 3}, progress_bar=False)
