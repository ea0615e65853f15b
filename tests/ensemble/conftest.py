"""A data set small enough to count by hand, and routes that find what they are told to."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histolib.config import MARKERS
from histolib.ensemble import ROUTES, Nuclei, Route, commands
from histolib.imaging import Patch

# Tile -> its side in pixels (100 microns each), annotated points, and the points that the planted route finds.
TILES: dict[str, tuple[int, list, list]] = {
    "1": (200, [(10, 10), (50, 50), (100, 100)], [(12, 10), (50, 57)]),  # 1 micron off, 3.5 microns off
    "2": (200, [], [(5, 5)]),
    "3": (400, [(40, 40)], [(44, 43), (300, 300)]),  # 5 px are 1.25 microns here
}


def plant(xy: list) -> Nuclei:
    return Nuclei(np.array(xy, float).reshape(-1, 2), np.full(len(xy), 0.5))


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The route `planted` finds the third column of `TILES`."""
    route = Route("planted", lambda patch, marker, models: plant(TILES[patch.name][2]))
    monkeypatch.setitem(ROUTES, "planted", route)


@pytest.fixture
def route_that(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Patch], Nuclei]], None]:
    """Put a function from a patch to its nuclei in the place of the route `log`, and make that the default."""
    monkeypatch.setattr(commands, "DEFAULT_ROUTES", dict.fromkeys(MARKERS, "log"))

    def put(run: Callable[[Patch], Nuclei]) -> None:
        monkeypatch.setitem(ROUTES, "log", Route("fake", lambda patch, marker, models: run(patch)))

    return put


@pytest.fixture
def endonuke(tmp_path: Path) -> Path:
    """`TILES` in EndoNuke's official layout."""
    images, labels = tmp_path / "set/dataset/images", tmp_path / "set/dataset/labels/bulk/ann"
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    for name, (size, points, _) in TILES.items():
        Image.new("RGBA", (size, size), (230, 220, 225, 255)).save(images / f"{name}.png")
        (labels / f"{name}.txt").write_text("".join(f"{x} {y} 0\n" for x, y in points))
    return tmp_path / "set"
