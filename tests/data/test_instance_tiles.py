"""Tiles with instance ids: renumbered ids keep their types, and CoNSeP images are assembled from tiles."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histolib.data import InstanceTiles
from histolib.data.instance_tiles import ORIGINS, consep_images, stitch


def write_tile(root: Path, name: str, labels: np.ndarray, types: dict) -> None:
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", labels.shape[::-1]).save(root / "images" / f"{name}.png")
    Image.fromarray(labels.astype(np.uint16)).save(root / "labels" / f"{name}.png")
    table = root / "types.json"
    known = json.loads(table.read_text()) if table.is_file() else {}
    table.write_text(json.dumps(known | {name: types}))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    labels = np.zeros((5, 8), int)
    labels[0, :2], labels[1:4, 4:7] = 700, 65_535
    write_tile(tmp_path, "train_2_000", labels, {"700": 4, "65535": 1})
    write_tile(tmp_path, "train_10_000", np.zeros((5, 8), int), {})
    return tmp_path


def test_ids_are_renumbered_without_gaps_and_keep_their_types(root):
    tiles = InstanceTiles(root)
    assert tiles.groups == ("train_10", "train_2")
    empty, sample = tiles
    assert (empty.xy.shape, empty.types.shape, empty.instances.max()) == ((0, 2), (0,), 0)
    assert (sample.instances.dtype, sample.instances.max()) == (np.int32, 2)
    assert (sample.instances[0].tolist(), sample.types.tolist()) == ([1, 1, 0, 0, 0, 0, 0, 0], [4, 1])
    np.testing.assert_allclose(sample.xy, [[0.5, 0], [5, 2]])
    assert (sample.patch.name, sample.group, sample.tissue, sample.patch.mpp) == ("train_2_000", "train_2", "", 0.25)


def test_missing_partners_types_and_tables_are_named(root):
    for part, message in (("images", "an image for every tile"), ("labels", "a label for every tile")):
        path = root / part / "train_2_000.png"
        moved = path.rename(root / "away.png")
        with pytest.raises(FileNotFoundError, match=f"{message}, missing train_2_000"):
            InstanceTiles(root)
        moved.rename(path)
    with pytest.raises(FileNotFoundError, match=r"16 tiles of every image, missing train_10_001.* and 25 more"):
        consep_images(root)
    (root / "types.json").write_text('{"train_10_000": {}}')
    with pytest.raises(FileNotFoundError, match=r"an entry in types\.json for every tile, missing train_2_000"):
        InstanceTiles(root)
    (root / "types.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"expected images and labels and types\.json, found no types\.json"):
        InstanceTiles(root)


def test_tables_and_labels_of_another_form_and_ids_of_only_one_are_errors(root):
    tiles, table, path = InstanceTiles(root), root / "types.json", root / "labels" / "train_2_000.png"
    for ids in ({"700": 4}, {"700": 4, "65535": 1, "8": 2}):
        table.write_text(json.dumps({"train_10_000": {}, "train_2_000": ids}))
        with pytest.raises(ValueError, match=r"labels/train_2_000\.png: .* found ids (8|65535) in only one"):
            InstanceTiles(root)[1]
    Image.new("RGB", (8, 5)).save(path)
    with pytest.raises(ValueError, match=r"train_2_000\.png: expected one channel of integer ids, found uint8"):
        tiles[1]
    path.write_text("no image")
    with pytest.raises(ValueError, match=r"train_2_000\.png: expected a PNG of instance ids"):
        tiles[1]
    Image.fromarray(np.zeros((5, 9), np.uint16)).save(path)
    with pytest.raises(ValueError, match=r"train_2_000\.png: expected \(5, 8\) px like its image, found \(5, 9\)"):
        tiles[1]
    tables = ({"a": 1}, {"1": 0}, {"1": "x"}, {"1": 2.5})
    for text in ("{", "[1, 2]", '{"t": 3}', *(json.dumps({"t": types}) for types in tables)):
        table.write_text(text)
        with pytest.raises(ValueError, match=r"types\.json: expected a "):
            InstanceTiles(root)


def cut(whole: np.ndarray) -> list[np.ndarray]:
    return [whole[top : top + 256, left : left + 256] for top, left in ORIGINS]


def test_cutting_and_stitching_give_the_image_back():
    rng = np.random.default_rng(0)
    for shape, kind in (((1000, 1000, 3), np.uint8), ((1000, 1000), np.uint16)):
        whole = rng.integers(1, 250, shape).astype(kind)
        np.testing.assert_array_equal(stitch(cut(whole)), whole)
    with pytest.raises(ValueError, match="expected 16 tiles of 256 x 256 px, found 15"):
        stitch(cut(whole)[:-1])


def test_images_of_16_tiles_are_put_together(tmp_path):
    labels = np.zeros((1000, 1000), int)
    labels[250:262, 250:262], labels[745:760, 745:760], labels[999, 999] = 9, 3, 400
    types = {9: 2, 3: 4, 400: 1}
    for k, tile in enumerate(cut(labels)):
        write_tile(tmp_path, f"train_1_{k:03d}", tile, {str(i): types[i] for i in np.unique(tile) if i})
    assert consep_images(tmp_path).groups == ("train_1",)
    (sample,) = consep_images(tmp_path)
    assert (sample.patch.name, sample.group, sample.patch.image.shape) == ("train_1", "train_1", (1000, 1000, 3))
    assert sample.types.tolist() == [4, 2, 1]
    np.testing.assert_allclose(sample.xy, [[752, 752], [255.5, 255.5], [999, 999]])

    table = json.loads((tmp_path / "types.json").read_text())
    table["train_1_015"]["3"] = 2
    (tmp_path / "types.json").write_text(json.dumps(table))
    with pytest.raises(ValueError, match=r"train_1_015: expected the same types as in its neighb.* others for ids 3"):
        consep_images(tmp_path)[0]


def test_real_tiles_and_images_are_read(real_data):
    tiles, images = InstanceTiles(real_data / "consep_tiles"), consep_images(real_data / "consep_tiles")
    assert (len(tiles), len(images), len({sample.group for sample in tiles[::8]})) == (432, 27, 27)
    sample = images[0]
    assert set(sample.types) <= set(InstanceTiles.types)
    assert np.isfinite(sample.xy).all()
    assert [tiles[i].group for i in (0, 200, 431)] == [tiles.groups[i] for i in (0, 200, 431)]
