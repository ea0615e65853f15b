"""Viewers that answer back: ipywidgets around a function that draws, with a still figure where nobody can click."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from ..config import HEADLESS
from .style import style

__all__ = ["browse"]


def browse(draw: Callable[..., Figure], choices: Mapping[str, Sequence[Any]]) -> Any:
    """A viewer with one control for each choice, that redraws a figure when one changes.

    Numbers become a slider in ascending order, everything else a menu. The picture is sent as PNG bytes, so that a
    click replaces an image instead of stacking figures.

    Args:
        draw: called with one value of each choice by name; returns a Figure.
        choices: name to its possible values, the first is shown first.

    Returns:
        An ipywidgets box; under papermill, where nobody can click, the first figure itself.
    """
    first = {name: values[0] for name, values in choices.items()}
    if os.environ.get(HEADLESS):
        return draw(**first)
    import ipywidgets as widgets

    whole = {"description_width": "initial"}  # else long names are cut
    controls = {
        name: widgets.SelectionSlider(
            options=sorted(values), value=values[0], description=name, style=whole, continuous_update=False
        )
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        else widgets.Dropdown(options=[(str(value), value) for value in values], description=name, style=whole)
        for name, values in choices.items()
    }
    status = widgets.Label("")
    picture = widgets.Image(value=_png(draw(**first)), format="png", layout=widgets.Layout(max_width="100%"))

    def redraw(_: object = None) -> None:
        status.value = "drawing …"
        try:
            picture.value = _png(draw(**{name: control.value for name, control in controls.items()}))
            status.value = ""
        except (ValueError, OSError) as error:
            status.value = str(error)

    for control in controls.values():
        control.observe(redraw, names="value")
    return widgets.VBox([widgets.HBox([*controls.values(), status]), picture])


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", dpi=80)
    return buffer.getvalue()
