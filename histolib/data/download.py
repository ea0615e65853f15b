"""Downloads of data sets, and zips that cannot write outside their folder."""

import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ..io import reading, replacing
from .sources import Source


def download(source: Source, root: str | Path, progress: bool = True) -> Path:
    """Download the files of a source into its folder below `root`, or its archive and unpack it there.

    Existing files are kept. An archive that a person saved at `source.archive(root)` is unpacked.

    Args:
        source: one of `sources()`.
        root: the data folder.
        progress: show bars on stderr.

    Returns:
        The folder of the data set.

    Raises:
        ValueError: a person has to get it (the message lists the steps), or as `fetch` and `extract`.
        OSError: as `fetch`.
    """
    folder, archive = source.folder(root), source.archive(root)
    if (source.unpack or not source.urls) and folder.is_dir() and any(folder.iterdir()):
        return folder  # unpacking is all or nothing, so the data set is complete
    if not source.urls and not (source.unpack and archive.is_file()):
        steps = "; ".join(f"({number}) {step}" for number, step in enumerate(source.steps(root), 1))
        about = f"this data set requires manual steps: {steps}. {source.what}; licence: {source.licence}"
        raise ValueError(f"{folder}: expected files, found none, and {about}")
    for url in source.urls:
        fetch(url, archive if source.unpack else folder / PurePosixPath(url).name, progress)
    if source.unpack:
        with replacing(folder, folder=True) as temporary:
            extract(archive, temporary)
    return folder


def fetch(url: str, path: Path, progress: bool = True) -> None:
    """Download a file to `path`, which appears when it is complete; an existing file is kept.

    Args:
        url: http or https.
        path: target; its folder is made.
        progress: show a bar on stderr.

    Raises:
        OSError: the server or the connection failed, or the transfer ended early.
        ValueError: the server sent a web page.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(progressbar=progress, timeout=60)
    try:
        pooch.retrieve(url, None, path.name, path.parent, downloader=downloader)
    except OSError as error:
        raise OSError(f"{url}: expected a complete download, found an error ({error})") from None
    with path.open("rb") as file:
        start = file.read(1024)
    if b"<html" in start.lower():
        path.unlink()
        raise ValueError(f"{url}: expected a file, found a web page (a form or a login); use a browser")


def extract(archive: Path, folder: Path, members: Sequence[str] | None = None) -> None:
    """Extract some or all members of a zip into a folder.

    Raises:
        FileNotFoundError: a member is missing.
        ValueError: the archive is damaged, or a member would leave the folder.
    """
    with (
        reading(archive, "a zip", zipfile.BadZipFile, zlib.error, EOFError, RuntimeError),
        zipfile.ZipFile(archive) as zipped,
    ):
        for entry in zipped.infolist():
            name = entry.filename.replace("\\", "/")
            outside = name.startswith("/") or ":" in name or ".." in name.split("/")
            if outside or stat.S_ISLNK(entry.external_attr >> 16):
                raise ValueError(f"{archive}: expected files inside the folder, found {entry.filename!r}")
        missing = sorted(set(members or ()) - set(zipped.namelist()))
        if missing:
            raise FileNotFoundError(f"{archive}: expected the files of a fold, found no {', '.join(missing)}")
        zipped.extractall(folder, members)
