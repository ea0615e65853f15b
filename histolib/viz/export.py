"""Figures on disk: PNG for slides, PDF for print."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

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
        figure: to save.
        name, folder: where.
        dpi: of the PNG.
        about: plain values that the PNG keeps, as JSON under "Description".
        note: small grey words below the picture in the PNG, and the subject of the PDF.
    """
    written = []
    with style():
        for kind in ("png", "pdf"):
            path = Path(folder) / f"{name}.{kind}"
            stamp: dict[str, Any] = {"Software": None}
            if kind == "pdf":
                stamp = {"CreationDate": None, "ModDate": None, **({"Subject": note} if note else {})}
            elif about:
                stamp["Description"] = json.dumps(dict(about))
            with replacing(path) as temporary:
                figure.savefig(temporary, format=kind, dpi=dpi, metadata=stamp)
                if note and kind == "png":
                    _write_below(temporary, note, dpi)
            written.append(path)
    return written


def _write_below(path: Path, note: str, dpi: int) -> None:
    """Add a strip with small grey words below a PNG, which keeps what it says of itself."""
    with Image.open(path) as picture:
        strip = dpi // 6
        wider = Image.new("RGB", (picture.width, picture.height + strip), "white")
        wider.paste(picture.convert("RGB"))
        kept = PngImagePlugin.PngInfo()
        if "Description" in picture.info:
            kept.add_text("Description", picture.info["Description"])
    where = wider.width / 2, wider.height - strip / 2
    ImageDraw.Draw(wider).text(where, note, "#777777", ImageFont.load_default(dpi // 8), anchor="mm")
    wider.save(path, format="png", dpi=(dpi, dpi), pnginfo=kept)
