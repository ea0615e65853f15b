"""Viewers that answer back: ipywidgets around a function that draws, with a still figure where nobody can click."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..config import HEADLESS
from ..imaging import Patch
from .style import style
from .translations import figure_wipe
from .widgets_parts import DPI, WHOLE, Choices, Screen, make_control, refill, settle

__all__ = ["browse", "upload", "wipe"]

BORDER = "border (%)"


def browse(draw: Callable[..., Figure | np.ndarray], choices: Choices, live: Sequence[str] = ()) -> Any:
    """A viewer with one control for each choice, that redraws a figure when one changes.

    Args:
        draw: called with one value of each choice by name; returns a figure, or pixels uint8 (H, W, 3). What it raises
            after a change is shown in a line, and the picture before it stays.
        choices: name to its possible values, the first is shown first, or to a function that returns them for a
            mapping of what the names before it are set to: other tiles for another set. A range becomes a slider,
            and so do numbers, in ascending order; booleans become a box to tick, everything else a menu.
        live: names of the sliders that redraw while they are dragged.

    Returns:
        An ipywidgets box (of version 7.7, Colab's, as well as 8); under papermill, where nobody can click, what
        is drawn first.

    Raises:
        ValueError: a choice has no values.
    """
    options, chosen = settle(choices, {})
    if os.environ.get(HEADLESS):
        return draw(**chosen)
    controls = {name: make_control(name, options[name], chosen[name], name in live) for name in choices}
    screen = Screen(list(controls.values()))
    screen.show(draw(**chosen))
    settling = False

    def redraw(_: object) -> None:
        nonlocal settling
        if settling:  # what follows from the change is drawn with it
            return
        with screen.busy("drawing …"):
            options, chosen = settle(choices, {name: control.value for name, control in controls.items()})
            settling = True
            try:
                for name, control in controls.items():
                    refill(control, options[name], chosen[name])
            finally:
                settling = False
            screen.show(draw(**chosen))

    for control in controls.values():
        control.observe(redraw, names="value")
    return screen.box


def wipe(pair: Callable[..., Mapping[str, Patch]], choices: Choices) -> Any:
    """A viewer whose border wipes from a picture to what became of it.

    Both are drawn once; while the border moves, their columns are put together.

    Args:
        pair: called with one value of each choice by name; returns two patches of one size by their names, first the
            one that is shown left of the border.
        choices: as of `browse`.

    Returns:
        As `browse`.
    """
    if os.environ.get(HEADLESS):
        return browse(lambda **chosen: _wiped(pair(**chosen), 0.5), choices)

    @lru_cache(maxsize=8)
    def sides(**chosen: Any) -> tuple[np.ndarray, np.ndarray, tuple[int, int, int, int]]:
        patches = pair(**chosen)
        (before, box), (after, _) = (_pixels(_wiped(patches, border)) for border in (1.0, 0.0))
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


def _wiped(patches: Mapping[str, Patch], border: float) -> Figure:
    before, after = patches
    return figure_wipe([patches[before]], [patches[after]], border, (before, after), side=5.5)


def _pixels(figure: Figure) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """A figure as uint8 (H, W, 3), and where its axes lie: left, right, top, bottom."""
    canvas = FigureCanvasAgg(figure)
    with style():
        figure.set_dpi(DPI)
        canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    box = figure.axes[0].get_window_extent()
    left, right, low, high = (round(edge) for edge in (box.x0, box.x1, box.y0, box.y1))
    return pixels, (left, right, len(pixels) - high, len(pixels) - low)


def upload(
    find: Callable[..., tuple[Figure, Mapping[str, bytes]]],
    example: str | Path,
    mpp: float = 0.5,
    choices: Mapping[str, Sequence[Any]] | None = None,
) -> Any:
    """A viewer for a picture of one's own: choose a file, say its scale, see what is found, download it.

    Args:
        find: called with the bytes of the file, its name, the microns per pixel, and one value of each choice by
            name; returns a figure, and files to offer for download by name. What it raises is shown in a line.
        example: a file that is looked at where none was chosen.
        mpp: microns per pixel that the field begins with.
        choices: more to choose, as of `browse`.

    Returns:
        An ipywidgets box, as `browse`; under papermill, where nobody can click, the figure of the example.
    """
    example = Path(example)
    options, first = settle(choices or {}, {})
    if os.environ.get(HEADLESS):
        return find(example.read_bytes(), example.name, mpp, **first)[0]
    import ipywidgets as widgets

    chosen = widgets.FileUpload(accept="image/*", multiple=False, description="picture")
    scale = widgets.BoundedFloatText(value=mpp, min=0.05, max=2.0, step=0.01, description="µm per pixel", style=WHOLE)
    controls = {name: make_control(name, options[name], first[name]) for name in options}
    start = widgets.Button(description="find nuclei", button_style="primary")
    links = widgets.HTML("")
    screen = Screen([chosen, scale, *controls.values(), start], links)
    screen.status.value = f"choose a picture, or try it on {example.name}"

    def run(_: object) -> None:
        name, content = _uploaded(chosen.value) or (example.name, None)
        links.value, start.disabled = "", True
        with screen.busy(f"looking at {name} …"):
            values = {choice: control.value for choice, control in controls.items()}
            figure, files = find(example.read_bytes() if content is None else content, name, scale.value, **values)
            screen.show(figure)
            links.value = " ".join(_link(file, data) for file, data in files.items())
        start.disabled = False

    def name_it(_: object) -> None:
        name, _ = _uploaded(chosen.value) or (example.name, b"")
        screen.status.value = f"{name} is here"

    chosen.observe(name_it, names="value")
    start.on_click(run)
    return screen.box


def _uploaded(value: Any) -> tuple[str, bytes] | None:
    """Name and bytes of a chosen file: a tuple of records in ipywidgets 8, a dictionary by name in 7."""
    if not value:
        return None
    name, record = next(iter(value.items())) if isinstance(value, Mapping) else (value[0]["name"], value[0])
    return name, bytes(record["content"])


def _link(name: str, data: bytes) -> str:
    """A link that hands over a file without a server, and looks like a button."""
    shown, encoded = html.escape(name), base64.b64encode(data).decode("ascii")
    where = f'download="{shown}" href="data:application/octet-stream;base64,{encoded}"'
    return f'<a class="jupyter-button" style="text-decoration: none" {where}>download {shown}</a>'
