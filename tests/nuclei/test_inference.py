import cv2
import numpy as np
import pytest
import torch

from histolib.imaging import Patch
from histolib.metrics import segmentation_scores
from histolib.nuclei import (
    find_nuclei,
    hover_targets,
    orientations,
    patch_maps,
    postprocess,
    predict_maps,
    published_thresholds,
)
from histolib.nuclei.inference import mirrored


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (305, 247, 3), dtype=np.uint8)


@pytest.mark.parametrize("mode", ["fast", "original"])
@pytest.mark.parametrize("tile_px", [235, 260])
def test_stitched_maps_are_those_of_the_whole_image_whatever_the_weights(narrow, picture, mode, tile_px):
    net = narrow(mode).double()  # in which rounding cannot hide a border
    picture = picture[:, :180]
    whole, tiled = predict_maps(net, picture), predict_maps(net, picture, tile_px=tile_px)
    assert whole["hv"].std() > 0.1
    for name in ("np", "hv"):
        np.testing.assert_allclose(tiled[name], whole[name], atol=1e-6)
    np.testing.assert_array_equal(tiled["tp"], whole["tp"])


@pytest.mark.parametrize("mode", ["fast", "original"])
def test_single_precision_keeps_stitched_maps_within_a_thousandth(narrow, picture, mode):
    net = narrow(mode, sharp=False)
    whole, tiled = predict_maps(net, picture), predict_maps(net, picture, tile_px=216)
    for name in ("np", "hv"):
        np.testing.assert_allclose(tiled[name], whole[name], atol=1e-3)


def test_many_images_go_through_together(narrow, picture):
    net, images = narrow().double(), np.stack([picture, picture[::-1], picture[:, ::-1]])[:, :270, :60]
    together = predict_maps(net, images, tile_px=235)
    for position, image in enumerate(images):
        for name, values in predict_maps(net, image).items():
            np.testing.assert_allclose(together[name][position], values, atol=1e-6)
    assert {name: values.shape[0] for name, values in predict_maps(net, images[:0]).items()} == {
        "np": 0,
        "hv": 0,
        "tp": 0,
    }


def test_maps_are_the_logits_of_the_mirrored_image(narrow, picture):
    net, image = narrow().double(), picture[:20, :28]  # sizes at which the network's output fits exactly
    padded = np.pad(image, ((46, 46), (46, 46), (0, 0)), mode="reflect")
    with torch.inference_mode():
        logits = net(torch.from_numpy(padded).permute(2, 0, 1)[None].double() / 255)
    maps = predict_maps(net, image)
    np.testing.assert_allclose(maps["np"], logits["np"].softmax(1)[0, 1], atol=1e-6)
    np.testing.assert_allclose(maps["hv"], logits["hv"][0].permute(1, 2, 0), atol=1e-6)
    np.testing.assert_array_equal(maps["tp"], logits["tp"][0].argmax(0))
    assert {name: values.dtype for name, values in maps.items()} == {"np": np.float32, "hv": np.float32, "tp": np.uint8}


@pytest.mark.parametrize("mode", ["fast", "original"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 37), (9, 2), (13, 101)])
def test_any_size_has_maps_and_a_table(narrow, picture, mode, shape):
    image = picture[: shape[0], : shape[1]]
    net = narrow(mode)
    maps = predict_maps(net, image)
    assert {name: values.shape for name, values in maps.items()} == {"np": shape, "hv": (*shape, 2), "tp": shape}
    assert all(np.isfinite(values).all() for values in maps.values())
    assert {"x", "y", "area", "box", "contour", "type", "score", "area_um2"} <= set(
        find_nuclei(Patch(image, 0.3), net, 0.5)
    )


def test_without_types_there_is_no_map_of_them(narrow, picture):
    net = narrow(num_types=None)
    assert set(predict_maps(net, picture[:16, :16])) == {"np", "hv"}
    assert "type" not in find_nuclei(Patch(picture[:16, :16], 0.5), net, 0.5)


def test_the_network_is_left_as_it_is(narrow, picture):
    net = narrow().train()
    before = {name: (value.clone(), value.stride()) for name, value in net.state_dict().items()}
    evaluated = predict_maps(narrow(), picture[:16, :16])
    for name, values in predict_maps(net, picture[:16, :16]).items():
        np.testing.assert_array_equal(values, evaluated[name])
    assert all(module.training for module in net.modules())
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name][0])
        assert value.stride() == before[name][1]
    with pytest.raises(ValueError, match="keeps nothing"):
        predict_maps(net, picture, tile_px=128)


def test_lower_precision_is_close(narrow, picture):
    net = narrow(sharp=False)
    exact, rough = predict_maps(net, picture[:60, :60]), predict_maps(net, picture[:60, :60], autocast=torch.bfloat16)
    assert 0 < np.abs(rough["np"] - exact["np"]).mean() < 0.1


@pytest.mark.parametrize(("start", "count", "size"), [(-5, 20, 7), (0, 4, 4), (3, 30, 2), (-3, 5, 1)])
def test_indices_are_mirrored_as_numpy_pads(start, count, size):
    far = count + 10
    expected = np.pad(np.arange(size), far, mode="reflect")[far + start : far + start + count]
    np.testing.assert_array_equal(mirrored(start, count, size), expected)


class Oracle(torch.nn.Module):
    """Stands in for a trained network: nuclei are what is dark, distances are those to the centre of `disc`."""

    num_types, margin_px = 3, 46

    def __init__(self, disc):
        super().__init__()
        self.disc, self.unused = disc, torch.nn.Parameter(torch.zeros(1))

    def input_px(self, size):
        return -(-(size + 92) // 8) * 8

    def forward(self, images):
        dark = (images[:, 0, 46:-46, 46:-46] < 0.5).float()
        x, y, radius = self.disc
        rows, columns = torch.meshgrid(*(torch.arange(float(size)) for size in dark.shape[1:]), indexing="ij")
        hv = torch.stack([(columns - x) / radius, (rows - y) / radius])[None] * dark
        return {
            "np": torch.stack([-8 * dark + 4, 8 * dark - 4], 1),
            "hv": hv,
            "tp": torch.stack([1 - dark, 0 * dark, dark], 1),
        }


def test_a_nucleus_is_found_in_pixels_and_microns_of_its_own_patch():
    mpp, centre, radius = 0.25, (70.0, 45.0), 16.0
    y, x = np.indices((101, 133))
    dark = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= radius**2
    patch = Patch(np.where(dark[..., None], 60, 230).repeat(3, axis=2).astype(np.uint8), mpp)
    net = Oracle(((centre[0] + 0.5) / 2 - 0.5, (centre[1] + 0.5) / 2 - 0.5, radius / 2))
    (row,) = find_nuclei(patch, net, 0.5).itertuples()
    np.testing.assert_allclose((row.x, row.y), centre, atol=0.6)
    assert row.area == pytest.approx(np.pi * radius**2, rel=0.1)
    assert row.area_um2 == pytest.approx(row.area * mpp**2)
    assert (row.type, row.type_prob) == (2, pytest.approx(1.0, abs=0.01))
    assert row.score > 0.9, "its border is blurred where maps are enlarged"
    np.testing.assert_allclose(row.box, (29, 54, 62, 87), atol=2)
    np.testing.assert_allclose(row.contour.mean(axis=0), centre, atol=1.5)


@pytest.mark.parametrize(
    ("mpp", "expected", "sides"),
    [
        (0.25, 0.25, (80, 112)),
        (0.4, 0.4, (80, 112)),
        (0.5, 0.5, (80, 112)),
        (0.8, 0.5, (128, 179)),
        (0.1, 0.25, (32, 45)),
    ],
)
def test_maps_are_as_fine_as_the_patch_between_the_published_scale_and_the_networks(
    picture, narrow, mpp, expected, sides
):
    patch = Patch(picture[:80, :112], mpp)
    found = patch_maps(patch, narrow("fast", 3), 0.5)
    assert (found.mpp, found.maps["np"].shape, found.maps["hv"].shape) == (expected, sides, (*sides, 2))
    assert set(np.unique(found.maps["tp"])) <= {0, 1, 2}, "types are not mixed"
    np.testing.assert_allclose(np.multiply(found.scale, sides[::-1]), (112, 80))


def test_two_touching_nuclei_are_parted_where_the_networks_own_pixels_merge_them(discs, monkeypatch):
    """Discs of 2 microns whose centres lie 4.2 apart: at half the resolution no pixel lies between them."""
    mpp, coarse = 0.25, 0.5
    truth = discs((64, 64), (23, 32, 8), (40, 32, 8))
    maps = {"np": (truth > 0).astype(np.float32), "hv": hover_targets(truth)}
    small = {name: cv2.resize(values, (32, 32), interpolation=cv2.INTER_AREA) for name, values in maps.items()}
    monkeypatch.setattr(orientations, "predict_maps", lambda net, image, **how: small)
    found = patch_maps(Patch(np.zeros((64, 64, 3), np.uint8), mpp), None, coarse)
    overlaps = segmentation_scores(found.instances(None, coarse), truth)
    rough = cv2.resize(postprocess(small["np"], small["hv"], **published_thresholds(coarse)), (64, 64), interpolation=0)
    assert overlaps["pq"] > segmentation_scores(rough, truth)["pq"]
    assert overlaps["dq"] == 1
