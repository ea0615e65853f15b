"""A contact sheet: many pictures on one page, each with its name."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

__all__ = ["contact_sheet"]

LABEL_PX = 26


def contact_sheet(pictures: Sequence[tuple[str, Image.Image]], columns: int = 4, cell_px: int = 420) -> Image.Image:
    """Pictures by name in rows, each made to fit a cell.

    Args:
        pictures: name and picture.
        columns: of the sheet.
        cell_px: width of a cell; its height is two thirds of that, and the name stands below.

    Returns:
        RGB picture, white where there is nothing; a single white cell of no pictures.
    """
    columns = max(1, min(columns, len(pictures)))
    rows = max(1, -(-len(pictures) // columns))
    height = cell_px * 2 // 3
    sheet = Image.new("RGB", (columns * cell_px, rows * (height + LABEL_PX)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for i, (name, picture) in enumerate(pictures):
        left, top = i % columns * cell_px, i // columns * (height + LABEL_PX)
        small = picture.convert("RGB")
        small.thumbnail((cell_px - 16, height - 8))
        sheet.paste(small, (left + (cell_px - small.width) // 2, top + (height - small.height) // 2))
        draw.text((left + cell_px // 2, top + height), name, fill="black", font=font, anchor="ma")
    return sheet
