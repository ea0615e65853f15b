"""How far a run is must be legible on a terminal and in a log file."""

import json
import logging
import sys
from itertools import pairwise

import pytest

from histolib.course.cost import Cost
from histolib.course.plan import Plan
from histolib.course.progress import CLEAR, FIRST_S, LAST_S, Progress


@pytest.fixture
def copy(tmp_path):
    """A copy of three cells, at the second."""
    cells = [{"metadata": {"papermill": {"start_time": start}}} for start in ("1", "2", None)]
    (tmp_path / "copy.ipynb").write_text(json.dumps({"cells": cells}))
    return tmp_path / "copy.ipynb"


def progress(copy, seconds=390.0, before=0.0):
    costs = {"02_b.ipynb": Cost(seconds), "03_c.ipynb": Cost(None if seconds is None else 210.0)}
    return Progress("[2/4] 02_b.ipynb", "02_b.ipynb", copy, Plan(costs, {}, None, [], ""), before)


def test_a_log_file_gets_a_line_now_and_then_and_ever_rarer(copy, caplog, capsys):
    caplog.set_level(logging.INFO)
    tell, told = progress(copy), []
    for tenth in range(10 * 24 * 3600 // 10):  # a day, looked at every ten seconds
        before = len(caplog.records)
        tell(10.0 * tenth)
        if len(caplog.records) > before:
            told.append(10.0 * tenth)
    gaps = [later - earlier for earlier, later in pairwise(told)]
    assert told[0] >= FIRST_S
    assert gaps == sorted(gaps)
    assert LAST_S <= gaps[-1] <= LAST_S + 10
    assert caplog.messages[0] == "[2/4] 02_b.ipynb: cell 2 of 3, 20 s of about 6 min 30 s"
    tell.close()
    assert capsys.readouterr().err == ""


def test_after_the_first_notebook_the_whole_run_is_told_too(copy, caplog):
    caplog.set_level(logging.INFO)
    progress(copy, before=60.0)(60.0)
    assert caplog.messages == [
        "[2/4] 02_b.ipynb: cell 2 of 3, 60 s of about 6 min 30 s; the whole run 2 min of about 10 min"
    ]


def test_without_a_plan_time_passes_of_nothing(copy, caplog):
    caplog.set_level(logging.INFO)
    progress(copy, None, before=1.0)(60.0)
    assert caplog.messages == ["[2/4] 02_b.ipynb: cell 2 of 3, 60 s; the whole run 61 s"]


def test_a_terminal_gets_one_line_that_is_written_over_and_cleared(copy, caplog, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    tell = progress(copy)
    for seconds in (0.5, 1.0, 1.5, 2.0):
        tell(seconds)
    tell.close()
    lines = capsys.readouterr().err.split(CLEAR)
    assert lines == ["", *(f"[2/4] 02_b.ipynb: cell 2 of 3, {seconds} s of a" for seconds in (1, 2)), ""]
    assert caplog.messages == []
