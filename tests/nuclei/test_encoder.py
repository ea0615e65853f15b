"""An ImageNet start must fill exactly the encoder, and see the input as it was trained to."""

import pytest
import torch
from safetensors.torch import save_file

from histolib.nuclei import HoVerNet, load_encoder
from histolib.nuclei.encoder import DEVIATION, MEAN

BLOCKS = (3, 4, 6, 3)


def published(name):
    """The name that timm gives to a tensor of the encoder, written down independently of the library's map."""
    parts = name.split(".")
    if name == "conv0./.weight":
        return "stem.conv.weight"
    if parts[0] == "conv0":
        return f"stages.0.blocks.0.norm1.{parts[-1]}"
    stage = int(parts[0][1])
    if parts[1] == "shortcut":
        return f"stages.{stage}.blocks.0.downsample.conv.weight"
    if parts[1] == "blk_bna":
        return f"norm.{parts[-1]}" if stage == 3 else f"stages.{stage + 1}.blocks.0.norm1.{parts[-1]}"
    layer = {"preact/bn": "norm1", "conv1/bn": "norm2", "conv2/bn": "norm3"}.get(parts[3], parts[3])
    return f"stages.{stage}.blocks.{parts[2]}.{layer}.{parts[-1]}"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(3)
    state = {
        published(name): torch.rand_like(value)
        for name, value in HoVerNet().state_dict().items()
        if name.split(".")[0] in ("conv0", "d0", "d1", "d2", "d3") and value.dtype == torch.float32
    }
    assert len([name for name in state if name.endswith("conv2.weight")]) == sum(BLOCKS)
    path = tmp_path_factory.mktemp("imagenet") / "model.safetensors"
    save_file({**state, "head.fc.weight": torch.zeros(10, 4)}, path)
    return path, state


def test_every_tensor_of_the_encoder_is_filled_and_no_decoder_is_touched(weights):
    path, state = weights
    net = HoVerNet("fast", 6)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    load_encoder(net, path)
    for name, value in net.state_dict().items():
        if name in ("conv0./.weight", "conv0.bn.running_mean") or "num_batches" in name:
            continue
        encoder = name.split(".")[0] in ("conv0", "d0", "d1", "d2", "d3")
        assert torch.equal(value, state[published(name)] if encoder else before[name]), name


def test_inputs_from_0_to_1_are_seen_as_the_normalised_ones_of_the_training(weights):
    path, state = weights
    net = HoVerNet("original").eval()
    load_encoder(net, path)
    images = torch.rand(1, 3, 20, 20)
    norm = {key: state[f"stages.0.blocks.0.norm1.{key}"] for key in ("running_mean", "running_var", "weight", "bias")}
    seen = torch.nn.functional.conv2d((images - MEAN) / DEVIATION, state["stem.conv.weight"])
    expected = torch.nn.functional.batch_norm(seen, **norm).relu()
    torch.testing.assert_close(net.conv0(images), expected, rtol=1e-3, atol=1e-3)


def test_what_does_not_fit_is_named(weights, tmp_path):
    path, _ = weights
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors: expected ImageNet weights.*download resnetv2-50"):
        load_encoder(HoVerNet(), tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match=r"expected a network of width 1 for ImageNet weights, found 0\.25"):
        load_encoder(HoVerNet(width=0.25), path)
    other = tmp_path / "other.safetensors"
    save_file({"stem.conv.weight": torch.zeros(64, 3, 7, 7)}, other)
    with pytest.raises(ValueError, match=r"other\.safetensors: .*found no fitting conv0\.bn\.weight"):
        load_encoder(HoVerNet(), other)
    (tmp_path / "cut.safetensors").write_bytes(b"cut")
    with pytest.raises(ValueError, match=r"cut\.safetensors: expected a safetensors file"):
        load_encoder(HoVerNet(), tmp_path / "cut.safetensors")
