import pytest
import torch

from histolib.io import Provenance, load_weights, save_weights
from histolib.nuclei import HoVerNet

WIDTH = 1 / 16
CONSEP = tuple(f"train_{image}" for image in range(1, 28))


class Narrow(HoVerNet):
    """HoVer-Net whose published checkpoints are 1/16 as wide."""

    def __init__(self, mode="fast", num_types=None, width=WIDTH):
        super().__init__(mode, num_types, width)


def test_saved_networks_load_with_their_metadata_and_misfits_are_listed(tmp_path, narrow):
    net = narrow("original", 3)
    net.mpp, net.types, net.thresholds = 0.5, ("round", "odd"), {"edge_threshold": 0.5}
    net.provenance = Provenance("discs", ("a", "b"), {"settings": {"steps": 4}})
    net.save(tmp_path / "net.safetensors")
    loaded = HoVerNet.load(tmp_path / "net.safetensors")
    for name in ("mode", "num_types", "width", "mpp", "types", "thresholds", "provenance"):
        assert getattr(loaded, name) == getattr(net, name)
    assert not loaded.training
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in loaded.state_dict().items())
    _, card = load_weights(tmp_path / "net.safetensors")
    assert card["config"] == {"mode": "original", "num_types": 3, "width": WIDTH}
    narrow("fast", 3).save(tmp_path / "net.safetensors")
    state, card = load_weights(tmp_path / "net.safetensors")
    save_weights(tmp_path / "types.safetensors", state, card | {"config": card["config"] | {"num_types": 6}})
    with pytest.raises(ValueError, match=r"types\.safetensors.*'num_types': 6.*decoder\.tp\.u0\.conv\.weight"):
        HoVerNet.load(tmp_path / "types.safetensors")
    for missing in ("config", "mpp", "types"):
        save_weights(tmp_path / "bare.safetensors", state, {n: v for n, v in card.items() if n != missing})
        with pytest.raises(ValueError, match=rf"bare\.safetensors: .*found metadata without '{missing}'"):
            HoVerNet.load(tmp_path / "bare.safetensors")


@pytest.mark.parametrize("kind", ["desc.tar", "plain.pth", "parallel.tar"])
@pytest.mark.parametrize(
    ("mode", "num_types", "groups", "first_types"),
    [
        ("fast", 6, ("fold1", "fold2", "fold3"), ("neoplastic",)),
        ("original", 5, CONSEP, ("miscellaneous",)),
        ("fast", 5, None, ("type 1", "type 2", "type 3", "type 4")),
        ("original", None, None, ()),
    ],
)
def test_published_files_get_their_metadata(tmp_path, kind, mode, num_types, groups, first_types):
    state = {name: torch.rand(v.shape).to(v.dtype) + 7 for name, v in Narrow(mode, num_types).state_dict().items()}
    saved = {f"module.{name}": value for name, value in state.items()} if "parallel" in kind else state
    torch.save(saved if "plain" in kind else {"desc": saved, "epoch": 50}, tmp_path / kind)
    net = Narrow.load(tmp_path / kind)
    assert (net.mode, net.num_types, net.training, net.mpp) == (mode, num_types, False, 0.25)
    assert (net.provenance.groups, net.types[: len(first_types)]) == (groups, first_types)
    assert len(net.types) == (num_types or 1) - 1
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def test_files_that_do_not_fit_name_every_tensor(tmp_path):
    state = Narrow("fast", 6).state_dict()
    state["decoder.hv.u3.conva.weight"] = torch.zeros(16, 64, 5, 5)
    state["decoder.tp.u0.conv.bias"] = torch.zeros(5)
    state["surplus"] = state.pop("conv_bot.weight")
    torch.save({"desc": state}, tmp_path / "mixed.tar")
    with pytest.raises(ValueError, match=r"mixed\.tar.*'mode': 'fast', 'num_types': 6") as caught:
        Narrow.from_official(tmp_path / "mixed.tar")
    for part in ("conv_bot.weight", "surplus", "decoder.hv.u3.conva.weight", "[16, 64, 5, 5]", "tp.u0.conv.bias"):
        assert part in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"absent\.tar"):
        HoVerNet.from_official(tmp_path / "absent.tar")
    (tmp_path / "text.pth").write_text("no weights")
    contents = {"other.pth": {"layer.weight": torch.zeros(2)}, "list.tar": [1], "deep.tar": {"desc": 3}}
    for name, content in contents.items():
        torch.save(content, tmp_path / name)
    for name in ("text.pth", *contents):
        with pytest.raises(ValueError, match=rf"{name}: expected a HoVer-Net checkpoint"):
            HoVerNet.from_official(tmp_path / name)
