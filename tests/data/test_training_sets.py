"""Training sets: readers by layout, splits by run and fold, and groups that were seen."""

import json

import numpy as np
import pytest
from PIL import Image

from histolib.data import EndoNuke, PanNuke, Patches, split_runs
from histolib.data.endonuke import PointDiscs
from histolib.data.training_sets import open_outlined, open_stain, training_groups
from histolib.imaging import Patch


@pytest.fixture
def consep(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for k in range(16):
        Image.new("RGB", (256, 256)).save(tmp_path / f"images/train_1_{k:03d}.png")
        Image.fromarray(np.zeros((256, 256), np.uint16)).save(tmp_path / f"labels/train_1_{k:03d}.png")
    (tmp_path / "types.json").write_text(json.dumps({f"train_1_{k:03d}": {} for k in range(16)}))
    return tmp_path


@pytest.mark.parametrize("given", [True, False], ids=["by name", "by files"])
def test_every_layout_is_opened_with_its_reader_and_its_types(phantoms, consep, given):
    roots = {"pannuke": phantoms["pannuke"], "consep": consep, "endonuke": phantoms["endonuke"]}
    opened = {name: open_outlined(root, name if given else None) for name, root in roots.items()}
    assert isinstance(opened["pannuke"][0], PanNuke)
    assert opened["pannuke"][1] == ["neoplastic", "inflammatory", "connective", "dead", "epithelial"]
    assert isinstance(opened["endonuke"][0], PointDiscs)
    assert opened["endonuke"][1] == ["stroma", "epithelium", "other"]
    assert (opened["consep"][0].groups, opened["consep"][1][0]) == (("train_1",), "miscellaneous")


@pytest.mark.parametrize(
    ("folder", "layout", "message"),
    [
        ("endonuke", "consep", r"endonuke: expected images and labels and types\.json, found no images"),
        ("endonuke/dataset", "consep", r"dataset: expected images and labels and types\.json, found no types\.json"),
        ("endonuke", "pannuke", r"endonuke: expected a folder 'Fold 1' or fold_1\.zip, found neither"),
        ("pannuke", "endonuke", "pannuke: expected images and labels, found no images"),
        ("nowhere", "consep", "nowhere: expected a folder, found nothing"),
    ],
)
def test_a_folder_of_another_layout_is_refused(phantoms, folder, layout, message):
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        open_outlined(phantoms["pannuke"].parent / folder, layout)


def test_splits_select_training_and_validation_else_the_last_run_and_fold_are_held_out(phantoms, tmp_path):
    tiles = EndoNuke(phantoms["endonuke"])
    patches = Patches(tiles, [0, 4])
    assert len(patches) == 2
    assert isinstance(patches[1], Patch)
    np.testing.assert_array_equal(patches[1].image, tiles[4].patch.image)
    assert [patch.name for patch in patches[:]] == [patch.name for patch in patches]
    ihc, he = open_stain(phantoms["endonuke"], "ihc"), open_stain(phantoms["pannuke"], "he")
    assert (len(ihc.patches), ihc.groups, ihc.validation) == (6, ("1000-1002", "2000-2002"), ())
    assert (len(he.patches), he.groups) == (6, ("fold1", "fold2"))
    assert training_groups(PanNuke(phantoms["pannuke"])) == ("fold1", "fold2")
    assert he.description == "pannuke: fold1, fold2"
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": ["1000-1002"], "val": ["2000-2002"], "test": ["3000-3002"]}))
    chosen = open_stain(phantoms["endonuke"], "ihc", split)
    assert [patch.name for patch in chosen.patches] == ["1000", "1001", "1002"]
    assert [sample.patch.name for sample in chosen.validation] == ["2000", "2001", "2002"]
    assert chosen.groups == ("1000-1002", "2000-2002")
    assert chosen.description == "endonuke: 1000-1002; validation: 2000-2002"
    split.write_text(json.dumps({"train": ["fold3"], "val": [], "test": ["fold1"]}))
    assert open_stain(phantoms["pannuke"], "he", split).groups == ("fold3",)


@pytest.mark.parametrize("ids", [[1, 2, 3, 500, 501, 1000, 1001, 1002], [1, 1, 500, 500, 1000]])
def test_runs_and_annotations_of_a_tile_stay_together_and_one_run_cannot_be_split(ids):
    train, test = split_runs(ids)
    assert {ids[i] for i in test} == {i for i in ids if i >= 1000}
    assert sorted(train + test) == list(range(len(ids)))
    with pytest.raises(ValueError, match="at least two runs, found one run of 3 tiles"):
        split_runs([1, 2, 3])


@pytest.mark.parametrize("stain", ["ihc", "he"])
def test_bci_has_its_own_split(phantoms, tmp_path, stain):
    pairs = open_stain(phantoms["bci"], stain)
    assert (len(pairs.patches), pairs.groups, pairs.patches[0].mpp) == (1, ("train",), 0.46)
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": ["train"], "val": [], "test": ["test"]}))
    with pytest.raises(ValueError, match=r"bci: expected no split, because BCI has its own, found .*split\.json"):
        open_stain(phantoms["bci"], stain, split)
