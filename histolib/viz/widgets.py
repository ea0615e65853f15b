"""Interactive viewers: ipywidgets around a function that draws, and a still figure where there is no browser."""

import base64
import html
import io
import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from ..config import HEADLESS
from ..imaging import Patch
from .images import figure_before_after
from .style import style

Choices = Mapping[str, Sequence[Any] | Callable[[Mapping[str, Any]], Sequence[Any]]]

SCREEN_DPI = 72
BORDER = "border (%)"
BUSY, DRAWING = "histolib-busy", "drawing …"
# The delay hides the fading of fast changes.
CSS = f"<style>.{BUSY} {{cursor: progress}} .{BUSY} img {{opacity: 0.35; transition: opacity 0.1s 0.15s}}</style>"
FULL_LABEL = {"description_width": "initial"}  # otherwise long labels are cut off


def browse(
    draw: Callable[..., Figure], choices: Choices, live: Sequence[str] = (), inputs: Sequence[Any] = (),
    below: Sequence[Any] = (),
) -> Any:  # fmt: skip
    """A viewer with one control for each choice. It redraws the figure when a control changes.

    Args:
        draw: called with one value of each choice by name; returns a figure. If it raises after a change, the
            message is shown and the last picture stays.
        choices: name to its possible values, of which the first is shown first; or to a function that returns the
            values, called with the values of the names before it. Numbers become a slider in ascending order,
            booleans a check box, everything else a menu.
        live: names of the sliders that redraw while they are dragged.
        inputs: further widgets before the controls, whose values `draw` reads itself.
        below: further widgets between the controls and the picture.

    Returns:
        An ipywidgets box (versions 7.7 and 8); with HISTOLIB_HEADLESS set, the first thing drawn.

    Raises:
        ValueError: a choice has no values.
    """
    options, chosen = _settle(choices, {})
    if os.environ.get(HEADLESS):
        return draw(**chosen)
    controls = {name: _control(name, options[name], chosen[name], name in live) for name in choices}
    row = widgets.HBox([*inputs, *controls.values()], layout=widgets.Layout(flex_flow="row wrap", grid_gap="0 16px"))
    status = widgets.Label("")
    unstretched = widgets.Layout(max_width="99%", align_self="flex-start")
    picture = widgets.Image(value=_png(draw(**chosen)), format="png", layout=unstretched)
    box = widgets.VBox([row, status, *below, picture, widgets.HTML(CSS)])

    def redraw(_: object) -> None:
        if status.value == DRAWING:  # a change made by this function
            return
        status.value = DRAWING
        box.add_class(BUSY)
        try:
            options, chosen = _settle(choices, {name: control.value for name, control in controls.items()})
            for name, control in controls.items():
                if hasattr(control, "options") and tuple(control.options) != _labelled(options[name]):
                    control.options = _labelled(options[name])
                control.value, control.disabled = chosen[name], len(options[name]) < 2
            picture.value = _png(draw(**chosen))  # bytes, because figures would stack below the cell
            status.value = ""
        except Exception as error:  # an error in a callback is shown nowhere else
            known = isinstance(error, ValueError | OSError)
            status.value = " ".join(f"{'' if known else type(error).__name__ + ': '}{error}".split())
        finally:
            box.remove_class(BUSY)

    for control in row.children:
        control.observe(redraw, names="value")
    return box


def before_after(pair: Callable[..., Mapping[str, Patch]], choices: Choices) -> Any:
    """A viewer with a slider that moves the border between two patches.

    Args:
        pair: called with one value of each choice by name; returns two patches of one size by name, the one left of
            the border first. The last eight pairs are kept.
        choices: as in `browse`.

    Returns:
        As `browse`.
    """
    cached = lru_cache(maxsize=8)(pair)

    def draw(**chosen: Any) -> Figure:
        border = chosen.pop(BORDER) / 100
        return figure_before_after(cached(**chosen), border)

    return browse(draw, {**choices, BORDER: [50, *range(101)]}, live=(BORDER,))


def upload(
    find: Callable[..., tuple[Figure, Mapping[str, bytes]]], example: str | Path, mpp: float, choices: Choices
) -> Any:
    """A viewer for the reader's own image: choose a file and its scale, see the nuclei, download the results.

    Args:
        find: called with the bytes of the file, its name, the microns per pixel, and one value of each choice by
            name; returns a figure, and files to download by name. If it raises, the message is shown.
        example: file that is shown until another one is chosen.
        mpp: initial microns per pixel.
        choices: further controls, as in `browse`.

    Returns:
        An ipywidgets box, as `browse`; with HISTOLIB_HEADLESS set, the figure of the example.
    """
    example = Path(example)
    if os.environ.get(HEADLESS):
        return browse(lambda **chosen: find(example.read_bytes(), example.name, mpp, **chosen)[0], choices)
    file = widgets.FileUpload(accept="image/*", multiple=False, description="image")
    scale = widgets.BoundedFloatText(mpp, min=0.05, max=2.0, step=0.01, description="µm per pixel", style=FULL_LABEL)
    links = widgets.HTML("")

    def draw(**chosen: Any) -> Figure:
        links.value = ""
        name, content = example.name, example.read_bytes()
        if file.value:  # a dictionary by name in ipywidgets 7, a tuple of records in 8
            old = isinstance(file.value, Mapping)
            name, record = next(iter(file.value.items())) if old else (file.value[0]["name"], file.value[0])
            content = bytes(record["content"])
        figure, files = find(content, name, scale.value, **chosen)
        links.value = " ".join(_link(file, data) for file, data in files.items())
        return figure

    return browse(draw, choices, inputs=[file, scale], below=[links])


def _settle(choices: Choices, wanted: Mapping[str, Any]) -> tuple[dict[str, Sequence[Any]], dict[str, Any]]:
    """The values that each control offers, and its value: the wanted one if it is offered, otherwise the first."""
    options: dict[str, Sequence[Any]] = {}
    chosen: dict[str, Any] = {}
    for name, values in choices.items():
        offered = options[name] = values(chosen) if callable(values) else values
        if not len(offered):
            raise ValueError(f"{name}: expected at least one value, found none for {chosen}")
        value = wanted.get(name, offered[0])
        chosen[name] = value if value in offered else offered[0]
    return options, chosen


def _control(name: str, values: Sequence[Any], value: Any, live: bool = False) -> Any:
    """A slider for numbers, a check box for booleans, a menu for everything else."""
    look = {"description": name.replace("_", " "), "style": FULL_LABEL, "disabled": len(values) < 2}
    if all(isinstance(each, bool) for each in values):
        return widgets.Checkbox(value, indent=False, layout=widgets.Layout(width="auto"), **look)
    look |= {"options": _labelled(values), "value": value}
    if all(isinstance(each, int | float) for each in values):
        return widgets.SelectionSlider(continuous_update=live, layout=widgets.Layout(width="260px"), **look)
    return widgets.Dropdown(layout=widgets.Layout(width="auto"), **look)


def _labelled(values: Sequence[Any]) -> tuple[tuple[str, Any], ...]:
    if all(isinstance(value, int | float) for value in values):
        values = sorted(set(values))
    return tuple((f"{value:g}" if isinstance(value, float) else str(value), value) for value in values)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", dpi=SCREEN_DPI, pil_kwargs={"compress_level": 1})
    return buffer.getvalue()


def _link(name: str, data: bytes) -> str:
    """A download link that works without a server, styled as a button."""
    shown, encoded = html.escape(name), base64.b64encode(data).decode("ascii")
    target = f'download="{shown}" href="data:application/octet-stream;base64,{encoded}"'
    return f'<a class="jupyter-button" style="text-decoration: none" {target}>download {shown}</a>'
