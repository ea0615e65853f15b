"""PanNuke's compact store gives what the published files give, in any order, and notices when its bytes change."""

import json
import pickle
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from histolib import cli
from histolib.data import PanNuke, prepare_pannuke


@pytest.fixture(scope="module")
def prepared(phantom_folders, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("store")
    prepare_pannuke(phantom_folders, root, progress=False)
    return root


@pytest.fixture
def store(prepared, tmp_path) -> Path:
    shutil.copytree(prepared / "compact/fold1", tmp_path / "compact/fold1")
    return tmp_path / "compact/fold1"


def test_samples_are_those_of_folders_and_zips_in_any_order(prepared, phantom_folders, phantom_zips, same):
    stored, folders, zips = map(PanNuke, (prepared, phantom_folders, phantom_zips))
    assert stored.folds == folders.folds == (1, 2, 3)
    assert stored.tissues == folders.tissues == zips.tissues
    assert stored.groups == folders.groups == zips.groups == ("fold1",) * 5 + ("fold2",) * 5 + ("fold3",) * 5
    assert len(stored) == len(folders) == 15
    for index in (*range(15), 7, 0, -1):
        same(stored[index], folders[index])
        same(stored[index], zips[index])
    assert sum(len(sample.types) for sample in stored) > 100
    assert [sample.group for sample in stored] == list(stored.groups)


def test_folds_can_be_chosen_and_mixed_with_published_ones(store, phantom_zips):
    root = store.parents[1]
    shutil.copy(phantom_zips / "fold_2.zip", root)
    patches = PanNuke(root, folds=(2, 1))
    assert patches.groups == ("fold2",) * 5 + ("fold1",) * 5
    assert [sample.patch.name for sample in patches[3:7]] == [
        "fold2_00003",
        "fold2_00004",
        "fold1_00000",
        "fold1_00001",
    ]


def test_the_store_is_preferred_to_folder_and_zip(store, phantom_folders):
    root = store.parents[1]
    shutil.copytree(phantom_folders / "Fold 1", root / "Fold 1")
    shutil.rmtree(root / "Fold 1/images")
    assert len(list(PanNuke(root))) == 5


def test_a_row_of_a_large_store_is_read_without_the_others(prepared):
    patches = PanNuke(prepared)
    tracemalloc.start()
    try:
        for index in (4, 0, 14, 2):
            patches[index]
        assert tracemalloc.get_traced_memory()[1] < 2_000_000, "a row has 0.3 MB, a fold of five 1.6 MB"
    finally:
        tracemalloc.stop()


def test_a_reader_travels_to_a_worker_process(prepared, same):
    patches = PanNuke(prepared)
    data = pickle.dumps(patches)
    assert len(data) < 20_000
    same(pickle.loads(data)[8], patches[8])


def test_out_of_order_a_zip_points_to_the_store_once(phantom_zips, caplog):
    patches = PanNuke(phantom_zips, folds=(1,))
    list(patches)
    assert caplog.messages == []
    patches[4], patches[0], patches[0]
    (message,) = caplog.messages
    assert message.startswith(f"{phantom_zips / 'fold_1.zip'}: read out of order")
    assert "`histolib data prepare pannuke`" in message


@pytest.mark.parametrize("name", ["images.npy", "instances.npy", "types.npy", "counts.npy", "tissues.npy"])
def test_a_file_that_is_missing_or_cut_short_is_named_on_opening(store, name):
    path = store / name
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(ValueError, match=rf"{name}: expected {len(data)} bytes, found {len(data) - 1}; delete .*fold1"):
        PanNuke(store.parents[1])
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name}: expected {len(data)} bytes, found nothing; delete .*fold1"):
        PanNuke(store.parents[1])


@pytest.mark.parametrize("name", ["images.npy", "instances.npy", "types.npy", "tissues.npy"])
def test_a_flipped_bit_is_found_by_verify(store, name, capsys):
    root = store.parents[1]
    assert PanNuke(root).check() == []
    assert cli.main(["data", "verify", "pannuke", "--root", str(root)]) == 0
    data = bytearray((store / name).read_bytes())
    data[-4] ^= 1
    (store / name).write_bytes(data)
    capsys.readouterr()
    assert cli.main(["data", "verify", "pannuke", "--root", str(root)]) == 2
    assert f"{store / name}: expected CRC-32 " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, r"manifest\.json: expected version 1, found 2; delete"),
        ({"count": 4}, r"fold1: expected 4 rows and \d+ nuclei, found others; delete"),
        ({"nuclei": 1}, r"fold1: expected 5 rows and 1 nuclei, found others; delete"),
        ({"files": {}}, r"manifest\.json: expected the manifest of a store, found another \('images\.npy'\)"),
        ({"sources": 3}, r"manifest\.json: expected the manifest of a store, found another"),
    ],
)
def test_a_manifest_that_says_something_else_is_an_error(store, change, message):
    path = store / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=message):
        PanNuke(store.parents[1])


@pytest.mark.parametrize("name", ["images.npy", "instances.npy", "types.npy", "counts.npy", "tissues.npy"])
def test_a_damaged_header_is_an_error_that_names_the_store(store, name):
    data = bytearray((store / name).read_bytes())
    data[2] ^= 1
    (store / name).write_bytes(data)
    with pytest.raises(ValueError, match=rf"fold1.*{name}.* found (damage|a damaged one)"):
        PanNuke(store.parents[1])


def test_a_manifest_that_is_no_json_is_an_error(store):
    (store / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match=r"manifest\.json: expected the manifest of a store, found another"):
        PanNuke(store.parents[1])


def test_a_store_does_not_stand_in_for_other_files(store, phantom_folders):
    types = store.parents[1] / "Fold 1/images/fold1/types.npy"
    types.parent.mkdir(parents=True)
    shutil.copy(phantom_folders / "Fold 1/images/fold1/types.npy", types)
    assert len(PanNuke(store.parents[1])) == 5
    np.save(types, np.array(["Breast"]))
    with pytest.raises(ValueError, match=r"types\.npy: expected \d+ bytes as when .*fold1 was made of it, found \d+"):
        PanNuke(store.parents[1])
