"""Downloads that survive a cut line, and archives that cannot write outside their folder."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import lzma
import os
import re
import shutil
import stat
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from email.message import Message
from pathlib import Path, PurePosixPath
from typing import IO
from uuid import uuid4

from tqdm import tqdm

from histolib.data.sources import Source

__all__ = ["download", "fetch", "unpack"]

CHUNK = 1 << 20
TIMEOUT_S = 60
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)


def download(source: Source, root: str | Path, progress: bool = True) -> Path:
    """Fetch a source's files into its folder below `root`, or fetch its archive and unpack it there.

    What is there already is kept. An archive that someone put where `source.archive(root)` says is unpacked.

    Args:
        source: one of `sources()`.
        root: the data folder.
        progress: show bars on stderr.

    Returns:
        The folder of the set.

    Raises:
        ValueError: only a person can get it (the message says how), or as `fetch` and `unpack`.
        OSError: as `fetch` and `unpack`.
    """
    folder, archive = source.folder(root), source.archive(root)
    if (source.unpack or not source.urls) and folder.is_dir() and any(folder.iterdir()):
        return folder  # unpacking is all or nothing, so the set is whole
    if not source.urls and not (source.unpack and archive.is_file()):
        steps = "; ".join(f"({number}) {step}" for number, step in enumerate(source.steps(root), 1))
        raise ValueError(
            f"{source.name}: expected files in {folder}, found none, and only a person can get them: {steps}. "
            f"{source.what}; licence: {source.licence}"
        )
    for number, url in enumerate(source.urls):
        target = archive if source.unpack else folder / PurePosixPath(url).name
        size = source.bytes[number] if source.bytes else None
        fetch(url, target, size, source.checksum[number] if source.checksum else None, progress)
    return unpack(archive, folder) if source.unpack else folder


def fetch(
    url: str, path: str | Path, size: int | None = None, checksum: str | None = None, progress: bool = True
) -> Path:
    """Download a file to `path`, going on where an earlier attempt stopped.

    What has come so far lies in `<path>.part`, also after an error; `path` appears once size and checksum are right.
    A `path` that is already there is checked and kept.

    Args:
        url: http or https.
        path: the file to make; its folder is made too.
        size: published size in bytes; without it the server's word counts.
        checksum: published checksum, `sha256:...` or another algorithm of hashlib.
        progress: show a bar on stderr.

    Raises:
        OSError: the server or the line failed, or the transfer ended early.
        ValueError: the size or the checksum is wrong, or the server sent a web page.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    if path.exists():
        _check(path, url, size, checksum)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        total = _transfer(url, part, progress)
    except urllib.error.HTTPError as error:
        raise OSError(f"{url}: expected the file, the server answered {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise OSError(f"{url}: the transfer failed ({reason}); run again to go on from {part}") from None
    found = part.stat().st_size
    if total is not None and found < total:
        raise OSError(f"{url}: expected {total} bytes, found {found}; run again to go on from {part}")
    _check(part, url, total if size is None else size, checksum)
    os.replace(part, path)
    return path


def _transfer(url: str, part: Path, progress: bool) -> int | None:
    """Append what is missing to `part`; return the size that the server announced."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and "Content-Range" in error.headers:
            return _total(error.headers, start)  # nothing left to send: the size of the whole says if that is right
        raise
    with response:
        if response.headers.get_content_type() == "text/html":
            raise ValueError(f"{url}: expected a file, found a web page (a form or a login): get it in a browser")
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            start = 0  # a server without ranges sends everything again
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise OSError(f"expected bytes from {start}, found {response.headers.get('Content-Range')}")
        total = _total(response.headers, start)
        bar = tqdm(total=total, initial=start, desc=part.stem, unit="B", unit_scale=True, disable=not progress)
        with bar, part.open("ab" if start else "wb") as file:
            while block := response.read(CHUNK):
                file.write(block)
                bar.update(len(block))
    return total


def _total(headers: Message, start: int) -> int | None:
    found = re.fullmatch(r"bytes .*/(\d+)", headers.get("Content-Range", ""))
    if found:
        return int(found[1])
    length = headers.get("Content-Length")
    return start + int(length) if length else None


def _check(path: Path, url: str, size: int | None, checksum: str | None) -> None:
    found_size = path.stat().st_size
    if size is not None and found_size != size:
        raise ValueError(f"{path}: expected {size} bytes of {url}, found {found_size}; delete it to start over")
    if checksum is not None:
        algorithm, _, expected = checksum.partition(":")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, algorithm).hexdigest()
        if found != expected.lower():
            raise ValueError(f"{path}: expected {checksum} of {url}, found {found}; delete it to start over")


def unpack(archive: str | Path, folder: str | Path) -> Path:
    """Unpack a zip or tar archive into a new folder, which appears once it is whole.

    Args:
        archive: the file; the kind is found from its content.
        folder: the folder to make; it may exist if it is empty.

    Returns:
        `folder`.

    Raises:
        FileNotFoundError: there is no such archive.
        FileExistsError: the folder holds something.
        ValueError: the archive is damaged, or a member is a link or would land outside the folder; nothing is left.
    """
    archive, folder = Path(archive), Path(folder)
    if not archive.is_file():
        raise FileNotFoundError(f"{archive}: expected an archive, found nothing")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder}: expected nothing there yet, found files; move them away to unpack {archive}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}.part")
    try:
        temporary.mkdir()
        for name, content in _members(archive):
            target = temporary / name
            (target.parent if content else target).mkdir(parents=True, exist_ok=True)
            if content:
                with content, target.open("wb") as file:
                    shutil.copyfileobj(content, file, CHUNK)
        if folder.exists():
            folder.rmdir()
        os.replace(temporary, folder)
    except DAMAGE as error:
        reason = next(iter(str(error).splitlines()), "cut short")
        raise ValueError(f"{archive}: expected a whole archive, found a damaged one ({reason})") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Name and content of each member, None for a folder; a generator, so that a member is open only in its turn."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for entry in zipped.infolist():
                name = _safe(entry.filename, stat.S_ISLNK(entry.external_attr >> 16), archive)
                yield name, None if entry.is_dir() else zipped.open(entry)
        return
    with tarfile.open(archive) as tarred:
        for member in tarred:
            name = _safe(member.name, not (member.isfile() or member.isdir()), archive)
            yield name, tarred.extractfile(member)


def _safe(name: str, is_link: bool, archive: Path) -> str:
    if is_link:
        raise ValueError(f"{archive}: expected files and folders, found {name!r}, which is a link or a device")
    if name.startswith("/") or "\\" in name or ":" in name or ".." in PurePosixPath(name).parts:
        raise ValueError(f"{archive}: expected members inside the folder, found {name!r}")
    return name
