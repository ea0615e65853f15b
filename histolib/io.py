"""Atomic writes, JSON results, and safetensors weights that carry their provenance."""

import hashlib
import json
import math
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

DIGITS = 6  # significant digits of numbers in JSON results


@dataclass(frozen=True)
class Provenance:
    """Where weights come from.

    Attributes:
        trained_on: data sets and split, in words.
        groups: every group (id block, image, fold) that training or checkpoint selection saw; None means unknown.
        details: further plain values for the card, such as settings and start weights.
    """

    trained_on: str = "unknown"
    groups: tuple[str, ...] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def card(self) -> dict[str, Any]:
        """Plain values for the metadata of a weights file."""
        groups = None if self.groups is None else sorted(set(self.groups))
        return {**self.details, "trained_on": self.trained_on, "groups": groups}

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Self:
        """Read a card; groups listed by stain are joined into one tuple."""
        groups = card.get("groups")
        if isinstance(groups, Mapping):
            groups = [name for names in groups.values() for name in names]
        details = {name: value for name, value in card.items() if name not in ("trained_on", "groups")}
        return cls(card.get("trained_on") or "unknown", None if groups is None else tuple(groups), details)


@contextmanager
def replacing(path: str | Path, folder: bool = False) -> Iterator[Path]:
    """Write a file, or a new folder, completely or not at all.

    Yields a temporary sibling path and renames it over `path` at the end. If the block raises (a full disk, for
    example), the temporary file is removed and the existing file is unchanged.

    Args:
        path: the file, or the folder, which must be absent or empty.
        folder: yield a folder that exists already.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        if folder:
            temporary.mkdir()
        yield temporary
        if not folder:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno and not error.filename:  # a full disk names no file
            error.filename = str(path)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True) if folder else temporary.unlink(missing_ok=True)


@contextmanager
def reading(path: str | Path, expected: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn the errors of a parser into a ValueError of one line that names the file and what was expected."""
    try:
        yield
    except errors as error:
        reason = " ".join(str(error).split())[:200] or "cut short"
        raise ValueError(f"{path}: expected {expected}, found another or a damaged file ({reason})") from None


def writable_folder(path: str | Path) -> Path:
    """Create the folder if needed and check that files can be written there, before any work starts.

    Raises:
        OSError: the folder cannot be created or written to; the message names it.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=path).close()
    except OSError as error:
        raise OSError(f"{path}: expected a writable folder, found none ({error.strerror})") from None
    return path


def plain(value: Any) -> Any:
    """Convert nested results to JSON values: six significant digits, and None for NaN and infinity."""
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def write_json(path: str | Path, results: Any) -> None:
    """Write results as JSON; an existing file survives a failure.

    Raises:
        OSError: the file cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(plain(results), indent=2, allow_nan=False) + "\n")


def commit_of(root: Path) -> str:
    """The commit of the checkout, marked if there are changes; empty outside git."""
    command = ["git", "-C", str(root), "describe", "--always", "--exclude=*", "--dirty=, with changes"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def file_digest(path: str | Path) -> str:
    """First 12 hexadecimal digits of the file's SHA-256."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def save_weights(path: str | Path, state: Mapping[str, "Tensor"], card: Mapping[str, Any]) -> None:
    """Write tensors and their card (plain JSON values) to one safetensors file, completely or not at all."""
    from safetensors.torch import save_file

    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"card": json.dumps(card, sort_keys=True)})


def load_network(path: str | Path, expected: str, build: Callable[..., "Module"]) -> tuple[Any, dict[str, Any]]:
    """Build a network from the "config" of its card, with the weights of `path`; returns it with the rest of the card.

    Args:
        path: file written by `save_weights` with a "config" in the card.
        expected: what the file should hold, for the message.
        build: called with the config as keyword arguments.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is damaged or contains other weights.
    """
    state, card = load_weights(path)
    with reading(path, expected, KeyError, TypeError, RuntimeError):
        network = build(**card.pop("config"))
        network.load_state_dict(state)
    return network, card


def load_weights(path: str | Path) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """Read the tensors and the card written by `save_weights`.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is damaged or has no card.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a weights file, found nothing")
    with reading(path, "a complete safetensors file", SafetensorError), safe_open(path, framework="pt") as file:
        card = (file.metadata() or {}).get("card")
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    if card is None:
        raise ValueError(f"{path}: expected weights with a card in their metadata, found none")
    return state, json.loads(card)
