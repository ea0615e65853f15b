import gzip
import json
from pathlib import Path

import pytest
import torch

from histolib.nuclei import HoVerNet

MANIFEST = json.loads(gzip.decompress((Path(__file__).parent / "hovernet_state.json.gz").read_bytes()))
CONFIGS = {
    "fast_types6": ("fast", 6),
    "fast_notypes": ("fast", None),
    "original_types5": ("original", 5),
    "original_notypes": ("original", None),
}
WIDTH = 1 / 16


def spread(state, seed=0):
    """The state with values that no initialisation gives, so that a tensor left unloaded shows."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(value.shape, generator=generator) + 0.5 if value.is_floating_point() else value + 7
        for name, value in state.items()
    }


@pytest.mark.parametrize("name", MANIFEST)
def test_names_order_and_shapes_of_the_state_are_the_official_ones(name):
    mode, num_types = CONFIGS[name]
    with torch.device("meta"):
        net = HoVerNet(mode, num_types)
    found = {key: list(value.shape) for key, value in net.state_dict().items()}
    assert found == MANIFEST[name]["state"]
    assert list(found) == list(MANIFEST[name]["state"])
    assert sum(parameter.numel() for parameter in net.parameters()) == MANIFEST[name]["parameters"]


@pytest.mark.parametrize(("mode", "inner", "outer"), [("fast", 256, 164), ("original", 270, 80)])
def test_layers_have_the_sizes_of_the_paper_and_outputs_those_of_the_published_code(mode, inner, outer):
    net = HoVerNet(mode, 6, WIDTH).eval()
    sizes = {}
    for name, module in net.named_modules():
        module.register_forward_hook(lambda _, __, out, name=name: sizes.update({name: out}))
    with torch.inference_mode():
        logits = net(torch.rand(2, 3, inner, inner))
    assert {name: tuple(value.shape) for name, value in logits.items()} == {
        "tp": (2, 6, outer, outer),
        "np": (2, 2, outer, outer),
        "hv": (2, 2, outer, outer),
    }
    full = {"fast": 256, "original": 264}[mode]
    u3, u2 = {"fast": (46, 82), "original": (30, 40)}[mode]
    expected = {"conv0": full, "d0": full, "d1": full // 2, "d2": full // 4, "d3": full // 8, "conv_bot": full // 8}
    expected |= {"decoder.np.u3": u3, "decoder.hv.u2": u2, "decoder.tp.u1": outer}
    assert {name: sizes[name].shape[-1] for name in expected} == expected
    channels = {"conv0": 64, "d0": 256, "d1": 512, "d2": 1024, "d3": 2048, "conv_bot": 1024}
    assert {name: sizes[name].shape[1] for name in channels} == {name: int(c * WIDTH) for name, c in channels.items()}


@pytest.mark.parametrize("mode", ["fast", "original"])
def test_the_margin_and_input_sizes_hold_for_every_output_down_to_one_pixel(mode):
    net = HoVerNet(mode, None, WIDTH).eval()
    for wanted in (1, 4, 5, 8, 9, 20):
        side = net.input_px(wanted)
        with torch.inference_mode():
            found = net(torch.rand(1, 3, side, net.input_px(1)))["np"].shape
        assert wanted <= found[2] < wanted + 8
        assert found[2] == side - 2 * net.margin_px
    assert net.input_px({"fast": 164, "original": 80}[mode]) == {"fast": 256, "original": 270}[mode]


@pytest.mark.parametrize(("mode", "side", "named"), [("fast", 250, 256), ("original", 256, 262), ("fast", 8, 96)])
def test_a_size_between_the_grid_is_refused_and_the_next_one_named(mode, side, named):
    with pytest.raises(ValueError, match=rf"\(N, 3, {named}, {named}\), found \(1, 3, {side}, {side}\)"):
        HoVerNet(mode, None, WIDTH)(torch.rand(1, 3, side, side))


@pytest.mark.parametrize("shape", [(3, 256, 256), (1, 1, 256, 256), (256, 256, 3)])
def test_images_of_another_layout_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected images \(N, 3, "):
        HoVerNet("fast", None, WIDTH)(torch.rand(shape))


@pytest.mark.parametrize("arguments", [{"mode": "slow"}, {"num_types": 1}, {"width": 0.0}])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match="HoVerNet: expected"):
        HoVerNet(**arguments)


@pytest.mark.parametrize("mode", ["fast", "original"])
def test_every_weight_gets_a_finite_gradient(mode):
    torch.manual_seed(0)
    net = HoVerNet(mode, 3, WIDTH)
    side = net.input_px(16)
    sum(value.square().mean() for value in net(torch.rand(2, 3, side, side)).values()).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_evaluation_is_deterministic_and_leaves_the_state_alone(narrow):
    net, images = narrow(), torch.rand(2, 3, 96, 112)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.inference_mode():
        one, two, alone = net(images), net(images), net(images[1:])
    for name in one:
        assert torch.equal(one[name], two[name])
        torch.testing.assert_close(one[name][1:], alone[name], rtol=1e-4, atol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_it_runs_in_half_precision(narrow, dtype):
    net, images = narrow(sharp=False), torch.rand(1, 3, 96, 96)
    with torch.inference_mode():
        exact, half = net(images), net.to(dtype)(images.to(dtype))
    for name in exact:
        assert half[name].dtype == dtype
        together = torch.stack([half[name].float().flatten(), exact[name].flatten()])
        assert torch.corrcoef(together)[0, 1] > 0.8


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("kind", ["desc.tar", "plain.pth", "parallel.tar"])
def test_an_official_checkpoint_goes_round(tmp_path, monkeypatch, config, kind):
    mode, num_types = CONFIGS[config]
    monkeypatch.setattr(HoVerNet, "__init__", _narrow_init)
    state = spread(HoVerNet(mode, num_types).state_dict())
    saved = {f"module.{name}": value for name, value in state.items()} if "parallel" in kind else state
    torch.save(saved if "plain" in kind else {"desc": saved, "epoch": 50}, tmp_path / kind)
    net = HoVerNet.from_official(tmp_path / kind)
    assert (net.mode, net.num_types, net.training) == (mode, num_types, False)
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def _narrow_init(self, mode="fast", num_types=None, width=WIDTH, init=HoVerNet.__init__):
    init(self, mode, num_types, width)


def test_every_tensor_that_does_not_fit_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(HoVerNet, "__init__", _narrow_init)
    state = HoVerNet("fast", 6).state_dict()
    state["decoder.hv.u3.conva.weight"] = torch.zeros(16, 64, 5, 5)
    state["decoder.tp.u0.conv.bias"] = torch.zeros(5)
    state["surplus"] = state.pop("conv_bot.weight")
    torch.save({"desc": state}, tmp_path / "mixed.tar")
    with pytest.raises(ValueError, match=r"mixed\.tar.*mode 'fast', num_types 6") as caught:
        HoVerNet.from_official(tmp_path / "mixed.tar")
    for part in (
        "missing conv_bot.weight",
        "unknown surplus",
        "decoder.hv.u3.conva.weight of shape (16, 64, 5, 5), expected (16, 64, 3, 3)",
        "decoder.tp.u0.conv.bias of shape (5,), expected (6,)",
    ):
        assert part in str(caught.value)


def test_files_that_are_no_checkpoint_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.tar"):
        HoVerNet.from_official(tmp_path / "absent.tar")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ValueError, match=r"text\.pth.*does not load"):
        HoVerNet.from_official(tmp_path / "text.pth")
    for name, content in (
        ("other.pth", {"layer.weight": torch.zeros(2)}),
        ("list.tar", [1]),
        ("deep.tar", {"desc": 3}),
    ):
        torch.save(content, tmp_path / name)
        with pytest.raises(ValueError, match=rf"{name}.*expected the state of a HoVer-Net"):
            HoVerNet.from_official(tmp_path / name)
