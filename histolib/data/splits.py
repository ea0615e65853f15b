"""Splits that keep each group (fold, image, slide) in one part, stored in a small JSON file, and the leak check."""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

from ..io import reading
from .samples import InstanceReader, InstanceSample, shorten

PARTS = ("train", "val", "test")


class Subset(InstanceReader):
    """Some samples of a data set, read on access."""

    def __init__(self, samples: InstanceReader, positions: Sequence[int]) -> None:
        super().__init__(positions)
        self.samples = samples
        self.groups = tuple(samples.groups[position] for position in positions)

    def _read(self, key: int) -> InstanceSample:
        return self.samples[key]


def in_groups(samples: InstanceReader, groups: Collection[str]) -> Subset:
    """Select the samples of some groups.

    Args:
        samples: the whole data set.
        groups: groups to keep; where groups are ids, also blocks such as "321-784".

    Raises:
        ValueError: no sample is in a group.
    """
    known = set(samples.groups)
    absent = sorted(group for group in groups if not any(within(one, [group]) for one in known))
    if absent:
        raise ValueError(f"expected groups out of {shorten(sorted(known))}, found no {shorten(absent)}")
    kept = {group for group in known if within(group, groups)}
    return Subset(samples, [position for position, group in enumerate(samples.groups) if group in kept])


def within(group: str, groups: Collection[str]) -> bool:
    """Whether a group is one of some groups, or an id in one of their blocks ("321-784", both ends included).

    >>> within("350", ["321-784"]), within("fold1", ["fold2"])
    (True, False)
    """
    return group in groups or (group.isdecimal() and any(int(group) in _block(name) for name in groups))


def leaked_groups(scored: Iterable[str], seen: Collection[str] | None) -> list[str] | None:
    """Groups of a test set that weights saw in training or checkpoint selection.

    Args:
        scored: groups of the scored samples: folds, images, ids or blocks of ids.
        seen: groups that the weights saw; None if unknown.

    Returns:
        Each scored group that was seen, entirely or in part, in the order given; None if `seen` is None.

    >>> leaked_groups(["350", "945-1081", "fold1"], ["321-784", "1000-1100", "fold2"]), leaked_groups(["350"], None)
    (['350', '945-1081'], None)
    """
    if seen is None:
        return None
    ids = {i for name in seen for i in _block(name)}
    return [group for group in dict.fromkeys(scored) if within(group, seen) or not ids.isdisjoint(_block(group))]


def _block(name: str) -> range:
    """Ids of a block; empty if the name is not a block."""
    ends = re.fullmatch(r"(\d+)-(\d+)", name)
    return range(int(ends[1]), int(ends[2]) + 1) if ends else range(0)


def split_ids(ids: Sequence[int], split: Mapping[str, Collection[str]]) -> dict[str, list[int]]:
    """Split samples by blocks of contiguous ids; in EndoNuke, a run of ids is the proxy for a slide.

    Args:
        ids: id of each sample; repeats (several annotators) stay together.
        split: blocks of each part, such as "321-784", both ends included.

    Returns:
        Positions in `ids` of each part, sorted.

    Raises:
        ValueError: a block is not a range, holds no sample, or shares a sample with another block.

    >>> split_ids([321, 322, 945, 946], {"train": ["321-330"], "test": ["945-946"]})
    {'train': [0, 1], 'test': [2, 3]}
    """
    block_of: dict[int, str] = {}
    for block in chain.from_iterable(split.values()):
        if not _block(block):
            raise ValueError(f"expected blocks of ids such as 321-784, found {block!r}")
        found = [position for position, i in enumerate(ids) if i in _block(block)]
        if not found:
            raise ValueError(f"expected samples with ids {block}, found none in {min(ids)}-{max(ids)}")
        shared = sorted(block_of.keys() & found)
        if shared:
            both = f"{block_of[shared[0]]} and {block}"
            raise ValueError(f"expected every id in one block, found {ids[shared[0]]} in {both}")
        block_of |= dict.fromkeys(found, block)
    return {part: [i for i in sorted(block_of) if block_of[i] in blocks] for part, blocks in split.items()}


def read_split(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Read a split: {"train": [...], "val": [...], "test": [...]} of groups; other keys are ignored.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the JSON has another form, or a group is in two parts.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "split.json")
    ...     size = path.write_text('{"train": ["321-714"], "val": ["721-784"], "test": ["945-1081"]}')
    ...     read_split(path)["test"]
    ('945-1081',)
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a split (JSON of {', '.join(PARTS)}), found nothing")
    with reading(path, f"JSON with lists {', '.join(PARTS)} of groups", ValueError, KeyError, TypeError):
        parts = {part: tuple(json.loads(path.read_text("utf-8"))[part]) for part in PARTS}
    groups = [group for part in parts.values() for group in part]
    repeated = sorted({group for group in groups if groups.count(group) > 1})
    if repeated:
        raise ValueError(f"{path}: expected every group once, found {shorten(repeated)} more than once")
    return parts
