"""Viewers that answer back: ipywidgets around a function that draws, with a still figure where nobody can click."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from ..config import HEADLESS
from .style import style

__all__ = ["browse", "upload"]


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


def upload(find: Callable[[bytes, str, float], tuple[Figure, Mapping[str, bytes]]], mpp: float = 0.5) -> Any:
    """A viewer for a picture of one's own: choose a file, say its scale, see what is found, download it.

    Args:
        find: called with the bytes of the file, its name and the microns per pixel; returns a figure, and files to
            offer for download by name. What it raises as a ValueError is shown.
        mpp: microns per pixel that the field begins with.

    Returns:
        An ipywidgets box (of version 7.7, Colab's, as well as 8); under papermill, where nobody can click, a sentence.
    """
    if os.environ.get(HEADLESS):
        return "Run this cell in a browser to choose a picture of your own."
    import ipywidgets as widgets

    whole = {"description_width": "initial"}
    chosen = widgets.FileUpload(accept="image/*", multiple=False, description="picture")
    scale = widgets.BoundedFloatText(value=mpp, min=0.05, max=2.0, step=0.01, description="µm per pixel", style=whole)
    start = widgets.Button(description="find nuclei", button_style="primary")
    status, links = widgets.Label(""), widgets.HTML("")
    picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%", display="none"))

    def run(_: object = None) -> None:
        name, content = _uploaded(chosen.value)
        if not content:
            status.value = "choose a picture first"
            return
        status.value, links.value, start.disabled = f"looking at {name} …", "", True
        try:
            figure, files = find(content, name, scale.value)
            picture.value, picture.layout.display = _png(figure), None
            links.value = " · ".join(_link(file, data) for file, data in files.items())
            status.value = ""
        except (ValueError, OSError) as error:
            status.value = str(error)
        finally:
            start.disabled = False

    start.on_click(run)
    return widgets.VBox([widgets.HBox([chosen, scale, start, status]), links, picture])


def _uploaded(value: Any) -> tuple[str, bytes]:
    """Name and bytes of a chosen file: a tuple of records in ipywidgets 8, a dictionary by name in 7."""
    if not value:
        return "", b""
    name, record = next(iter(value.items())) if isinstance(value, Mapping) else (value[0]["name"], value[0])
    return name, bytes(record["content"])


def _link(name: str, data: bytes) -> str:
    """A link that hands over a file without a server."""
    shown, encoded = html.escape(name), base64.b64encode(data).decode("ascii")
    return f'<a download="{shown}" href="data:application/octet-stream;base64,{encoded}">{shown}</a>'


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", dpi=80)
    return buffer.getvalue()
