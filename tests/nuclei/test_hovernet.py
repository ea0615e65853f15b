import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from histolib.io import Provenance
from histolib.nuclei import HoVerNet, predict_maps
from histolib.nuclei.postprocess import published_thresholds

MANIFEST = json.loads(gzip.decompress((Path(__file__).parent / "hovernet_state.json.gz").read_bytes()))
WIDTH = 1 / 16
CHANNELS = {"tp": 6, "np": 2, "hv": 2}


@pytest.mark.parametrize("name", MANIFEST)
def test_the_state_has_the_official_names_order_and_shapes(name):
    with torch.device("meta"):
        net = HoVerNet(name.partition("_")[0], None if name.endswith("notypes") else int(name[-1]))
    found = [(key, list(value.shape)) for key, value in net.state_dict().items()]
    assert found == list(MANIFEST[name]["state"].items())
    assert sum(parameter.numel() for parameter in net.parameters()) == MANIFEST[name]["parameters"]


@pytest.mark.parametrize(("mode", "inner", "outer"), [("fast", 256, 164), ("original", 270, 80)])
def test_outputs_have_the_published_sizes_and_thresholds_follow_the_scale(mode, inner, outer):
    net = HoVerNet(mode, 6, WIDTH).eval()
    with torch.inference_mode():
        logits = net(torch.rand(2, 3, inner, inner))
    assert {n: tuple(v.shape) for n, v in logits.items()} == {n: (2, c, outer, outer) for n, c in CHANNELS.items()}
    assert (net.mpp, net.types, net.provenance) == (0.25, (), Provenance())
    assert net.thresholds == published_thresholds(0.25)
    net.mpp = 0.5
    assert net.thresholds == published_thresholds(0.5)


@pytest.mark.parametrize(
    ("mode", "shape", "named"),
    [
        ("fast", (1, 3, 250, 250), "256, 256"),
        ("original", (1, 3, 256, 256), "262, 262"),
        ("fast", (1, 3, 8, 8), "96, 96"),
        ("fast", (1, 1, 256, 256), "256, 256"),
        ("fast", (3, 256, 256), "H, W"),
    ],
)
def test_images_of_other_shapes_are_refused_and_the_next_size_is_named(mode, shape, named):
    message = re.escape(f"HoVerNet ({mode}): expected images (N, 3, {named}), found {shape}")
    with pytest.raises(ValueError, match=message):
        HoVerNet(mode, None, WIDTH)(torch.rand(shape))
    for arguments in ({"mode": "slow"}, {"num_types": 1}, {"width": 0.0}):
        with pytest.raises(ValueError, match="HoVerNet: expected"):
            HoVerNet(**arguments)


@pytest.mark.parametrize("mode", ["fast", "original"])
def test_every_weight_gets_a_finite_gradient_and_sizes_hold_for_outputs_down_to_one_pixel(mode):
    torch.manual_seed(0)
    net = HoVerNet(mode, 3, WIDTH)
    side = net.input_px(16)
    sum(value.square().mean() for value in net(torch.rand(2, 3, side, side)).values()).backward()
    for name, parameter in net.named_parameters():
        assert 0 < parameter.grad.abs().sum() < torch.inf, name
    net.eval()
    for wanted in (1, 4, 5, 8, 9, 20):
        with torch.inference_mode():
            found = net(torch.rand(1, 3, net.input_px(wanted), net.input_px(1)))["np"].shape[2]
        assert wanted <= found == net.input_px(wanted) - 2 * net.margin_px < wanted + 8
    assert net.input_px({"fast": 164, "original": 80}[mode]) == {"fast": 256, "original": 270}[mode]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_it_runs_in_half_precision(narrow, dtype):
    net, images = narrow(sharp=False), torch.rand(1, 3, 96, 96)
    with torch.inference_mode():
        exact, half = net(images), net.to(dtype)(images.to(dtype))
    for name in exact:
        assert half[name].dtype == dtype
        together = torch.stack([half[name].float().flatten(), exact[name].flatten()])
        assert torch.corrcoef(together)[0, 1] > 0.8


@pytest.mark.parametrize("mode", ["fast", "original"])
def test_same_size_maps_equal_predicted_maps_and_are_differentiable(narrow, mode):
    net = narrow(mode, sharp=False).requires_grad_(False)
    images = (torch.rand(1, 3, 100, 108) * 255).round().div(255).requires_grad_()
    logit, hv = net.same_size_maps(images)
    assert (logit.shape, hv.shape) == ((1, 100, 108), (1, 2, 100, 108))
    (logit.mean() + hv.mean()).backward()
    assert images.grad.abs().sum() > 0
    maps = predict_maps((images.detach()[0] * 255).round().byte().permute(1, 2, 0).numpy(), net)
    np.testing.assert_allclose(logit[0].detach().sigmoid(), maps["np"], atol=1e-4)
    np.testing.assert_allclose(hv[0].detach().permute(1, 2, 0), maps["hv"], atol=1e-3)
