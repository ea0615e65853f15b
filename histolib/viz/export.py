"""Figures on disk: PNG for slides, PDF for print."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..config import replacing
from .style import style

__all__ = ["save_figure"]


def save_figure(
    figure: Figure,
    name: str,
    folder: str | Path,
    dpi: int = 200,
    about: Mapping[str, Any] | None = None,
    note: str = "",
) -> list[Path]:
    """Write `name.png` and `name.pdf` into the folder, each whole or not at all, and return their paths.

    Args:
        figure: to save; left as it was.
        name, folder: where.
        dpi: of the PNG.
        about: plain values that the PNG keeps, as JSON under "Description".
        note: small grey words below the saved figure.
    """
    written = []
    with style():
        words = figure.text(0.5, -0.03, note, ha="center", va="top", fontsize=10, color="#777777") if note else None
        for kind in ("png", "pdf"):
            path = Path(folder) / f"{name}.{kind}"
            stamp: dict[str, Any] = {"Software": None} if kind == "png" else {"CreationDate": None, "ModDate": None}
            if about and kind == "png":
                stamp |= {"Description": json.dumps(dict(about))}
            with replacing(path) as temporary:
                figure.savefig(temporary, format=kind, dpi=dpi, metadata=stamp)
            written.append(path)
        if words is not None:
            words.remove()
    return written
