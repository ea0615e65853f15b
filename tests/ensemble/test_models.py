"""Where weights are looked for, and what is said when they are not there."""

import pytest
import torch

from histolib.ensemble import HE_REFERENCE, HOVERNET, IHC_REFERENCE, IHC_TO_HE, Models, models


def test_weights_are_found_in_the_folder_or_one_below_in_order(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (
        first / "hovernet" / HOVERNET,
        second / HOVERNET,
        second / IHC_TO_HE,
        first / "a" / "b" / IHC_REFERENCE,
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = Models(first, second)
    assert found.find(HOVERNET) == first / "hovernet" / HOVERNET
    assert found.find(IHC_TO_HE) == second / IHC_TO_HE
    assert found.find(IHC_REFERENCE) is None, "two levels down is another run's"
    assert found.missing([HOVERNET, HE_REFERENCE, IHC_REFERENCE]) == [HE_REFERENCE, IHC_REFERENCE]
    assert found.missing([]) == []


def test_a_folder_of_that_name_is_no_file(tmp_path):
    (tmp_path / HOVERNET).mkdir()
    assert Models(tmp_path).find(HOVERNET) is None


def test_without_a_folder_the_shipped_weights_are_meant():
    assert Models().folders == (models.SHIPPED,)
    assert models.SHIPPED.name == "pretrained"


@pytest.mark.parametrize("name", ["hovernet", "ihc_to_he", "he_reference", "ihc_reference"])
def test_missing_weights_say_how_to_get_them(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=rf"{name}\.safetensors: .*histolib run --only 02,03.*--weights"):
        getattr(Models(tmp_path), name)


def test_weights_are_read_once(tmp_path, monkeypatch):
    (tmp_path / HOVERNET).touch()
    calls = []
    monkeypatch.setattr(models, "load_hovernet", lambda path: calls.append(path) or (torch.nn.Identity(), {}))
    found = Models(tmp_path)
    assert found.hovernet is found.hovernet
    assert calls == [tmp_path / HOVERNET]


def test_damaged_weights_are_named(tmp_path):
    (tmp_path / HOVERNET).write_bytes(b"no weights")
    with pytest.raises(ValueError, match=HOVERNET):
        _ = Models(tmp_path).hovernet
