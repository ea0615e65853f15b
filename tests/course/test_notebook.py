"""What a notebook file tells: its parameters, what papermill injected, the hash of its code, and where it is."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from histolib.course.notebook import (
    VIEW_MIMETYPE,
    _without_noise,
    cell_number,
    check_injected,
    parameters_of,
    position,
    running_source,
)
from histolib.parameters import check_parameters

PARAMETERS = '# What a reader may change\nprofile = "quick"\noutput_dir = ""\nseed = 1  # of chance\nradius_um = 3.0\n'


def notebook(*sources: str, parameters: str = PARAMETERS) -> nbformat.NotebookNode:
    tagged = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    return new_notebook(cells=[new_markdown_cell("# Title"), tagged, *map(new_code_cell, sources)])


def test_parameters_are_the_literals_of_the_tagged_cell():
    made = notebook("x = 1", parameters=PARAMETERS + "names: tuple = ('a', 'b')\nnothing = None\nlow = -1.5\n")
    assert parameters_of(made) == {
        "profile": "quick",
        "output_dir": "",
        "seed": 1,
        "radius_um": 3.0,
        "names": ("a", "b"),
        "nothing": None,
        "low": -1.5,
    }
    assert parameters_of(notebook(parameters="")) == {}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a = 1\nb = a + 1", "nb: expected a literal for b, found 'a \\+ 1'"),
        ("a = {[]: 1}", "nb: expected a literal for a"),
        ("import os", "nb: expected only `name = literal`"),
        ("a.b = 1", "nb: expected only `name = literal`"),
        ("a: int", "nb: expected only `name = literal`"),
        ("a = (1", "nb: expected `name = literal` lines, found .* in line 1"),
    ],
)
def test_a_parameters_cell_that_is_more_than_literals_is_refused(source, message):
    with pytest.raises(ValueError, match=message):
        parameters_of(notebook(parameters=source), "nb")


def test_there_is_one_parameters_cell():
    for cells in ([], [new_code_cell("a = 1", metadata={"tags": ["parameters"]}) for _ in range(2)]):
        with pytest.raises(ValueError, match=rf"expected one cell tagged 'parameters', found {len(cells)}"):
            parameters_of(new_notebook(cells=cells))


KNOWN = {"seed": 1, "radius_um": 3.0, "fast": False, "name": "a"}


@pytest.mark.parametrize("given", [{}, {"seed": 2}, {"radius_um": 3}, {"radius_um": 2.5, "fast": True, "name": ""}])
def test_parameters_of_the_documented_types_pass(given):
    check_parameters(given, KNOWN)
    check_injected(["", "seed = 1\nradius_um = 3.0\nfast = False\nname = 'a'", injected(given)])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sed": 2}, "unknown parameter 'sed', expected seed, radius_um, fast, name"),
        ({"seed": 2.5}, r"expected seed to be int \(as 1\), found float 2.5"),
        ({"seed": "2"}, "found str '2'"),
        ({"seed": True}, "found bool True"),
        ({"fast": 1}, "expected fast to be bool"),
        ({"radius_um": True}, "found bool True"),
        ({"name": None}, "found NoneType None"),
    ],
)
def test_other_names_and_types_are_refused_with_the_documented_ones(given, message):
    with pytest.raises(ValueError, match=message):
        check_parameters(given, KNOWN)
    with pytest.raises(ValueError, match=f"papermill: .*{message}"):
        check_injected(["", "seed = 1\nradius_um = 3.0\nfast = False\nname = 'a'", injected(given)])


def injected(given: dict) -> str:
    return "".join(["# Parameters\n", *(f"{name} = {value!r}\n" for name, value in given.items())])


def test_nothing_injected_is_nothing_to_check():
    check_injected([])
    check_injected(["", "import os", PARAMETERS, "check_injected(In)"])


def test_what_is_injected_is_checked_against_the_literals_right_before_it():
    history = ["", "a = 1", "import os\nget_ipython().run_line_magic('matplotlib', 'inline')", "seed = 1", "await x"]
    check_injected([*history, injected({"seed": 2})])
    with pytest.raises(ValueError, match="unknown parameter 'a', expected seed"):
        check_injected([*history, injected({"a": 2})])
    with pytest.raises(ValueError, match="unknown parameter 'a'"):
        check_injected([injected({"a": 2})])


# --- where it is ---


def executing(path, started: int):
    """A copy as papermill writes it, with its injected cell, some of its cells begun; returns its path."""
    made = notebook("a = 1", "b = 2")
    made.cells.insert(2, new_code_cell("# Parameters\n", metadata={"tags": ["injected-parameters"]}))
    for number, cell in enumerate(made.cells):
        cell.metadata["papermill"] = {"start_time": "2026-01-01T00:00:00" if number < started else None}
    nbformat.write(made, path)
    return path


@pytest.mark.parametrize(("started", "cell", "source"), [(0, 0, ""), (2, 2, PARAMETERS), (3, 2, "# Parameters\n"),
                                                        (4, 3, "a = 1"), (5, 4, "b = 2")])  # fmt: skip
def test_a_copy_tells_the_cell_that_it_is_at_as_a_reader_counts(tmp_path, started, cell, source):
    copy = executing(tmp_path / "copy.ipynb", started)
    assert position(copy) == (cell, 4)
    assert running_source(copy) == source


def test_a_copy_that_is_missing_or_half_written_is_nowhere(tmp_path):
    copy = tmp_path / "copy.ipynb"
    assert position(copy) == (0, 0)
    assert running_source(copy) == ""
    executing(copy, 4)
    copy.write_text(copy.read_text()[:200])
    assert position(copy) == (0, 0)


def test_a_cell_has_the_number_that_a_reader_counts_and_papermills_own_has_none(tmp_path):
    nbformat.write(notebook("a = 1", "b = 2"), tmp_path / "one.ipynb")
    assert [cell_number(tmp_path / "one.ipynb", source) for source in ("a = 1", "b = 2", "c = 3")] == [3, 4, None]


# --- what is not committed ---


def test_a_view_of_a_widget_and_what_went_to_stderr_are_noise():
    kept = [
        new_output("stream", name="stdout", text="a"),
        new_output("display_data", data={"image/png": "aGk="}),
        new_output("execute_result", data={"text/plain": "1"}, execution_count=3),
    ]
    noise = [
        new_output("stream", name="stderr", text="a"),
        new_output("display_data", data={VIEW_MIMETYPE: {}, "text/plain": "VBox()"}),
    ]
    assert [_without_noise(output) for output in [*kept, *noise]] == [*kept, None, None]
