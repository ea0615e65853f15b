import numpy as np
import pytest
import torch

from histolib.imaging import Patch
from histolib.nuclei import encoder_features, find_nuclei, predict_maps
from histolib.nuclei.folding import inference_copy


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (305, 247, 3), dtype=np.uint8)


@pytest.mark.parametrize("mode", ["fast", "original"])
def test_stitched_maps_equal_those_of_the_whole_image(narrow, picture, mode):
    net, image = narrow(mode).double(), picture[:260, :20]  # without rounding errors that could hide a seam
    whole, tiled = predict_maps(image, net), predict_maps(image, net, tile_px=216)
    for name in ("np", "hv", "tp"):
        np.testing.assert_allclose(tiled[name], whole[name], atol=1e-6)


def test_maps_are_the_logits_of_the_mirrored_image_and_follow_every_change_of_the_network(narrow, picture):
    net, image = narrow().double(), picture[:20, :28]  # sizes that the output of the network fits exactly
    padded = np.pad(image, ((46, 46), (46, 46), (0, 0)), mode="reflect")
    with torch.inference_mode():
        logits = net(torch.from_numpy(padded).permute(2, 0, 1)[None].double() / 255)
    maps = predict_maps(image, net)
    np.testing.assert_allclose(maps["np"], logits["np"].softmax(1)[0, 1], atol=1e-6)
    np.testing.assert_allclose(maps["hv"], logits["hv"][0].permute(1, 2, 0), atol=1e-6)
    np.testing.assert_array_equal(maps["tp"], logits["tp"][0].argmax(0))
    assert {name: values.dtype for name, values in maps.items()} == {"np": np.float32, "hv": np.float32, "tp": np.uint8}
    net, image = narrow().train(), picture[:16, :16]
    before = {name: (value.clone(), value.stride()) for name, value in net.state_dict().items()}
    evaluated = predict_maps(image, narrow())
    for name, values in predict_maps(image, net).items():
        np.testing.assert_array_equal(values, evaluated[name])
    encoder_features([Patch(image, 0.5)], net)
    assert all(module.training for module in net.modules())
    for name, value in net.state_dict().items():
        assert (torch.equal(value, before[name][0]), value.stride()) == (True, before[name][1])
    assert all(parameter.grad is None for parameter in net.parameters())
    net, first = narrow(), evaluated["np"]
    np.testing.assert_array_equal(predict_maps(image, net)["np"], first)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.no_grad():
        net.conv0[0].weight.mul_(-1)
    assert not np.array_equal(predict_maps(image, net)["np"], first)
    net.load_state_dict(state)
    np.testing.assert_array_equal(predict_maps(image, net)["np"], first)


@pytest.mark.parametrize("scales", [(0.5, 1.5), (-1.0, 1.0)])
def test_the_copy_for_inference_computes_the_same(narrow, picture, scales):
    net = narrow().float()
    for norm in (module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        torch.nn.init.uniform_(norm.weight, *scales)
        torch.nn.init.uniform_(norm.running_mean, -1, 1)
    images = torch.from_numpy(picture[:128, :160]).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        wanted, found = net(images), inference_copy(net, torch.float32)(images)
    assert all((found[name] - values).abs().max() < 1e-3 * values.abs().max() for name, values in wanted.items())


@pytest.mark.parametrize("mode", ["fast", "original"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 37), (9, 2), (13, 51)])
def test_images_of_any_size_have_maps_and_a_table(narrow, picture, mode, shape):
    image, net, untyped = picture[: shape[0], : shape[1]], narrow(mode), narrow(mode, None)
    maps = predict_maps(image, net)
    assert {name: values.shape for name, values in maps.items()} == {"np": shape, "hv": (*shape, 2), "tp": shape}
    assert all(np.isfinite(values).all() for values in maps.values())
    patch = Patch(image, 0.5)
    assert {"x", "y", "area", "contour", "type", "score", "area_um2"} <= set(find_nuclei(patch, net))
    assert not {"tp", "type"} & {*predict_maps(image, untyped), *find_nuclei(patch, untyped)}


def test_tiles_on_two_threads_have_the_maps_of_one(narrow, picture, oracle):
    net = narrow()
    torch.set_num_threads(2)
    parallel = predict_maps(picture, net, tile_px=216)
    with pytest.raises(ValueError, match="negative"):
        predict_maps(picture, oracle(np.zeros((999, 999), int)), tile_px=216)
    assert torch.get_num_threads() == 2, "a tile that failed does not change the number"
    torch.set_num_threads(1)
    for name, values in predict_maps(picture, net, tile_px=216).items():
        np.testing.assert_allclose(parallel[name], values, atol=1e-5)


@pytest.mark.parametrize("by", ["argument", "network"])
def test_lower_precision_is_close(narrow, picture, by):
    net, image = narrow(sharp=False), picture[:60, :60]
    exact = predict_maps(image, net)
    if by == "network":
        net.precision = torch.bfloat16
    rough = predict_maps(image, net, autocast=torch.bfloat16 if by == "argument" else None)
    assert 0 < np.abs(rough["np"] - exact["np"]).mean() < 0.1


def test_tiles_within_the_reach_of_the_padding_are_refused(narrow, picture):
    with pytest.raises(ValueError, match="expected a tile larger than"):
        predict_maps(picture, narrow("fast", None), tile_px=128)


def test_a_nucleus_is_found_in_pixels_and_microns_of_its_patch(discs, oracle):
    mpp, centre, radius = 0.25, (70.0, 45.0), 16.0
    dark = discs((101, 133), (*centre, radius)) > 0
    patch = Patch(np.where(dark[..., None], 60, 230).repeat(3, axis=2).astype(np.uint8), mpp)
    coarse = discs((51, 67), ((centre[0] + 0.5) / 2 - 0.5, (centre[1] + 0.5) / 2 - 0.5, radius / 2))
    (row,) = find_nuclei(patch, oracle(coarse, types=[2], mpp=0.5)).itertuples()
    np.testing.assert_allclose((row.x, row.y), centre, atol=0.6)
    assert row.area == pytest.approx(np.pi * radius**2, rel=0.1)
    assert row.area_um2 == pytest.approx(row.area * mpp**2)
    assert (row.type, row.type_prob, row.score > 0.9) == (2, pytest.approx(1.0, abs=0.01), True)
    np.testing.assert_allclose((row.contour.min(axis=0) + row.contour.max(axis=0)) / 2, centre, atol=1.5)


def test_features_depend_on_the_tissue_and_its_scale_alone(narrow, picture):
    net, tile = narrow(), picture[:16, :16]
    assert encoder_features([], narrow("original")).shape == encoder_features([], net).shape == (0, 128)
    images = [picture[:32, i : i + 40] for i in (0, 50, 100)] + [picture[:17, :9], picture[:1, :1], tile]
    patches = [Patch(image, 0.5) for image in images]
    patches += [Patch(tile.repeat(2, 0).repeat(2, 1), 0.25), Patch(tile, 1.0)]
    together = encoder_features(patches, net, batch_size=2)
    alone = np.concatenate([encoder_features([patch], net) for patch in patches])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(together[5], together[6], rtol=1e-4, atol=1e-5)
    assert not np.allclose(together[5], together[7], rtol=1e-2)
    assert np.isfinite(together).all()
