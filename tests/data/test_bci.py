"""BCI: pairs by name, and one clear error for each kind of damage."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histolib.data import BCI


def write(path: Path, value: int = 0, size: tuple[int, int] = (6, 4)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 10, 20)).save(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(["train/00001_train_3+", "train/00000_train_0", "test/00000_test_1+"]):
        for offset, stain in enumerate(("HE", "IHC")):
            write(tmp_path / stain / f"{name}.png", 10 * number + offset)
    return tmp_path


def test_pairs_come_in_order_and_damaged_ones_are_errors_on_access(root):
    pairs = BCI(root, "train")
    assert [pair.name for pair in pairs] == ["00000_train_0", "00001_train_3+"]
    assert ([pair.level for pair in pairs], pairs.marker) == (["0", "3+"], "membrane")
    first = pairs[0]
    assert first.he.image.shape == first.ihc.image.shape == (4, 6, 3)
    assert (first.he.image[0, 0, 0], first.ihc.image[0, 0, 0]) == (10, 11)
    assert first.he.mpp == first.ihc.mpp == 0.46
    with pytest.raises(FileNotFoundError, match="val: expected a folder, found nothing"):
        BCI(root, "val")
    write(root / "IHC/train/00000_train_0.png", size=(5, 4))
    pairs = BCI(root)
    assert pairs[1].level == "3+"
    with pytest.raises(ValueError, match=r"IHC/train/00000_train_0\.png: expected 6 x 4 px like its H&E .*found 5 x 4"):
        pairs[0]
    (root / "HE/train/00000_train_0.png").write_text("no image")
    with pytest.raises(ValueError, match=r"HE/train/00000_train_0\.png: expected an 8-bit image"):
        pairs[0]


def test_without_a_split_both_are_read_hidden_files_are_skipped_and_indices_are_those_of_a_list(root):
    (root / "HE/train/._00000_train_0.png").write_bytes(b"\0")
    pairs = BCI(root)
    assert pairs.names == ("00000_train_0", "00001_train_3+", "00000_test_1+")
    assert pairs[-1].name == pairs[np.int64(2)].name == "00000_test_1+"
    assert [pair.name for pair in pairs[1:]] == list(pairs.names[1:])
    for index in (3, -4):
        with pytest.raises(IndexError, match="out of range"):
            pairs[index]
    (root / "BCI_dataset").mkdir()
    for stain in ("HE", "IHC"):
        (root / stain).rename(root / "BCI_dataset" / stain)
    assert len(BCI(root)) == 3, "the folder of the archive is found"
    for path in root.glob("BCI_dataset/*/test/*"):
        path.unlink()
    assert list(BCI(root, "test")) == []


def add(stains, *names):
    return lambda root: [write(root / stain / "train" / f"{name}.png") for stain in stains for name in names]


@pytest.mark.parametrize(
    ("harm", "error", "message"),
    [
        (lambda root: (root / "HE/train/00001_train_3+.png").unlink(), FileNotFoundError, r"missing HE/train/00001_tr"),
        (lambda root: (root / "IHC/train/00001_train_3+.png").unlink(), FileNotFoundError, r"missing IHC/train/00001"),
        (add(["HE"], *(f"000{i}_train_0" for i in range(10, 30))), FileNotFoundError, r"00010_train_0.* and 15 more"),
        (lambda root: (root / "IHC").rename(root / "DAB"), FileNotFoundError, "expected HE and IHC, found no IHC"),
        (lambda root: shutil.rmtree(root / "IHC/test"), FileNotFoundError, "IHC/test: expected a folder, found noth"),
        (shutil.rmtree, FileNotFoundError, "expected a folder, found nothing"),
        *(
            (add(["HE", "IHC"], name), ValueError, rf"{re.escape(name)}\.png: expected a name like 00000_train_1\+")
            for name in ("00002_train_4+", "00002_test_1+", "ab_7", "00002_train_")
        ),
    ],
)
def test_missing_partners_and_wrong_names_are_refused_on_opening(root, harm, error, message):
    harm(root)
    with pytest.raises(error, match=message):
        BCI(root)


def test_real_pairs_are_read(real_data):
    pairs = list(BCI(real_data / "bci", "test"))
    assert (len(pairs), {pair.he.image.shape for pair in pairs}) == (8, {(1024, 1024, 3)})
    assert sorted({pair.level for pair in pairs}) == ["0", "1+", "2+", "3+"]
