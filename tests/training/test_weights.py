"""A weights file must hold the tensors and the card, or say what is wrong with it."""

import pytest
import torch
from safetensors.torch import save_file

from histolib import training


def test_tensors_and_card_come_back(tmp_path):
    path = tmp_path / "net.safetensors"
    state = {"a": torch.arange(6.0).reshape(2, 3).t(), "b": torch.tensor(3)}
    training.save_weights(path, state, {"mpp": 0.5, "config": {"width": 4}})
    loaded, card = training.load_weights(path)
    assert card == {"mpp": 0.5, "config": {"width": 4}}
    assert all(torch.equal(state[name], loaded[name]) for name in state)


def test_a_missing_a_damaged_and_a_cardless_file_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors"):
        training.load_weights(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"12345678901234567890")
    with pytest.raises(ValueError, match=r"bad\.safetensors: expected a whole"):
        training.load_weights(tmp_path / "bad.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(ValueError, match="with a card"):
        training.load_weights(tmp_path / "plain.safetensors")
