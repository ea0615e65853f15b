"""Figures on disk: PNG for slides, PDF for print."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from ..config import replacing
from .style import style

__all__ = ["save_figure"]


def save_figure(figure: Figure, name: str, folder: str | Path, dpi: int = 200) -> list[Path]:
    """Write `name.png` at `dpi` and `name.pdf` into the folder, each whole or not at all, and return their paths."""
    written = []
    with style():
        for kind in ("png", "pdf"):
            path = Path(folder) / f"{name}.{kind}"
            stamp = {"Software": None} if kind == "png" else {"CreationDate": None, "ModDate": None}
            with replacing(path) as temporary:
                figure.savefig(temporary, format=kind, dpi=dpi, metadata=stamp)
            written.append(path)
    return written
