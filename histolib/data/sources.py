"""Where each data set lives, what it may be used for and how it is had: facts, read from `sources.json`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

__all__ = ["Source", "sources"]


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of a data set or of published weights.

    Attributes:
        name: short name, and the name of its folder.
        kind: data or weights.
        what: content, counts and sizes.
        home: page of its authors.
        urls: files to download; empty where only a person can.
        by_hand: steps for a person; `{folder}` and `{archive}` stand for where things go.
        licence: of the data or weights.
        citation: what to cite.
        size: size on disk in words, None where unpublished.
        bytes: size of each file of `urls`, None where unpublished.
        checksum: `algorithm:hex` of each file of `urls`, None where unpublished.
        mpp: microns per pixel, None where it differs from image to image.
        layout: official layout of the files.
        unpack: whether what is downloaded is an archive to unpack (PanNuke's zips are read as they are).
    """

    name: str
    kind: str
    what: str
    home: str
    urls: tuple[str, ...]
    by_hand: tuple[str, ...]
    licence: str
    citation: str
    size: str | None
    bytes: tuple[int, ...] | None
    checksum: tuple[str, ...] | None
    mpp: float | None
    layout: str
    unpack: bool

    def folder(self, root: str | Path) -> Path:
        """Where the set belongs below the data folder `root`."""
        return Path(root) / self.name

    def archive(self, root: str | Path) -> Path:
        """Where an archive to unpack belongs below the data folder `root`."""
        return Path(root) / f"{self.name}.zip"

    def steps(self, root: str | Path) -> list[str]:
        """What a person has to do, with the places below `root` filled in; empty where a download does it."""
        places = {"{folder}": str(self.folder(root)), "{archive}": str(self.archive(root))}
        return [re.sub("{folder}|{archive}", lambda found: places[found[0]], step) for step in self.by_hand]


def sources() -> dict[str, Source]:
    """Every known source by name."""
    table = json.loads(files("histolib.data").joinpath("sources.json").read_text("utf-8"))
    return {name: Source(name=name, **{key: _frozen(fact) for key, fact in table[name].items()}) for name in table}


def _frozen(fact: Any) -> Any:
    return tuple(fact) if isinstance(fact, list) else fact
