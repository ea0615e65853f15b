"""Facts about each data set, read from `sources.json`: address, licence, citation, download."""

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Source:
    """Facts about a data set or about published weights.

    Attributes:
        name: short name, and the name of its folder.
        what: content, counts and sizes.
        home: page of its authors.
        urls: files to download; empty if a person has to register or use a browser.
        manual_steps: steps for a person; `{folder}` and `{archive}` stand for paths.
        licence: licence of the data or weights.
        citation: what to cite.
        size: size on disk in words, None if unpublished.
        unpack: whether the download is an archive to unpack.
    """

    name: str
    what: str
    home: str
    urls: list[str]
    manual_steps: list[str]
    licence: str
    citation: str
    size: str | None
    unpack: bool

    def folder(self, root: str | Path) -> Path:
        """Folder of the data set below the data folder `root`."""
        return Path(root) / self.name

    def archive(self, root: str | Path) -> Path:
        """Path of the archive to unpack, below the data folder `root`."""
        return Path(root) / f"{self.name}.zip"

    def steps(self, root: str | Path) -> list[str]:
        """Manual steps with the paths below `root`; empty if a download needs none."""
        folder, archive = str(self.folder(root)), str(self.archive(root))
        return [step.replace("{folder}", folder).replace("{archive}", archive) for step in self.manual_steps]


def sources() -> dict[str, Source]:
    """Every known source by name."""
    table = json.loads(files(__package__).joinpath("sources.json").read_text("utf-8"))
    return {name: Source(name, **facts) for name, facts in table.items()}
