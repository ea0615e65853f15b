"""Splits keep each group in one part, and the leak check compares folds, images and blocks of ids."""

from pathlib import Path

import numpy as np
import pytest

from histolib.data import InstanceSample
from histolib.data.samples import InstanceReader
from histolib.data.splits import in_groups, leaked_groups, read_split, split_ids
from histolib.imaging import Patch

COMMITTED = sorted((Path(__file__).parents[2] / "data/splits").glob("*.json"))


class Five(InstanceReader):
    groups = ("a", "b", "a", "c", "b")

    def _read(self, index):
        image = np.full((2, 2, 3), index, np.uint8)
        return InstanceSample(Patch(image, 0.25, str(index)), np.zeros((2, 2), int), np.zeros(0, int), "", "")


def test_groups_stay_together_and_official_folds_test_each_tile_once():
    subset = in_groups(Five(range(5)), ["b", "c"])
    assert ([sample.patch.name for sample in subset], subset.groups) == (["1", "3", "4"], ("b", "c", "b"))
    assert len(in_groups(Five(range(5)), [])) == 0
    with pytest.raises(ValueError, match="expected groups out of a, b, c, found no d"):
        in_groups(Five(range(5)), ["a", "d"])
    parts = split_ids([3, 3, 5, 9, 20, 21], {"train": ["20-21", "1-3"], "val": ["4-9"], "test": []})
    assert parts == {"train": [0, 1, 4, 5], "val": [2, 3], "test": []}
    splits = [read_split(path) for path in COMMITTED if path.stem.startswith("pannuke")]
    folds = [" ".join(split["train"] + split["val"] + split["test"]) for split in splits]
    assert folds == ["fold1 fold2 fold3", "fold2 fold1 fold3", "fold3 fold2 fold1"]
    ids = [321, 714, 721, 784, 945, 1081, 1574, 1595]
    folds = [split_ids(ids, read_split(path)) for path in COMMITTED if path.stem.startswith("endonuke")]
    assert sorted(position for fold in folds for position in fold["test"]) == list(range(8))
    assert all(sorted(position for part in fold.values() for position in part) == list(range(8)) for fold in folds)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_every_committed_split_keeps_its_parts_apart(path):
    split = read_split(path)
    assert split["train"]
    assert path.stem.endswith("_all") or all(split.values()), "only pretrained weights use all groups"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((text, "found another or a damaged file") for text in ("{", "[]", '{"train": ["a"]}')),
        ('{"train": ["a"], "val": ["b"], "test": ["a"]}', "every group once, found a more than once"),
    ],
)
def test_missing_and_other_json_is_refused(tmp_path, text, message):
    path = tmp_path / "split.json"
    with pytest.raises(FileNotFoundError, match=r"split\.json: expected a split"):
        read_split(path)
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"split\.json: .*{message}"):
        read_split(path)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"train": ["run1"]}, "such as 321-784, found 'run1'"),
        ({"train": ["30-40"]}, "ids 30-40, found none in 3-21"),
        ({"train": ["1-9"], "val": ["5-20"]}, "found 5 in 1-9 and 5-20"),
    ],
)
def test_wrong_empty_and_overlapping_blocks_are_named(split, message):
    with pytest.raises(ValueError, match=message):
        split_ids([3, 5, 20, 21], split)


@pytest.mark.parametrize(
    ("scored", "seen", "leaked"),
    [
        (["fold1", "fold2"], ["fold2", "fold3"], ["fold2"]),
        (["350", "945", "350"], ["321-784"], ["350"]),
        (["321-400", "1-5"], ["400-784"], ["321-400"]),
        (["train_1"], ["1-5"], []),
        (["fold1"], [], []),
        (["fold1"], None, None),
        ([], ["fold1"], []),
    ],
)
def test_leaked_groups_are_those_that_were_seen_in_whole_or_in_part(scored, seen, leaked):
    assert leaked_groups(scored, seen) == leaked
