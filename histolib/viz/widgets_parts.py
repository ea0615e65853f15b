"""What the viewers are made of: controls for choices, and a screen that says what it is doing."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from .style import style

__all__ = ["BUSY", "DPI", "Choices", "Screen", "make_control", "png", "refill", "settle"]

Choices = Mapping[str, Sequence[Any] | Callable[[Mapping[str, Any]], Sequence[Any]]]

BUSY = "histolib-busy"
DPI = 100
# Only what takes longer than a blink is seen to fade.
LOOK = f"<style>.{BUSY} {{cursor: progress}} .{BUSY} img {{opacity: 0.35; transition: opacity 0.1s 0.15s}}</style>"
WHOLE = {"description_width": "initial"}  # else long names are cut


def settle(choices: Choices, wanted: Mapping[str, Any]) -> tuple[dict[str, Sequence[Any]], dict[str, Any]]:
    """What each control offers and the value that it takes: the wanted one where it is offered, else the first.

    Args:
        choices: name to its values, or to a function of the values that the names before it took.
        wanted: values by name.

    Raises:
        ValueError: a name offers nothing.
    """
    options: dict[str, Sequence[Any]] = {}
    chosen: dict[str, Any] = {}
    for name, values in choices.items():
        offered = options[name] = values(chosen) if callable(values) else values
        if not len(offered):
            raise ValueError(f"{name}: expected something to choose from, found nothing for {chosen}")
        value = wanted.get(name, offered[0])
        chosen[name] = value if value in offered else offered[0]
    return options, chosen


def make_control(name: str, values: Sequence[Any], value: Any, live: bool = False) -> Any:
    """A slider for a range or numbers in ascending order, a box to tick for yes and no, a menu for everything else.

    Args:
        name: of the control; underscores are shown as spaces.
        values, value: what it offers and what it shows.
        live: it reports while a slider is dragged, not at its end.
    """
    import ipywidgets as widgets

    look = {"description": name.replace("_", " "), "style": WHOLE}
    narrow, fitting = widgets.Layout(width="260px"), widgets.Layout(width="auto")
    if isinstance(values, range):
        control = widgets.IntSlider(
            value=value, min=values[0], max=values[-1], step=values.step, continuous_update=live, layout=narrow, **look
        )
    elif all(isinstance(each, bool) for each in values):
        control = widgets.Checkbox(value=value, indent=False, layout=fitting, **look)
    elif all(isinstance(each, int | float) and not isinstance(each, bool) for each in values):
        control = widgets.SelectionSlider(
            options=_labelled(sorted(set(values))), continuous_update=live, layout=narrow, **look
        )
    else:
        control = widgets.Dropdown(options=_labelled(values), layout=fitting, **look)
    refill(control, values, value)
    return control


def refill(control: Any, values: Sequence[Any], value: Any) -> None:
    """Let a control offer other values, and show one of them."""
    import ipywidgets as widgets

    if isinstance(control, widgets.IntSlider):
        control.max = max(control.max, values[-1])  # the ends must never cross
        control.min = values[0]
        control.max = values[-1]
    elif isinstance(control, widgets.SelectionSlider | widgets.Dropdown):
        slider = isinstance(control, widgets.SelectionSlider)
        options = _labelled(sorted(set(values)) if slider else values)
        if tuple(control.options) != options:
            control.options = options
    control.value = value
    control.disabled = len(values) < 2


def _labelled(values: Sequence[Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((f"{value:g}" if isinstance(value, float) else str(value), value) for value in values)


class Screen:
    """A picture below controls and a line that says what is going on.

    Attributes:
        box: the ipywidgets box that holds all of it.
        status: the line.
        picture: the image.
    """

    def __init__(self, controls: Sequence[Any], *between: Any) -> None:
        import ipywidgets as widgets

        self.status = widgets.Label("")
        as_it_is = widgets.Layout(max_width="99%", align_self="flex-start", display="none")  # a box would stretch it
        self.picture = widgets.Image(format="png", layout=as_it_is)
        row = widgets.HBox(controls, layout=widgets.Layout(flex_flow="row wrap", grid_gap="0 16px"))
        self.box = widgets.VBox([row, self.status, *between, self.picture, widgets.HTML(LOOK)])

    def show(self, drawn: Figure | np.ndarray) -> None:
        """Replace the picture. Bytes are sent, so that figures do not stack below the cell."""
        self.picture.value = png(drawn)
        self.picture.layout.display = None

    @contextmanager
    def busy(self, doing: str) -> Iterator[None]:
        """Say what is being done, fade the picture, and say in a line what went wrong; the last picture stays."""
        self.status.value = doing
        self.box.add_class(BUSY)
        try:
            yield
            self.status.value = ""
        except Exception as error:  # nobody sees what a click raises, so whatever it is goes on the screen
            known = isinstance(error, ValueError | OSError)
            self.status.value = " ".join(f"{'' if known else type(error).__name__ + ': '}{error}".split())
        finally:
            self.box.remove_class(BUSY)


def png(drawn: Figure | np.ndarray) -> bytes:
    """PNG bytes of a figure, or of pixels uint8 (H, W, 3)."""
    buffer = io.BytesIO()
    if isinstance(drawn, Figure):
        with style():
            drawn.savefig(buffer, format="png", dpi=DPI, pil_kwargs={"compress_level": 1})
    else:
        Image.fromarray(drawn).save(buffer, format="png", compress_level=1)
    return buffer.getvalue()
