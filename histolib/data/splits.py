"""Splits by what must not be torn apart: lists of groups (folds, images, slides) in a small JSON file."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from histolib.data.samples import InstanceReader, InstanceSample, shorten

__all__ = ["PARTS", "Subset", "in_groups", "read_split", "split_ids", "within"]

PARTS = ("train", "val", "test")


class Subset(InstanceReader):
    """Some samples of a set, read when they are asked for."""

    def __init__(self, samples: InstanceReader, positions: Sequence[int]) -> None:
        self.samples, self.positions = samples, tuple(positions)

    @property
    def groups(self) -> tuple[str, ...]:
        """Group of each sample, without reading its image."""
        return tuple(self.samples.groups[position] for position in self.positions)

    def __len__(self) -> int:
        return len(self.positions)

    def _read(self, index: int) -> InstanceSample:
        return self.samples[self.positions[index]]


def in_groups(samples: InstanceReader, groups: Collection[str]) -> Subset:
    """The samples of some groups.

    Args:
        samples: the whole set.
        groups: which of them to keep; of samples whose groups are ids also blocks such as "321-784".

    Raises:
        ValueError: a group is not there.
    """
    there = set(samples.groups)
    absent = sorted(group for group in groups if not any(within(one, [group]) for one in there))
    if absent:
        raise ValueError(f"expected groups out of {shorten(sorted(there))}, found no {shorten(absent)}")
    kept = {group for group in there if within(group, groups)}
    return Subset(samples, [position for position, group in enumerate(samples.groups) if group in kept])


def within(group: str, groups: Collection[str]) -> bool:
    """Whether a group is one of some, or an id in one of their blocks ("321-784", both ends included).

    >>> within("350", ["321-784"]), within("fold1", ["fold2"])
    (True, False)
    """
    return group in groups or (group.isdecimal() and any(int(group) in _block(name) for name in groups))


def _block(name: str) -> range:
    """The ids of a block; empty where the name is none."""
    ends = re.fullmatch(r"(\d+)-(\d+)", name)
    return range(int(ends[1]), int(ends[2]) + 1) if ends else range(0)


def split_ids(ids: Sequence[int], split: Mapping[str, Collection[str]]) -> dict[str, list[int]]:
    """Part samples that have ids by blocks of contiguous ones, as EndoNuke's, where runs of ids stand in for slides.

    Args:
        ids: of each sample; repeats (several annotators) stay together.
        split: by part, blocks such as "321-784", both ends included.

    Returns:
        by part, the positions in `ids`, in order.

    Raises:
        ValueError: a block is no range, no sample is in it, or a sample is in two blocks.

    >>> split_ids([321, 322, 945, 946], {"train": ["321-330"], "test": ["945-946"]})
    {'train': [0, 1], 'test': [2, 3]}
    """
    parts: dict[str, list[int]] = {}
    taken: dict[int, str] = {}
    for part, blocks in split.items():
        parts[part] = []
        for block in blocks:
            held = _block(block)
            if not held:
                raise ValueError(f"expected blocks of ids such as 321-784, found {block!r}")
            found = [position for position, i in enumerate(ids) if i in held]
            if not found:
                raise ValueError(f"expected samples with ids {block}, found none in {min(ids)}-{max(ids)}")
            shared = next((position for position in found if position in taken), None)
            if shared is not None:
                raise ValueError(f"expected every id in one block, found {ids[shared]} in {taken[shared]} and {block}")
            taken |= dict.fromkeys(found, block)
            parts[part] += found
        parts[part].sort()
    return parts


def read_split(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Read a split: {"train": [...], "val": [...], "test": [...]} of groups, other keys ignored.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such JSON, or a group is in two parts.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "split.json")
    ...     size = path.write_text('{"train": ["321-714"], "val": ["721-784"], "test": ["945-1081"]}')
    ...     read_split(path)["test"]
    ('945-1081',)
    """
    path = Path(path)
    try:
        parts = {part: tuple(json.loads(path.read_text("utf-8"))[part]) for part in PARTS}
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: expected a split (JSON of {', '.join(PARTS)}), found nothing") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: expected lists {', '.join(PARTS)} of groups, found other JSON ({error})") from None
    groups = [group for part in parts.values() for group in part]
    twice = sorted({group for group in groups if groups.count(group) > 1})
    if twice:
        raise ValueError(f"{path}: expected every group once, found {shorten(twice)} twice")
    return parts
