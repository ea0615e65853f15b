"""Figures of numbers, of no numbers, and of numbers that do not exist."""

import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from histolib.viz import (
    figure_counts,
    figure_distributions,
    figure_gains,
    figure_losses,
    figure_radius,
    figure_routes,
    figure_scores,
    figure_seeds,
)

SCORES = {"f1": 0.8, "f1_ci95": [0.75, 0.85], "precision": 0.9, "recall": 0.7}
GAIN = {"f1": 0.1, "ci95": [0.05, 0.2]}
NOTHING = {"f1": None, "f1_ci95": [None, None], "precision": None, "recall": None}


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize(
    "figure",
    [
        lambda: figure_losses(pd.DataFrame({"a": []}), {"one": ["a"], "absent": ["b"], "none": []}),
        lambda: figure_losses(pd.DataFrame({"a": [1.0]}), {"one": ["a"]}),
        lambda: figure_distributions({}, "x"),
        lambda: figure_distributions({"a": np.zeros(0), "b": np.arange(9)}, "x"),
        lambda: figure_distributions({"a": np.full(5, 3.0)}, "x"),
        lambda: figure_distributions({str(i): np.arange(9.0) for i in range(9)}, "x"),
        lambda: figure_counts({}, "nuclei"),
        lambda: figure_counts({"dead": 0}, "nuclei"),
        lambda: figure_routes({}),
        lambda: figure_routes({"log": NOTHING}),
        lambda: figure_scores({}),
        lambda: figure_seeds({}, {}, "F1"),
        lambda: figure_scores({"Liver": {"mpq": None}}),
        lambda: figure_radius({}, 3.0),
        lambda: figure_gains({}, "log"),
        lambda: figure_gains({"log": {"difference": {}}, "od": {"difference": {"log": GAIN}}}, "log"),
        lambda: figure_radius({"log": {3.0: 0.5}}, 3.0),
    ],
)
def test_figures_of_nothing_and_of_one_thing_are_drawn(figure):
    drawn = figure()
    assert isinstance(drawn, Figure)
    drawn.draw_without_rendering()


def test_losses_stand_in_rows_of_some_columns():
    history = pd.DataFrame({name: [1.0, 2.0] for name in "abc"})
    figure = figure_losses(history, {name: [name] for name in "abc"}, columns=2)
    assert figure.axes[0].get_gridspec().get_geometry() == (2, 2)
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c", ""]


def test_losses_show_what_was_logged_and_a_median_on_top():
    history = pd.DataFrame({"a": [1.0, 9.0, 1.0, np.nan, 1.0], "b": np.arange(5.0)}, index=range(10, 15))
    figure = figure_losses(history, {"one": ["a", "missing"], "two": ["b"]}, smooth=3)
    raw, median = figure.axes[0].lines
    assert raw.get_xydata().tolist() == [[10, 1], [11, 9], [12, 1], [14, 1]]
    assert median.get_ydata().tolist() == [1, 5, 1, 1]
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["a"]


def test_a_distribution_has_area_one():
    figure = figure_distributions({"a": np.random.default_rng(0).normal(0, 1, 20_000), "b": np.arange(3)}, "x", bins=50)
    steps = figure.axes[0].patches[0].get_data()
    assert (steps.values * np.diff(steps.edges)).sum() == pytest.approx(1, abs=0.01)


def test_counts_stand_at_the_end_of_their_bars_in_order():
    axes = figure_counts({"a": 1234.0, "b": 0, "c": 1_000_000}, "nuclei").axes[0]
    assert [text.get_text() for text in axes.texts] == ["1,234", "0", "1,000,000"]
    assert axes.yaxis_inverted()


def test_routes_are_sorted_and_what_does_not_exist_is_a_dash():
    worse = SCORES | {"f1": 0.3, "f1_ci95": [0.2, 0.4]}
    figure = figure_routes({"od": NOTHING, "hed": worse, "log": SCORES})
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["log", "hed", "od"]
    assert [text.get_text() for text in axes.texts] == ["0.800", "0.300", "–"]
    assert [list(line.get_xdata()) for line in axes.lines][:2] == [[0.75, 0.85], [0.2, 0.4]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["precision", "recall"]


def test_scores_stand_at_the_end_of_their_bars_and_what_does_not_exist_is_a_dash():
    figure = figure_scores({"Liver": {"mpq": 0.25, "bpq": 0.5}, "Skin": {"mpq": None, "bpq": 1.0}})
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["0.25", "–", "0.50", "1.00"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Liver", "Skin"]
    middle = [bar.get_y() + bar.get_height() / 2 for bar in axes.patches]
    assert [round(y) for y in middle] == [0, 1, 0, 1], "a row's bars are at its name"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["mpq", "bpq"]


def test_the_protocols_radius_is_marked():
    axes = figure_radius({"log": {1.0: 0.2, 3.0: 0.8}, "od": {1.0: 0.1, 3.0: 0.5}}, 3.0).axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[1, 0.2], [3, 0.8]]
    assert axes.lines[-1].get_xdata() == [3.0, 3.0]


def test_a_gain_is_drawn_with_its_interval_the_largest_on_top():
    routes = {"log": {}, "od": {"difference": {"log": GAIN}}}
    routes["cyclegan"] = {"difference": {"log": {"f1": 0.3, "ci95": [0.2, 0.4]}}}
    axes = figure_gains(routes, "log").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cyclegan", "od"]
    assert list(axes.lines[1].get_xdata()) == [0.2, 0.4]
    assert list(axes.lines[2].get_xdata()) == [0.3]


def test_every_seed_is_a_dot_with_a_bar_at_the_mean():
    axes = figure_seeds({"base": [0.2, 0.4], "plain": [0.1]}, {"log": 0.3}, "F1").axes[0]
    dots, bar, other, *_ = (line.get_xdata() for line in axes.lines)
    assert (list(dots), list(bar), list(other)) == ([0.2, 0.4], pytest.approx([0.3, 0.3]), [0.1])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["base", "plain"]
    assert axes.lines[-1].get_label() == "log"
