"""Files are written completely or not at all, results are valid JSON, and weights carry their provenance."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from histolib import io
from histolib.io import Provenance, file_digest, load_weights, plain, replacing, save_weights, writable_folder


def test_replacing_writes_the_whole_file_or_leaves_the_old_one(tmp_path):
    path = tmp_path / "new" / "a.txt"
    for text in ("one", "two"):
        with replacing(path) as temporary:
            temporary.write_text(text)
        assert path.read_text() == text
    with pytest.raises(OSError, match="disk full"), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise OSError("disk full")
    assert (path.read_text(), os.listdir(path.parent)) == ("two", ["a.txt"])


def test_a_writable_folder_is_made_and_left_empty_and_others_are_named(tmp_path):
    folder = writable_folder(tmp_path / "a" / "b")
    assert writable_folder(folder) == folder
    assert os.listdir(folder) == []
    (tmp_path / "out").touch()
    for below in (".", "sub", "sub/sub"):
        with pytest.raises(OSError, match=r"out.*: expected a writable folder, found none \("):
            writable_folder(tmp_path / "out" / below)
    if Path("/proc/self").is_dir():  # a folder that takes no files
        with pytest.raises(OSError, match=r"^/proc: expected a writable folder, found none \("):
            writable_folder(Path("/proc"))


def test_numbers_become_plain_and_missing_ones_null(tmp_path):
    given = {"a": np.float32(0.25), "b": (np.int64(3), np.nan), "c": {"d": [np.float64("inf"), "text", True, None]}}
    expected = {"a": 0.25, "b": [3, None], "c": {"d": [None, "text", True, None]}}
    path = tmp_path / "new" / "results.json"
    io.write_json(path, given)
    assert json.loads(path.read_text()) == plain(given) == expected
    assert plain(1234567.89) == 1234570.0
    with pytest.raises(TypeError):
        io.write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == expected, "a value that is not JSON leaves the existing file"
    assert list(path.parent.iterdir()) == [path]


def test_tensors_and_card_are_restored_and_other_files_are_named(tmp_path):
    path = tmp_path / "net.safetensors"
    state = {"a": torch.arange(6.0).reshape(2, 3).t(), "b": torch.tensor(3)}
    save_weights(path, state, {"mpp": 0.5, "config": {"width": 4}})
    loaded, card = load_weights(path)
    assert card == {"mpp": 0.5, "config": {"width": 4}}
    assert all(torch.equal(state[name], loaded[name]) for name in state)
    assert len(file_digest(path)) == 12
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors: expected a weights file, found nothing"):
        load_weights(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"12345678901234567890")
    with pytest.raises(ValueError, match=r"bad\.safetensors: expected a complete safetensors file"):
        load_weights(tmp_path / "bad.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(ValueError, match="with a card"):
        load_weights(tmp_path / "plain.safetensors")


def test_provenance_survives_its_card_and_an_empty_card_is_unknown():
    for groups in (None, ("321-784", "train_1")):
        before = Provenance("EndoNuke: 321-784", groups, {"settings": {"width": 4}})
        assert Provenance.from_card(before.card()) == before
    assert Provenance.from_card({"groups": {"ihc": ["1-9"], "he": ["a"]}}).groups == ("1-9", "a")
    assert Provenance.from_card({}) == Provenance("unknown", None)
