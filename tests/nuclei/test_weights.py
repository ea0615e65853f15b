import pytest
import torch

from histolib.nuclei import HoVerNet, load_hovernet, save_hovernet
from histolib.training import load_weights, save_weights

WIDTH = 1 / 16


def test_own_weights_come_back_with_their_card(tmp_path, narrow):
    net = narrow("original", 3)
    save_hovernet(tmp_path / "net.safetensors", net, {"mpp": 0.5, "types": ["round", "long"]})
    loaded, card = load_hovernet(tmp_path / "net.safetensors")
    assert card == {"mpp": 0.5, "types": ["round", "long"], "config": net.config}
    assert loaded.config == {"mode": "original", "num_types": 3, "width": WIDTH}
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in loaded.state_dict().items())


def test_a_card_that_belongs_to_other_weights_is_named(tmp_path, narrow):
    save_hovernet(tmp_path / "net.safetensors", narrow("fast", 3), {})
    state, card = load_weights(tmp_path / "net.safetensors")
    save_weights(tmp_path / "types.safetensors", state, {"config": card["config"] | {"num_types": 6}})
    with pytest.raises(
        ValueError, match=r"num_types 6.*decoder\.tp\.u0\.conv\.weight of shape \(3, 4, 1, 1\), expected \(6"
    ):
        load_hovernet(tmp_path / "types.safetensors")
    save_weights(tmp_path / "bare.safetensors", state, {"mpp": 0.25})
    with pytest.raises(ValueError, match=r"bare\.safetensors.*config"):
        load_hovernet(tmp_path / "bare.safetensors")


@pytest.mark.parametrize(
    ("mode", "num_types", "groups", "first_type"),
    [
        ("fast", 6, ["fold1", "fold2", "fold3"], "neoplastic"),
        ("original", 5, [f"train_{image}" for image in range(1, 28)], "miscellaneous"),
        ("fast", 5, None, "type 1"),
        ("original", None, None, None),
    ],
)
def test_a_published_checkpoint_gets_the_card_that_it_lacks(
    tmp_path, narrow, monkeypatch, mode, num_types, groups, first_type
):
    state = narrow(mode, num_types).state_dict()
    init = HoVerNet.__init__
    monkeypatch.setattr(HoVerNet, "__init__", lambda self, mode, types=None: init(self, mode, types, WIDTH))
    torch.save({"desc": state}, tmp_path / "published.tar")
    net, card = load_hovernet(tmp_path / "published.tar")
    assert (card["mpp"], card["groups"], card["types"][:1]) == (0.25, groups, [first_type] if first_type else [])
    assert len(card["types"]) == (num_types or 1) - 1
    assert not net.training
