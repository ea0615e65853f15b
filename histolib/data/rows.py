"""One row of a large .npy file at a time, so that a fold of PanNuke never lies in memory."""

from __future__ import annotations

import math
import os
import sys
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

__all__ = ["Rows"]

DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)


class Rows:
    """Rows of one .npy file, on disk or inside a zip, one at a time.

    Args:
        path: the .npy file, or the zip.
        member: name of the .npy file inside the zip.

    Raises:
        FileNotFoundError: there is no such file or member.
        ValueError: it is damaged, cut short, or no plain array in C order.
    """

    def __init__(self, path: Path, member: str = "") -> None:
        self._path, self._member = path, member
        self._stream: tuple[int, IO[bytes]] | None = None
        self._whole = sys.maxsize  # rows before a damage in the zip; all after it are lost
        if not path.is_file():
            raise FileNotFoundError(f"{path}: expected a .npy file, found nothing")
        try:
            with self._open() as file:
                self.shape, fortran, self.dtype = _read_header(file)
                self._offset = file.tell()
            size = zipfile.ZipFile(path).getinfo(member).file_size if member else path.stat().st_size
        except KeyError:
            raise FileNotFoundError(f"{path}: expected the member {member}, found none") from None
        except (ValueError, *DAMAGE) as error:
            raise ValueError(f"{self}: expected a .npy file, found a damaged one ({error})") from None
        if fortran or self.dtype.hasobject:
            raise ValueError(f"{self}: expected plain numbers in C order, found {self.dtype}, Fortran order {fortran}")
        expected = self._offset + math.prod(self.shape) * self.dtype.itemsize
        if size < expected:
            raise ValueError(f"{self}: expected {expected} bytes, found {size}: the file is cut short")

    def __str__(self) -> str:
        return f"{self._path}:{self._member}" if self._member else str(self._path)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_stream": None}  # a worker process opens its own

    def expect(self, kind: str, shape: tuple[int, ...]) -> int:
        """Check the kind of the numbers (f, u or U) and the shape of a row; return the number of rows."""
        if self.dtype.kind != kind or len(self.shape) < 1 or self.shape[1:] != shape:
            kinds = {"f": "float64", "u": "whole numbers", "U": "text"}
            wanted = ", ".join(("N", *map(str, shape)))
            raise ValueError(f"{self}: expected {kinds[kind]} ({wanted}), found {self.dtype} {self.shape}")
        return self.shape[0]

    def row(self, index: int) -> np.ndarray:
        """One row, read from disk; read-only.

        Raises:
            ValueError: the zip is damaged there.
        """
        if not self._member:
            # Mapped anew each time: nothing stays open, and a worker process never inherits a copy of the fold.
            return np.memmap(self._path, self.dtype, "r", self._offset, self.shape)[index]
        # A forked worker shares its parent's file position, so the process owns the stream.
        if self._stream is None or self._stream[0] != os.getpid():
            self._stream = os.getpid(), self._open()
        file, size = self._stream[1], math.prod(self.shape[1:]) * self.dtype.itemsize
        try:
            if index >= self._whole:
                raise EOFError(f"row {self._whole} could not be read")
            file.seek(self._offset + index * size)
            data = file.read(size)
        except DAMAGE as error:
            self._stream, self._whole = None, min(index, self._whole)
            raise ValueError(f"{self}: expected a whole file, found damage at row {index} ({error})") from None
        return np.frombuffer(data, self.dtype).reshape(self.shape[1:])

    def _open(self) -> IO[bytes]:
        return zipfile.ZipFile(self._path).open(self._member) if self._member else self._path.open("rb")


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    return np.lib.format.read_array_header_2_0(file)
