"""The compact store has the samples of the published files, is written in little memory, and is complete or absent."""

import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from histolib.data import PanNuke
from histolib.data.pannuke import prepare_pannuke

MASKS = "Fold {0}/masks/fold{0}/masks.npy"
KILLED = "import sys; from histolib.data.pannuke import prepare_pannuke; prepare_pannuke(sys.argv[1])"


@pytest.fixture(scope="module")
def zips(phantoms, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("zips")
    for fold in (1, 2, 3):
        with zipfile.ZipFile(root / f"fold_{fold}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for path in sorted((phantoms["pannuke"] / f"Fold {fold}").rglob("*.npy")):
                archive.write(path, path.relative_to(phantoms["pannuke"]))
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("compact/*/*"))}


def test_folders_and_zips_give_the_samples_of_the_published_files(phantoms, zips, tmp_path):
    for source, name in ((phantoms["pannuke"], "a"), (zips, "b")):
        stores = prepare_pannuke(source, tmp_path / name, progress=False)
        assert stores == [tmp_path / name / f"compact/fold{fold}" for fold in (1, 2, 3)]
        published, compact = PanNuke(phantoms["pannuke"]), PanNuke(tmp_path / name)
        assert len(published) == len(compact) == 9
        assert (published.tissues, published.groups) == (compact.tissues, compact.groups)
        for index in (*range(9), 7, 0, -1):
            a, b = published[index], compact[index]
            assert (a.patch.name, a.patch.mpp, a.tissue, a.group) == (b.patch.name, b.patch.mpp, b.tissue, b.group)
            for x, y in ((a.patch.image, b.patch.image), (a.instances, b.instances), (a.types, b.types)):
                assert x.dtype == y.dtype
                np.testing.assert_array_equal(x, y)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert not list(zips.rglob("compact"))


def test_a_bad_row_leaves_no_store_and_complete_folds_are_skipped_and_need_no_source(phantoms, tmp_path, caplog):
    with pytest.raises(FileNotFoundError, match=r"expected a folder 'Fold 1' or fold_1\.zip, found neither"):
        prepare_pannuke(tmp_path)
    shutil.copytree(phantoms["pannuke"] / "Fold 1", tmp_path / "Fold 1")
    array = np.load(tmp_path / MASKS.format(1), mmap_mode="r+")
    before, array[2, 7, 7, 0] = array[2, 7, 7, 0], np.nan
    array.flush()
    with pytest.raises(ValueError, match=r"masks\.npy: expected integer ids >= 0 in row 2, found other values"):
        prepare_pannuke(tmp_path, progress=False)
    assert not list((tmp_path / "compact").iterdir())
    array[2, 7, 7, 0] = before
    array.flush()
    prepare_pannuke(tmp_path, progress=False)
    made = contents(tmp_path)
    shutil.rmtree(tmp_path / "Fold 1")
    with caplog.at_level("INFO", "histolib.data"):
        assert prepare_pannuke(tmp_path, progress=False) == [tmp_path / "compact/fold1"]
    assert caplog.messages == [f"{tmp_path / 'compact/fold1'}: complete, skipped"]
    assert contents(tmp_path) == made


def test_a_kill_leaves_no_store_and_the_next_run_completes_it(phantoms, tmp_path):
    shutil.copytree(phantoms["pannuke"], tmp_path, dirs_exist_ok=True)
    process = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stderr=subprocess.PIPE)
    process.stderr.read(10)  # the progress bar of the first fold
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for store in (tmp_path / "compact").glob("fold*"):
        assert len(os.listdir(store)) == 3
    prepare_pannuke(tmp_path, progress=False)
    assert sorted(path.name for path in (tmp_path / "compact").iterdir()) == ["fold1", "fold2", "fold3"]
    assert len(PanNuke(tmp_path)) == 9


@pytest.mark.parametrize("count", [0, 150])
def test_an_empty_fold_and_one_of_gigabytes_are_prepared_in_the_memory_of_a_few_rows(tmp_path, count):
    home = tmp_path / "Fold 3"  # of 150 patches: 0.7 GB in sparse files
    for name, channels in (("images/fold3/images", 3), ("masks/fold3/masks", 6)):
        (home / name).parent.mkdir(parents=True)
        np.save(home / f"{name}.npy", np.zeros((0, 256, 256, channels)))
        if count:
            np.lib.format.open_memmap(home / f"{name}.npy", "w+", np.float64, (count, 256, 256, channels)).flush()
    np.save(home / "images/fold3/types.npy", np.array(["Breast"] * count, dtype=str))
    tracemalloc.start()
    try:
        prepare_pannuke(tmp_path, progress=False)
        assert tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()
    shutil.rmtree(home)
    assert len(PanNuke(tmp_path)) == count


def test_damaged_zips_are_errors_and_leave_no_store(zips, tmp_path):
    archive, data = tmp_path / "fold_1.zip", (zips / "fold_1.zip").read_bytes()
    with zipfile.ZipFile(zips / "fold_1.zip") as packed:
        masks = packed.getinfo(MASKS.format(1))
    end = masks.header_offset + 30 + len(masks.filename) + masks.compress_size
    for damaged in (data[: len(data) // 2], data[: end - 8] + b"damaged!" + data[end:]):
        archive.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"fold_1\.zip: expected a zip, found another or a damaged file"):
            prepare_pannuke(tmp_path, progress=False)
    with zipfile.ZipFile(archive, "w") as incomplete:
        incomplete.writestr("Fold 1/images/fold1/types.npy", b"")
    with pytest.raises(FileNotFoundError, match=r"fold_1\.zip: expected the files of a fold, found no .*images\.npy"):
        prepare_pannuke(tmp_path, progress=False)
    assert not list((tmp_path / "compact").iterdir())
