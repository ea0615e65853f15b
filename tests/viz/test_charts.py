"""Figures of numbers, of no numbers, and of numbers that do not exist."""

import warnings

import numpy as np
import pandas as pd
import pytest

from histolib.viz import figure_curves, figure_intervals


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def labels(texts) -> list[str]:
    return [text.get_text() for text in texts]


@pytest.mark.parametrize(
    "figure",
    [
        lambda: figure_curves({}),
        lambda: figure_curves({"one": pd.DataFrame({"a": []}), "none": {}}, smooth=5),
        lambda: figure_curves({"": {"log": {3.0: 0.5}}}),
        lambda: figure_curves({"x": {"KID": {1: np.nan, 2: np.nan}}}),
        lambda: figure_intervals({}, "F1"),
        lambda: figure_intervals({"log": {}}, "F1", lines={"od": 0.3}),
        lambda: figure_intervals({"log": {"F1": None, "recall": (None, None, None)}}, "F1"),
        lambda: figure_intervals({str(i): {"F1": 0.5} for i in range(30)}, "F1"),
    ],
)
def test_figures_of_nothing_of_one_and_of_many_things_are_drawn(figure):
    figure().draw_without_rendering()


@pytest.mark.parametrize(("count", "grid"), [(1, (1, 1)), (3, (1, 3)), (4, (2, 2)), (5, (2, 3)), (6, (2, 3))])
def test_panels_fill_at_most_two_rows(count, grid):
    figure = figure_curves({f"panel {i}": {"a": [1.0, 2.0]} for i in range(count)}, title="PHANTOM")
    assert figure.axes[0].get_gridspec().get_geometry() == grid
    assert [axes.get_title() for axes in figure.axes[:count]] == [f"panel {i}" for i in range(count)]
    assert figure.get_suptitle() == "PHANTOM"


def test_lines_differ_in_dashes_and_have_a_median():
    figure = figure_curves({"": {name: {1.0: 0.2, 3.0: 0.8} for name in "abc"}})
    lines = figure.axes[0].lines
    assert lines[0].get_xydata().tolist() == [[1, 0.2], [3, 0.8]]
    assert len({line.get_linestyle() for line in lines}) == len({line.get_color() for line in lines}) == 3
    assert labels(figure.legends[0].get_texts()) == ["a", "b", "c"]
    history = pd.DataFrame({"a": [1.0, 9.0, 1.0, np.nan, 1.0], "b": np.arange(5.0)}, index=range(10, 15))
    figure = figure_curves({"one": history[["a"]], "two": history}, smooth=3)
    raw, median = figure.axes[0].lines
    assert raw.get_xydata().tolist() == [[10, 1], [11, 9], [12, 1], [14, 1]]
    assert median.get_ydata().tolist() == [1, 5, 1, 1]
    assert figure.axes[0].get_legend() is None, "the title names a single line"
    assert labels(figure.axes[1].get_legend().get_texts()) == ["a", "b"]


def test_intervals_are_sorted_by_the_first_score_and_have_lines_to_compare_with():
    rows = {
        "od": {"F1": (None, None, None), "recall": None},
        "hed": {"F1": (0.3, 0.2, 0.4), "recall": 0.7},
        "log": {"F1": (0.8, 0.75, 0.85), "recall": 0.7},
    }
    figure = figure_intervals(rows, "F1 with 95 % interval")
    (axes,) = figure.axes
    assert labels(axes.get_yticklabels()) == ["log", "hed", "od"]
    assert labels(axes.texts) == ["0.800", "0.300", "–", "F1"]
    bars = [path.vertices[:, 0].tolist() for path in axes.collections[0].get_paths()]
    assert (bars[:2], labels(figure.legends[0].get_texts())) == ([[0.75, 0.85], [0.2, 0.4]], ["F1", "recall"])
    assert [line.get_xdata()[0] for line in axes.lines[:3]] == [0.75, 0.85, 0.8]
    assert axes.lines[0].get_marker() == "|", "intervals narrower than a marker stay visible"
    gains = {"od": {"gain": (0.1, 0.05, 0.2)}}
    figure = figure_intervals(gains, "F1 minus F1 of log", lines={"log": 0.0}, number="+.2f")
    assert (labels(figure.axes[0].texts), figure.axes[0].lines[-1].get_xdata()) == (["+0.10"], [0.0, 0.0])
    assert labels(figure.legends[0].get_texts()) == ["log"]
