"""The common look of all figures, and figures on disk."""

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import cycle
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation, blended_transform_factory
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ..io import replacing

SLIDE_IN = (40 / 3, 7.5)  # 16:9, the size of a slide: a point in the figure is a point on the slide
SAVED_DPI = 200  # 2667 x 1500 px
TEXT_PT = 18
NOTE_SHARE = 0.045  # of the height, kept free at the bottom for the note of `save_figure`

# Okabe and Ito, Color Universal Design (2008): distinct for colour-blind readers.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, BLACK = PALETTE
YELLOW = "#F0E442"  # on tissue only, too pale for a white page
NONE: Mapping[str, Any] = MappingProxyType({})

# Names that have the same colour in every figure. Stains have their own colours, because they colour images.
COLOURS = {
    "hematoxylin": "#3D4F9F", "eosin": "#D55E9C", "dab": "#8C5A2B", "found": YELLOW, "annotated": YELLOW,
    "matched": GREEN, "missed": VERMILLION, "false": BLUE, "lost": VERMILLION, "new": BLUE,
    "neoplastic": VERMILLION, "inflammatory": GREEN, "connective": BLUE, "dead": BLACK, "epithelial": ORANGE,
    "stroma": BLUE, "epithelium": ORANGE, "other": PURPLE,
    "log": SKY, "od": ORANGE, "cyclegan": BLUE, "synthetic": GREEN, "ensemble": BLACK,
}  # fmt: skip

_RC: Any = {  # the stubs of matplotlib list every key as a literal
    "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": "medium",
    "font.size": TEXT_PT, "legend.frameon": False, "lines.linewidth": 2.5, "savefig.bbox": None,
}  # fmt: skip


def style() -> AbstractContextManager[None]:
    """Use the common look inside a `with` block, whatever the reader's own settings are."""
    return mpl.rc_context(_RC)


def colours(names: Iterable[str]) -> dict[str, str]:
    """One colour for each name: its fixed colour, otherwise the next unused colour of the palette."""
    names = list(names)
    unused = [shade for shade in PALETTE if shade not in {COLOURS.get(name) for name in names}]
    others = cycle(unused or PALETTE)
    return {name: COLOURS.get(name) or next(others) for name in names}


def panels(rows: int, columns: int, title: str, packed: bool = False) -> tuple[Figure, np.ndarray]:
    """A 16:9 figure and its axes (rows, columns). pyplot does not know the figure, so it is never shown twice.

    Args:
        rows, columns: of the grid, at least 1.
        title: of the figure, wrapped to its width.
        packed: for images: without ticks, and close together.
    """
    figure = Figure(SLIDE_IN, layout="compressed" if packed else "constrained")
    figure.get_layout_engine().set(rect=(0, NOTE_SHARE, 1, 1 - NOTE_SHARE))  # type: ignore[union-attr, call-arg]
    if title:
        figure.suptitle(wrapped(title, 11))
    bare = {"xticks": [], "yticks": [], "frame_on": False} if packed else {}  # ticks cost a third of the drawing time
    return figure, figure.subplots(max(1, rows), max(1, columns), squeeze=False, subplot_kw=bare)


def wrapped(text: str, width_in: float) -> str:
    """Text in lines of a width in inches; formulas without spaces stay whole."""
    split = partial(textwrap.wrap, width=max(8, int(6.6 * width_in)), break_long_words=False, break_on_hyphens=False)
    return "\n".join(part for line in text.split("\n") for part in split(line))


def add_legend(figure: Figure) -> None:
    """One legend below the axes and above the note, that has each label of all axes once."""
    found = [pair for axes in figure.axes for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    handles = {label: handle for handle, label in found}
    if handles:
        look: Any = {"ncols": min(len(handles), 5), "borderaxespad": NOTE_SHARE * SLIDE_IN[1] * 72 / TEXT_PT}
        figure.legend(list(handles.values()), list(handles), loc="outside lower center", **look)


def add_scale_bar(axes: Axes, mpp: float, width_px: int) -> None:
    """Draw a bar of a round number of microns below the image, where it hides no tissue.

    Args:
        axes: shows the image.
        mpp: microns per pixel.
        width_px: width of the image.
    """
    length_um = max((n for n in (2, 5, 10, 20, 50, 100, 200, 500, 1000) if n / mpp < 0.4 * width_px), default=1)
    below = ScaledTranslation(0, -0.2, axes.figure.dpi_scale_trans)
    where: Any = {"transform": blended_transform_factory(axes.transData, axes.transAxes) + below, "clip_on": False}
    end = length_um / mpp - 0.5
    axes.add_artist(Line2D([-0.5, end], [0, 0], color="black", linewidth=5, solid_capstyle="butt", **where))
    axes.text(end, 0, f" {length_um} µm", va="center", **where)


def save_figure(
    figure: Figure, name: str, folder: str | Path, about: Mapping[str, Any] | None = None, note: str = ""
) -> list[Path]:
    """Write `name.png` (2667 x 1500 px) and `name.pdf`, each whole or not at all, and return their paths.

    Args:
        figure: to save.
        name, folder: where to save it.
        about: plain values, stored in the PNG as JSON under "Description".
        note: grey text in the bottom right corner of the saved files.
    """
    paths = [Path(folder) / f"{name}.png", Path(folder) / f"{name}.pdf"]
    stamps = {"Software": None, "Description": json.dumps(dict(about or {}))}, {"CreationDate": None, "ModDate": None}
    with style():
        text = figure.text(0.995, 0.012, note, color="#666666", ha="right")
        for path, metadata in zip(paths, stamps, strict=True):
            with replacing(path) as temporary:
                figure.savefig(temporary, format=path.suffix[1:], dpi=SAVED_DPI, metadata=metadata)
        text.remove()
    return paths


def contact_sheet(pictures: Sequence[tuple[str, Image.Image]], cell_px: int = 420) -> Image.Image:
    """Named pictures on one RGB page, four in a row, each fitted into a cell of 3:2; without pictures a white cell."""
    columns = max(1, min(4, len(pictures)))
    height, label = cell_px * 2 // 3, 26
    size = columns * cell_px, max(1, -(-len(pictures) // columns)) * (height + label)
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for i, (name, picture) in enumerate(pictures):
        left, top = i % columns * cell_px, i // columns * (height + label)
        small = ImageOps.pad(picture.convert("RGB"), (cell_px - 16, height - 8), color="white")
        sheet.paste(small, (left + 8, top + 4))
        draw.text((left + cell_px // 2, top + height), name, fill="black", font=font, anchor="ma")
    return sheet
