"""Controls fit what they offer, and pictures are sent as PNG."""

import io

import ipywidgets
import numpy as np
import pytest
from PIL import Image

from histolib.viz import figure_counts
from histolib.viz.widgets_parts import make_control, png, refill, settle


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (range(3), ipywidgets.IntSlider),
        ([0.5, 2], ipywidgets.SelectionSlider),
        ([True, False], ipywidgets.Checkbox),
        ([1, "two"], ipywidgets.Dropdown),
        ([("fold", 1)], ipywidgets.Dropdown),
    ],
)
def test_the_control_fits_the_values(values, kind):
    control = make_control("a_name", values, values[0])
    assert type(control) is kind
    assert (control.value, control.description, control.disabled) == (values[0], "a name", len(values) == 1)


def test_numbers_go_up_once_each_and_start_where_told():
    control = make_control("x", [0.5, 0.8, 0.1 + 0.2, 0.5], 0.5)
    assert [label for label, _ in control.options] == ["0.3", "0.5", "0.8"]
    assert (control.value, control.continuous_update) == (0.5, False)


@pytest.mark.parametrize("live", [False, True])
def test_a_live_slider_reports_while_it_is_dragged(live):
    assert make_control("x", range(9), 4, live).continuous_update is live


@pytest.mark.parametrize("then", [range(100, 200, 10), range(-5, -1), range(1)])
def test_a_slider_goes_to_any_other_range(then):
    control = make_control("x", range(10), 3)
    refill(control, then, then[-1])
    assert (control.min, control.max, control.value) == (then[0], then[-1], then[-1])
    refill(control, range(10), 3)
    assert (control.min, control.max, control.value, control.disabled) == (0, 9, 3, False)


def test_a_choice_stays_where_it_can_and_else_falls_to_the_first():
    choices = {"a": [1, 2], "b": lambda chosen: range(chosen["a"])}
    assert settle(choices, {})[1] == {"a": 1, "b": 0}
    options, chosen = settle(choices, {"a": 2, "b": 1})
    assert (list(options["b"]), chosen) == ([0, 1], {"a": 2, "b": 1})
    assert settle(choices, {"a": 1, "b": 1})[1] == {"a": 1, "b": 0}
    assert settle({}, {"a": 1}) == ({}, {})


@pytest.mark.parametrize("drawn", [figure_counts({"dead": 1}, ""), np.zeros((3, 5, 3), np.uint8)])
def test_what_was_drawn_becomes_a_png(drawn):
    picture = Image.open(io.BytesIO(png(drawn)))
    assert picture.format == "PNG"
    if isinstance(drawn, np.ndarray):
        assert (np.asarray(picture) == drawn).all()
