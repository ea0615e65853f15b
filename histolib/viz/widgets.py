"""Interactive viewers: ipywidgets around a function that draws, and a still figure where there is no browser."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from ..config import HEADLESS
from ..imaging import Patch
from .style import style
from .translation import figure_before_after

Choices = Mapping[str, Sequence[Any] | Callable[[Mapping[str, Any]], Sequence[Any]]]

SCREEN_DPI = 72
BORDER = "border (%)"
BUSY = "histolib-busy"
# The delay hides the fading of fast changes.
CSS = f"<style>.{BUSY} {{cursor: progress}} .{BUSY} img {{opacity: 0.35; transition: opacity 0.1s 0.15s}}</style>"
FULL_LABEL = {"description_width": "initial"}  # otherwise long labels are cut off


def browse(draw: Callable[..., Figure | np.ndarray], choices: Choices, live: Sequence[str] = ()) -> Any:
    """A viewer with one control for each choice. It redraws the figure when a control changes.

    Args:
        draw: called with one value of each choice by name; returns a figure, or pixels uint8 (H, W, 3). If it raises
            after a change, the message is shown and the last picture stays.
        choices: name to its possible values, of which the first is shown first; or to a function that returns the
            values, called with the values of the names before it. Numbers become a slider in ascending order,
            booleans a check box, everything else a menu.
        live: names of the sliders that redraw while they are dragged.

    Returns:
        An ipywidgets box (versions 7.7 and 8); with HISTOLIB_HEADLESS set, the first thing drawn.

    Raises:
        ValueError: a choice has no values.
    """
    options, chosen = _settle(choices, {})
    if os.environ.get(HEADLESS):
        return draw(**chosen)
    controls = {name: _control(name, options[name], chosen[name], name in live) for name in choices}
    screen = _Screen(list(controls.values()))
    screen.show(draw(**chosen))
    settling = False

    def redraw(_: object) -> None:
        nonlocal settling
        if settling:  # one change of a control may change others, but draws once
            return
        with screen.busy("drawing …"):
            options, chosen = _settle(choices, {name: control.value for name, control in controls.items()})
            settling = True
            try:
                for name, control in controls.items():
                    _refill(control, options[name], chosen[name])
            finally:
                settling = False
            screen.show(draw(**chosen))

    for control in controls.values():
        control.observe(redraw, names="value")
    return screen.box


def before_after(pair: Callable[..., Mapping[str, Patch]], choices: Choices) -> Any:
    """A viewer with a slider that moves the border between two patches. Each patch is drawn once.

    Args:
        pair: called with one value of each choice by name; returns two patches of one size by name, the one left of
            the border first.
        choices: as in `browse`.

    Returns:
        As `browse`.
    """

    def figure(patches: Mapping[str, Patch], border: float) -> Figure:
        names = tuple(patches)
        return figure_before_after([patches[names[0]]], [patches[names[1]]], names, border=border)  # type: ignore[arg-type]

    if os.environ.get(HEADLESS):
        return browse(lambda **chosen: figure(pair(**chosen), 0.5), choices)

    @lru_cache(maxsize=8)
    def sides(**chosen: Any) -> tuple[np.ndarray, np.ndarray, tuple[int, int, int, int]]:
        patches = pair(**chosen)
        (before, box), (after, _) = (_pixels(figure(patches, border)) for border in (1.0, 0.0))
        return before, after, box

    def draw(**chosen: Any) -> np.ndarray:
        share = chosen.pop(BORDER) / 100
        before, after, (left, right, top, bottom) = sides(**chosen)
        column = round(left + share * (right - left))
        joined = np.concatenate([before[:, :column], after[:, column:]], axis=1)
        joined[top:bottom, max(left, column - 2) : min(right, column + 3)] = 0
        joined[top:bottom, max(left, column - 1) : min(right, column + 2)] = 255
        return joined

    return browse(draw, {**choices, BORDER: [50, *range(101)]}, live=(BORDER,))


def upload(
    find: Callable[..., tuple[Figure, Mapping[str, bytes]]],
    example: str | Path,
    mpp: float = 0.5,
    choices: Mapping[str, Sequence[Any]] | None = None,
) -> Any:
    """A viewer for the reader's own image: choose a file and its scale, see the nuclei, download the results.

    Args:
        find: called with the bytes of the file, its name, the microns per pixel, and one value of each choice by
            name; returns a figure, and files to download by name. If it raises, the message is shown.
        example: file to use if none is chosen.
        mpp: initial microns per pixel.
        choices: further controls, as in `browse`.

    Returns:
        An ipywidgets box, as `browse`; with HISTOLIB_HEADLESS set, the figure of the example.
    """
    example = Path(example)
    options, first = _settle(choices or {}, {})
    if os.environ.get(HEADLESS):
        return find(example.read_bytes(), example.name, mpp, **first)[0]
    import ipywidgets as widgets

    file = widgets.FileUpload(accept="image/*", multiple=False, description="image")
    scale = widgets.BoundedFloatText(mpp, min=0.05, max=2.0, step=0.01, description="µm per pixel", style=FULL_LABEL)
    controls = {name: _control(name, options[name], first[name]) for name in options}
    start = widgets.Button(description="find nuclei", button_style="primary")
    links = widgets.HTML("")
    screen = _Screen([file, scale, *controls.values(), start], links)
    screen.status.value = f"choose an image, or use the example {example.name}"

    def run(_: object) -> None:
        name, content = _uploaded(file.value) or (example.name, None)
        links.value, start.disabled = "", True
        with screen.busy(f"finding nuclei in {name} …"):
            values = {choice: control.value for choice, control in controls.items()}
            figure, files = find(example.read_bytes() if content is None else content, name, scale.value, **values)
            screen.show(figure)
            links.value = " ".join(_link(file, data) for file, data in files.items())
        start.disabled = False

    def confirm(_: object) -> None:
        screen.status.value = f"{(_uploaded(file.value) or (example.name,))[0]} is selected"

    file.observe(confirm, names="value")
    start.on_click(run)
    return screen.box


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
    import ipywidgets as widgets

    look = {"description": name.replace("_", " "), "style": FULL_LABEL}
    if all(isinstance(each, bool) for each in values):
        control = widgets.Checkbox(indent=False, layout=widgets.Layout(width="auto"), **look)
    elif all(isinstance(each, int | float) for each in values):
        narrow = widgets.Layout(width="260px")
        control = widgets.SelectionSlider(options=_labelled(values), continuous_update=live, layout=narrow, **look)
    else:
        control = widgets.Dropdown(layout=widgets.Layout(width="auto"), **look)
    _refill(control, values, value)
    return control


def _refill(control: Any, values: Sequence[Any], value: Any) -> None:
    """Offer these values in a control, and set it to one of them."""
    if hasattr(control, "options"):
        options = _labelled(values)
        if tuple(control.options) != options:
            control.options = options
    control.value = value
    control.disabled = len(values) < 2


def _labelled(values: Sequence[Any]) -> tuple[tuple[str, Any], ...]:
    if all(isinstance(value, int | float) for value in values):
        values = sorted(set(values))
    return tuple((f"{value:g}" if isinstance(value, float) else str(value), value) for value in values)


class _Screen:
    """The box of a viewer: controls, a status line, further widgets, and a picture."""

    def __init__(self, controls: Sequence[Any], *between: Any) -> None:
        import ipywidgets as widgets

        self.status = widgets.Label("")
        unstretched = widgets.Layout(max_width="99%", align_self="flex-start", display="none")
        self.picture = widgets.Image(format="png", layout=unstretched)
        row = widgets.HBox(controls, layout=widgets.Layout(flex_flow="row wrap", grid_gap="0 16px"))
        self.box = widgets.VBox([row, self.status, *between, self.picture, widgets.HTML(CSS)])

    def show(self, drawn: Figure | np.ndarray) -> None:
        """Replace the picture. Sending bytes keeps figures from stacking below the cell."""
        buffer = io.BytesIO()
        pixels = _pixels(drawn)[0] if isinstance(drawn, Figure) else drawn
        Image.fromarray(pixels).save(buffer, format="png", compress_level=1)
        self.picture.value = buffer.getvalue()
        self.picture.layout.display = None

    @contextmanager
    def busy(self, status: str) -> Iterator[None]:
        """Show a status and fade the picture meanwhile; show the message of an error, and keep the last picture."""
        self.status.value = status
        self.box.add_class(BUSY)
        try:
            yield
            self.status.value = ""
        except Exception as error:  # an error in a callback is shown nowhere else
            known = isinstance(error, ValueError | OSError)
            self.status.value = " ".join(f"{'' if known else type(error).__name__ + ': '}{error}".split())
        finally:
            self.box.remove_class(BUSY)


def _pixels(figure: Figure) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """A figure as uint8 (H, W, 3), and the place of its first axes: left, right, top, bottom."""
    canvas = FigureCanvasAgg(figure)
    with style():
        figure.set_dpi(SCREEN_DPI)
        canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    if not figure.axes:
        return pixels, (0, pixels.shape[1], 0, pixels.shape[0])
    box = figure.axes[0].get_window_extent()
    left, right, low, high = (round(edge) for edge in (box.x0, box.x1, box.y0, box.y1))
    return pixels, (left, right, len(pixels) - high, len(pixels) - low)


def _uploaded(value: Any) -> tuple[str, bytes] | None:
    """Name and bytes of the chosen file: a tuple of records in ipywidgets 8, a dictionary by name in 7."""
    if not value:
        return None
    name, record = next(iter(value.items())) if isinstance(value, Mapping) else (value[0]["name"], value[0])
    return name, bytes(record["content"])


def _link(name: str, data: bytes) -> str:
    """A download link that works without a server, styled as a button."""
    shown, encoded = html.escape(name), base64.b64encode(data).decode("ascii")
    target = f'download="{shown}" href="data:application/octet-stream;base64,{encoded}"'
    return f'<a class="jupyter-button" style="text-decoration: none" {target}>download {shown}</a>'
