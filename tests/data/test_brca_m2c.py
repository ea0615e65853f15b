"""Reader of BRCA-M2C: row-first points, patients, the published split, and damaged files."""

import numpy as np
import pytest
from PIL import Image

from histolib.data import BRCAM2C
from histolib.data.endonuke import PointDiscs

NAMES = ("TCGA-A7-A0D9-01Z-00-DX2_1_1_10_10_0.98", "TCGA-A7-A0D9-01Z-00-DX2_2_2_10_10_0.98", "TCGA-B6-A0RS-01Z_3")


@pytest.fixture
def root(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for name, lines in zip(NAMES, ("5 30 1\n7 8 3\n", "", "1 2 2\n"), strict=True):
        Image.new("RGB", (40, 20), "white").save(tmp_path / f"images/{name}.png")
        (tmp_path / f"labels/{name}_gt_class_coords.txt").write_text(lines)
    (tmp_path / "brca_ds_val.txt").write_text(f"{NAMES[2]}.png\n")
    return tmp_path


def test_points_are_x_y_although_files_are_row_first_and_discs_number_the_types_from_one(root):
    sample, disc = BRCAM2C(root)[0], PointDiscs(BRCAM2C(root))[0]
    np.testing.assert_array_equal(sample.xy, [[30, 5], [8, 7]])
    np.testing.assert_array_equal(sample.types, [1, 3])
    assert (sample.patch.mpp, len(BRCAM2C(root)[1].xy)) == (0.5, 0)
    assert (disc.types.tolist(), disc.instances[5, 30]) == ([1, 3], 1)


def test_groups_are_patients_and_parts_are_the_published_lists(root):
    assert BRCAM2C(root).groups == ("TCGA-A7-A0D9", "TCGA-A7-A0D9", "TCGA-B6-A0RS")
    assert BRCAM2C(root, "val").groups == ("TCGA-B6-A0RS",)
    with pytest.raises(FileNotFoundError, match=r"brca_ds_train.txt: expected the list of the images .* found nothing"):
        BRCAM2C(root, "train")


def test_missing_labels_and_damaged_lines_are_named(root):
    labels = root / f"labels/{NAMES[0]}_gt_class_coords.txt"
    for text in ("5 30\n", "5 x 1\n", "30 5 1\n", "5 30 4\n"):  # the third point is outside: 20 rows
        labels.write_text(text)
        with pytest.raises(ValueError, match=r"TCGA.*txt: expected .* found"):
            BRCAM2C(root)[0]
    labels.unlink()
    with pytest.raises(FileNotFoundError, match="expected the labels of"):
        BRCAM2C(root)


def test_the_published_sets_share_two_patients(real_data):
    train, val = (BRCAM2C(real_data / "brca_m2c", part) for part in ("train", "val"))
    assert (len(train), len(val), sum(len(sample.xy) for sample in val)) == (80, 10, 3133)
    assert set(train.groups) & set(val.groups) == {"TCGA-A7-A0DB", "TCGA-A7-A13G"}
