"""PanNuke's reader: folders and zips give the same samples, a fold never lies in memory, damage has one clear error."""

import pickle
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from histolib.data import PanNuke
from histolib.data.pannuke import TISSUES, merge_channels

IMAGES, TYPES, MASKS = "images/fold{0}/images.npy", "images/fold{0}/types.npy", "masks/fold{0}/masks.npy"


def member(kind: str, fold: int = 1) -> str:
    return f"Fold {fold}/{kind.format(fold)}"


def save(root: Path, name: str, array: np.ndarray) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


def write_fold(root: Path, fold: int, count: int) -> None:
    """Patch i is grey i; nucleus 1 of channel 0 and nucleus 1 of channel i % 5 lie in opposite corners."""
    images, masks = np.zeros((count, 256, 256, 3)), np.zeros((count, 256, 256, 6))
    for i in range(count):
        images[i] = i
        masks[i, :2, :2, 0], masks[i, -3:, -3:, i % 5] = 1, 1 if i % 5 else 2
        masks[i, ..., 5] = masks[i].sum(-1) == 0
    save(root, member(IMAGES, fold), images)
    save(root, member(MASKS, fold), masks)
    save(root, member(TYPES, fold), np.array([TISSUES[i] for i in range(count)], dtype=str))


def pack(root: Path, fold: int, target: Path) -> None:
    with zipfile.ZipFile(target / f"fold_{fold}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted((root / f"Fold {fold}").rglob("*.npy")):
            archive.write(path, path.relative_to(root))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("pannuke")
    write_fold(root, 1, 3)
    write_fold(root, 2, 2)
    return root


@pytest.fixture(scope="module")
def zipped(whole, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("zips")
    for fold in (1, 2):
        pack(whole, fold, root)
    return root


@pytest.fixture
def root(tmp_path) -> Path:
    write_fold(tmp_path, 1, 2)
    return tmp_path


def test_samples_carry_image_instances_types_tissue_and_fold(whole):
    patches = PanNuke(whole, folds=(1,))
    assert len(patches) == 3
    sample = patches[2]
    assert (sample.tissue, sample.group, sample.patch.name, sample.patch.mpp) == (
        "Bladder",
        "fold1",
        "fold1_00002",
        0.25,
    )
    assert sample.patch.image.dtype == np.uint8
    assert (sample.patch.image == 2).all()
    assert sample.instances.dtype == np.int32
    assert sample.types.tolist() == [1, 3]
    np.testing.assert_allclose(sample.xy, [[0.5, 0.5], [254, 254]])
    assert np.count_nonzero(sample.type_map == 3) == 9


def test_folds_follow_each_other_in_the_order_asked_for(whole):
    assert PanNuke(whole).folds == (1, 2)
    patches = PanNuke(whole, folds=(2, 1))
    assert [sample.patch.name for sample in patches] == [
        f"fold{f}_0000{i}" for f, n in ((2, 2), (1, 3)) for i in range(n)
    ]
    assert patches.tissues == TISSUES[:2] + TISSUES[:3]
    assert patches.groups == ("fold2",) * 2 + ("fold1",) * 3
    assert patches[-1].tissue == "Bladder"


def test_zips_give_what_folders_give_in_any_order(whole, zipped):
    folders, zips = PanNuke(whole), PanNuke(zipped)
    assert len(zips) == len(folders) == 5
    for index in (0, 1, 2, 3, 4, 1, 4, 0):
        a, b = folders[index], zips[index]
        np.testing.assert_array_equal(a.patch.image, b.patch.image)
        np.testing.assert_array_equal(a.instances, b.instances)
        assert (a.types.tolist(), a.tissue, a.patch.name) == (b.types.tolist(), b.tissue, b.patch.name)


@pytest.mark.parametrize("kind", ["whole", "zipped"])
def test_a_reader_travels_to_a_worker_process_without_its_arrays(kind, request):
    patches = PanNuke(request.getfixturevalue(kind))
    patches[0]
    data = pickle.dumps(patches)
    assert len(data) < 10_000
    assert pickle.loads(data)[1].patch.name == "fold1_00001"


def test_a_pass_over_a_zip_holds_a_few_rows_and_never_a_fold(tmp_path):
    count = 24  # masks of 75 MB
    with zipfile.ZipFile(tmp_path / "fold_1.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, channels in ((IMAGES, 3), (MASKS, 6)):
            with archive.open(member(name), "w") as file:
                header = {"descr": "<f8", "fortran_order": False, "shape": (count, 256, 256, channels)}
                np.lib.format.write_array_header_1_0(file, header)
                for _ in range(count):
                    file.write(bytes(256 * 256 * channels * 8))
        with archive.open(member(TYPES), "w") as file:
            np.lib.format.write_array(file, np.array(["Breast"] * count))
    tracemalloc.start()
    try:
        patches = PanNuke(tmp_path)
        assert sum(sample.instances.max() for sample in patches) == 0
        patches[count - 1]
        patches[0]
        assert tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()


@given(
    owner=arrays(np.int8, (6, 7), elements=st.integers(0, 4)),
    ids=arrays(np.float64, (6, 7), elements=st.sampled_from([0.0, 1.0, 2.0, 5.0, 900.0])),
)
@settings(max_examples=60, deadline=None)
def test_merging_keeps_every_nucleus_of_every_channel(owner, ids):
    masks = np.stack([np.where(owner == channel, ids, 0) for channel in range(5)], axis=-1)
    instances, types = merge_channels(masks)
    nuclei = {(channel, i) for channel in range(5) for i in np.unique(masks[..., channel]) if i}
    assert sorted(np.unique(instances[instances > 0])) == list(range(1, len(nuclei) + 1))
    for channel, i in nuclei:
        (found,) = np.unique(instances[masks[..., channel] == i])
        np.testing.assert_array_equal(instances == found, masks[..., channel] == i)
        assert types[found - 1] == channel + 1


def test_where_channels_overlap_the_later_one_wins():
    masks = np.zeros((1, 4, 5))
    masks[0, :3, 0], masks[0, 1:, 4], masks[0, 3, 1] = 7, 7, 1
    instances, types = merge_channels(masks)
    assert instances.tolist() == [[1, 2, 2, 2]]
    assert types.tolist() == [1, 5]


def test_empty_masks_merge_to_nothing():
    instances, types = merge_channels(np.zeros((3, 3, 5)))
    assert (instances.max(), types.shape, types.dtype) == (0, (0,), np.int64)


def test_a_nucleus_that_is_covered_entirely_is_reported(root, caplog):
    path = root / member(MASKS)
    masks = np.load(path)
    masks[1, -4:, -4:, 4] = 8
    np.save(path, masks)
    assert PanNuke(root)[1].types.tolist() == [1, 5]
    assert caplog.messages == [f"{path}: in row 1, 1 nuclei lie entirely under another type's"]


def test_a_fold_without_patches_is_empty(tmp_path):
    write_fold(tmp_path, 3, 0)
    assert list(PanNuke(tmp_path)) == []


def test_what_is_missing_is_named(root, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere: expected a folder 'Fold 1' or fold_1\.zip"):
        PanNuke(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"expected the folder 'Fold 2' or fold_2\.zip, found neither"):
        PanNuke(root, folds=(1, 2))
    with pytest.raises(ValueError, match="expected folds out of 1, 2 and 3, found"):
        PanNuke(root, folds=(4,))
    (root / member(MASKS)).unlink()
    with pytest.raises(FileNotFoundError, match=r"masks\.npy: expected a \.npy file, found nothing"):
        PanNuke(root)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (MASKS, np.zeros((2, 256, 256, 5)), r"masks\.npy: expected float64 \(N, 256, 256, 6\), found float64 \(2, 256"),
        (MASKS, np.zeros((2, 128, 128, 6)), r"masks\.npy: expected float64 \(N, 256, 256, 6\), found float64 \(2, 128"),
        (MASKS, np.zeros((3, 256, 256, 6)), r"masks\.npy: expected 2 rows as in .*types\.npy, found 3"),
        (IMAGES, np.zeros((1, 256, 256, 3)), r"images\.npy: expected 2 rows as in .*types\.npy, found 1"),
        (IMAGES, np.zeros((2, 256, 256, 3), "c8"), r"images\.npy: expected float64 .* found complex64"),
        (IMAGES, np.float64(3), r"images\.npy: expected float64 .* found float64 \(\)"),
        (IMAGES, np.zeros((2, 256, 256, 3), order="F"), r"images\.npy: expected plain numbers in C order"),
        (TYPES, np.array([1, 2]), r"types\.npy: expected text \(N\), found int64 \(2,\)"),
        (TYPES, np.array(["Breast", None]), r"types\.npy: expected plain numbers"),
    ],
)  # fmt: skip
def test_an_array_of_another_form_is_an_error_that_names_it(root, name, array, message):
    save(root, member(name), array)
    with pytest.raises(ValueError, match=message):
        PanNuke(root)
    pack(root, 1, root)
    for path in sorted((root / "Fold 1").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (root / "Fold 1").rmdir()
    with pytest.raises(ValueError, match=message):
        PanNuke(root)


def test_files_cut_short_or_of_another_kind_are_errors(root):
    path = root / member(MASKS)
    data = path.read_bytes()
    path.write_bytes(data[:-8])
    with pytest.raises(ValueError, match=r"masks\.npy: expected \d+ bytes, found \d+: the file is cut short"):
        PanNuke(root)
    for content in (b"", b"text", data[:20]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"masks\.npy: expected a \.npy file, found a damaged one"):
            PanNuke(root)


def test_damaged_zips_are_errors(root, tmp_path_factory):
    target = tmp_path_factory.mktemp("damaged")
    archive = target / "fold_1.zip"
    pack(root, 1, target)
    data = archive.read_bytes()

    archive.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"fold_1\.zip.*: expected a \.npy file, found a damaged one"):
        PanNuke(target)

    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for kind in (IMAGES, MASKS, TYPES):
            packed.write(root / member(kind), member(kind))
        masks = packed.getinfo(member(MASKS))
    with archive.open("rb+") as file:
        file.seek(masks.header_offset + 30 + len(masks.filename) + masks.compress_size - 8)
        file.write(b"damaged!")
    patches = PanNuke(target)
    for _ in range(2):
        with pytest.raises(
            ValueError, match=r"fold_1\.zip:.*masks\.npy: expected a whole file, found damage at row \d"
        ):
            list(patches)

    with zipfile.ZipFile(archive, "w") as incomplete:
        incomplete.writestr(member(TYPES), b"")
    with pytest.raises(FileNotFoundError, match=r"fold_1\.zip: expected the member Fold 1/images/fold1/images\.npy"):
        PanNuke(target)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (IMAGES, 256, r"images\.npy: expected 0 to 255 in row 1, found 1 to 256"),
        (IMAGES, -1, r"images\.npy: expected 0 to 255 in row 1, found -1 to 1"),
        (IMAGES, np.nan, r"images\.npy: expected 0 to 255 in row 1, found nan"),
        (MASKS, -2, r"masks\.npy: expected whole ids >= 0 in row 1"),
        (MASKS, 0.5, r"masks\.npy: expected whole ids >= 0 in row 1"),
        (MASKS, np.nan, r"masks\.npy: expected whole ids >= 0 in row 1"),
    ],
)
def test_values_that_are_no_intensities_or_ids_are_errors(root, name, value, message):
    array = np.load(root / member(name))
    array[1, 100, 100, 0] = value
    save(root, member(name), array)
    patches = PanNuke(root)
    assert patches[0].types.tolist() == [1, 1]
    with pytest.raises(ValueError, match=message):
        patches[1]


def test_an_unknown_tissue_is_read_and_reported(root, caplog):
    save(root, member(TYPES), np.array(["Breast", "Tail"]))
    assert PanNuke(root).tissues == ("Breast", "Tail")
    assert "expected one of 19 tissues, found Tail" in caplog.text
