"""PanNuke: folder and compact store give the same samples, a fold is never in memory, one clear error per damage."""

import io
import pickle
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from histolib.data import PanNuke
from histolib.data.pannuke import merge_channels, prepare_pannuke

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
    save(root, member(TYPES, fold), np.array(["Breast", "Colon", "Skin"][:count]))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("pannuke")
    write_fold(root, 1, 3)
    write_fold(root, 2, 2)
    return root


@pytest.fixture(scope="module")
def compact(whole, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("compact")
    prepare_pannuke(whole, root, progress=False)
    return root


@pytest.fixture
def root(tmp_path) -> Path:
    write_fold(tmp_path, 1, 2)
    return tmp_path


@pytest.fixture
def store(compact, tmp_path) -> Path:
    shutil.copytree(compact / "compact/fold1", tmp_path / "compact/fold1")
    return tmp_path / "compact/fold1"


@pytest.mark.parametrize(("form", "limit"), [("whole", 12e6), ("compact", 2e6)])
def test_samples_are_read_one_by_one_in_the_order_of_the_folds_asked_for(form, limit, request):
    root = request.getfixturevalue(form)
    assert PanNuke(root).groups == ("fold1",) * 3 + ("fold2",) * 2
    patches = PanNuke(root, folds=(2, 1))
    expected = [f"fold{fold}_0000{i}" for fold, count in ((2, 2), (1, 3)) for i in range(count)]
    tracemalloc.start()
    try:
        assert [sample.patch.name for sample in patches] == expected
        assert tracemalloc.get_traced_memory()[1] < limit, "one row is in memory at a time"
    finally:
        tracemalloc.stop()
    assert patches.tissues == ("Breast", "Colon", "Breast", "Colon", "Skin")
    assert patches.groups == ("fold2",) * 2 + ("fold1",) * 3
    data = pickle.dumps(patches)
    assert len(data) < 10_000, "a reader is pickled without its arrays"
    sample = pickle.loads(data)[-1]
    image, instances = sample.patch.image, sample.instances
    assert (sample.tissue, sample.group, sample.patch.name, sample.patch.mpp) == ("Skin", "fold1", "fold1_00002", 0.25)
    assert (image.dtype, instances.dtype, sample.types.dtype) == (np.uint8, np.int32, np.int64)
    assert type(image) is type(instances) is np.ndarray
    assert image.flags.writeable
    assert ((image == 2).all(), (instances == 2).sum(), sample.types.tolist()) == (True, 9, [1, 3])
    np.testing.assert_allclose(sample.xy, [[0.5, 0.5], [254, 254]])


def test_the_compact_store_is_preferred_and_mixes_with_folders(store, whole):
    root = store.parents[1]
    shutil.copytree(whole / "Fold 2", root / "Fold 2")
    (root / "Fold 1").mkdir()
    assert len(list(PanNuke(root))) == 5


@given(
    owner=arrays(np.int8, (6, 7), elements=st.integers(0, 4)),
    ids=arrays(np.float64, (6, 7), elements=st.sampled_from([0.0, 1.0, 2.0, 5.0, 900.0])),
)
@settings(max_examples=60, deadline=None)
def test_merging_keeps_every_nucleus_of_every_channel(owner, ids):
    masks = np.stack([np.where(owner == channel, ids, 0) for channel in range(5)], axis=-1)
    instances, types, hidden = merge_channels(masks)
    assert hidden == 0
    nuclei = {(channel, i) for channel in range(5) for i in np.unique(masks[..., channel]) if i}
    assert sorted(np.unique(instances[instances > 0])) == list(range(1, len(nuclei) + 1))
    for channel, i in nuclei:
        (found,) = np.unique(instances[masks[..., channel] == i])
        np.testing.assert_array_equal(instances == found, masks[..., channel] == i)
        assert types[found - 1] == channel + 1


def test_overlaps_are_reported_and_missing_folds_and_files_named(root, caplog, tmp_path):
    masks = np.zeros((1, 4, 5))
    masks[0, :3, 0], masks[0, 1:, 4], masks[0, 3, 1] = 7, 7, 1
    instances, types, hidden = merge_channels(masks)
    assert (instances.tolist(), hidden, types.tolist()) == ([[1, 2, 2, 2]], 1, [1, 5])
    instances, types, _ = merge_channels(np.zeros((3, 3, 5)))
    assert (instances.max(), types.shape, types.dtype) == (0, (0,), np.int64)
    path = root / member(MASKS)
    masks = np.load(path)
    masks[1, -4:, -4:, 4] = 8
    np.save(path, np.asfortranarray(masks))
    assert PanNuke(root)[1].types.tolist() == [1, 5]
    assert caplog.messages == [f"{path}: in row 1, 1 nuclei are hidden by nuclei of other types"]
    with pytest.raises(FileNotFoundError, match=r"nowhere: expected a folder 'Fold 1' or fold_1\.zip, found neither"):
        PanNuke(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"expected the folder 'Fold 2' or fold_2\.zip, found neither"):
        PanNuke(root, folds=(1, 2))
    (root / member(MASKS)).unlink()
    with pytest.raises(FileNotFoundError, match=r"masks\.npy: expected a \.npy file, found nothing"):
        PanNuke(root)
    shutil.rmtree(root / "Fold 1")
    (root / "fold_1.zip").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"fold_1\.zip: expected .* found a zip; run `histolib data prepare"):
        PanNuke(root)


def assert_refused(root: Path, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PanNuke(root)
    with pytest.raises(ValueError, match=message):
        prepare_pannuke(root, progress=False)
    assert not list((root / "compact").iterdir())


FLOATS, ROWS = r"masks\.npy: expected floats \(N, 256, 256, 6\), found ", r"expected 2 rows as in .*types\.npy, found "


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (MASKS, np.zeros((2, 256, 256, 5)), FLOATS + r"float64 \(2, 256"),
        (MASKS, np.zeros((2, 128, 128, 6)), FLOATS + r"float64 \(2, 128"),
        (MASKS, np.zeros((3, 256, 256, 6)), rf"masks\.npy: {ROWS}3"),
        (IMAGES, np.zeros((1, 256, 256, 3)), rf"images\.npy: {ROWS}1"),
        (IMAGES, np.zeros((2, 256, 256, 3), "c8"), r"images\.npy: expected floats .* found complex64"),
        (IMAGES, np.float64(3), r"images\.npy: expected floats .* found float64 \(\)"),
        (TYPES, np.array([1, 2]), r"types\.npy: expected text \(N,\), found int64 \(2,\)"),
        (TYPES, np.array(["Breast", None]), r"types\.npy: expected (a \.npy file|text)"),
    ],
)
def test_an_array_of_another_form_is_an_error_for_reading_and_preparing(root, name, array, message):
    save(root, member(name), array)
    assert_refused(root, message)


def test_truncated_and_other_files_are_errors_for_reading_and_preparing(root):
    path = root / member(MASKS)
    data = path.read_bytes()
    for content in (data[:-8], b"", b"text", data[:20]):
        path.write_bytes(content)
        assert_refused(root, r"masks\.npy: expected a .*, found another or a damaged file")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (IMAGES, 256, r"images\.npy: expected 0 to 255 in row 1, found 1 to 256"),
        (IMAGES, -1, r"images\.npy: expected 0 to 255 in row 1, found -1 to 1"),
        (IMAGES, np.nan, r"images\.npy: expected 0 to 255 in row 1, found nan"),
        (MASKS, -2, r"masks\.npy: expected integer ids >= 0 in row 1, found other values"),
        (MASKS, 0.5, r"masks\.npy: expected integer ids >= 0 in row 1"),
        (MASKS, np.nan, r"masks\.npy: expected integer ids >= 0 in row 1"),
    ],
)
def test_values_out_of_range_are_errors(root, name, value, message):
    array = np.load(root / member(name))
    array[1, 100, 100, 0] = value
    save(root, member(name), array)
    patches = PanNuke(root)
    assert patches[0].types.tolist() == [1, 1]
    with pytest.raises(ValueError, match=message):
        patches[1]


@pytest.mark.parametrize("name", ["images.npy", "instances.npy", "nuclei.npz"])
def test_a_compact_store_that_is_incomplete_or_whose_counts_disagree_is_an_error(store, name):
    path, other = store / name, io.BytesIO()
    data = path.read_bytes()
    np.save(other, np.zeros(3))
    for content in (None, data[: len(data) // 2], other.getvalue()):
        path.unlink() if content is None else path.write_bytes(content)
        with pytest.raises(ValueError, match=r"fold1: expected a complete compact store, found .*; delete it and run"):
            PanNuke(store.parents[1])
    path.write_bytes(data)
    with np.load(store / "nuclei.npz") as loaded:
        table = dict(loaded)
    for change in ({"counts": table["counts"][:2]}, {"types": table["types"][:-1]}):
        np.savez(store / "nuclei.npz", **(table | change))
        with pytest.raises(ValueError, match=r"found \[3, 3, [23], 3\] rows and \d nuclei instead of \d; delete"):
            PanNuke(store.parents[1])
