import numpy as np
import pytest
import torch

from histolib.data.samples import InstanceSample, KeypointSample
from histolib.imaging import Patch
from histolib.synthesis.crops import CROP_PX, Crops, nucleus_crops, to_images, to_tensor

TYPES = {1: "round", 4: "odd"}


def dots(mpp, size, points, types):
    """A black patch with a white 2 x 2 dot around each point (between four pixels)."""
    image = np.zeros((size, size, 3), np.uint8)
    for x, y in points:
        image[int(y) : int(y) + 2, int(x) : int(x) + 2] = 255
    xy = np.array(points, float).reshape(-1, 2)
    return KeypointSample(Patch(image, mpp, "dots"), xy, np.array(types, int))


def test_the_nucleus_is_in_the_centre_at_the_scale_of_the_crops():
    crops = nucleus_crops([dots(0.5, 64, [(40.5, 30.5), (0.5, 0.5)], [1, 4])], TYPES)
    assert (crops.images[:, 15:17, 15:17] == 255).all()
    assert not crops.images[0, 17:, 17:].any()
    assert (crops.labels.tolist(), crops.groups.tolist(), crops.types) == ([0, 1], ["dots", "dots"], ("round", "odd"))
    coarse = dots(0.5, 64, [(40.5, 30.5)], [1])
    fine = np.repeat(np.repeat(coarse.patch.image, 2, 0), 2, 1)  # the same tissue at 0.25 microns per pixel
    sample = KeypointSample(Patch(fine, 0.25, "fine"), np.array([[81.5, 61.5]]), np.array([1]))
    assert np.array_equal(nucleus_crops([sample], TYPES, ["a"]).images, nucleus_crops([coarse], TYPES).images)


def test_outlines_give_centroids_groups_and_listed_types_only():
    patch, ids = dots(0.5, 64, [(20, 20)], [1]).patch, np.zeros((64, 64), np.int32)
    ids[20:22, 20:22], ids[50:52, 50:52] = 1, 2
    crops = nucleus_crops([InstanceSample(patch, ids, np.array([4, 3]), "", "fold1")], TYPES)
    assert (crops.labels.tolist(), crops.groups.tolist()) == ([1], ["fold1"])
    assert (crops.images[0, 15:17, 15:17] == 255).all()


def test_no_nucleus_gives_no_crop_and_a_tiny_patch_is_mirrored():
    for nothing in ([], [dots(0.5, 64, [], [])]):
        assert nucleus_crops(nothing, TYPES).images.shape == (0, CROP_PX, CROP_PX, 3)
    assert len(nucleus_crops([dots(0.5, 3, [(1, 1)], [1])], TYPES)) == 1


def test_unusable_crops_are_refused_in_one_line(two_colours):
    crops, image = two_colours(2, 1), np.zeros((1, CROP_PX, CROP_PX, 3), np.uint8)
    for images, labels, groups, message in (
        (image[:, 1:], [0], ["a"], r"expected uint8 \(1, 32, 32, 3\), found uint8 \(1, 31, 32, 3\)"),
        (image, [0], [], "expected 1 groups, found 0"),
        (image, [2], ["a"], "expected labels 0 to 1, found 2 to 2"),
    ):
        with pytest.raises(ValueError, match=message):
            Crops(images, np.array(labels), np.array(groups), ("a", "b"))
    with pytest.raises(ValueError, match="expected types red, blue, found a, b"):
        crops.joined(Crops(image, np.array([0]), np.array(["a"]), ("a", "b")))
    with pytest.raises(ValueError, match="a group for each of 0 samples, found 1"):
        nucleus_crops([], TYPES, ["a"])


def test_joined_crops_keep_their_order_and_tensors_their_values(two_colours):
    crops = two_colours(2, 3)
    assert crops.joined(crops.take(np.array([4]))).counts.tolist() == [2, 4]
    assert np.array_equal(to_images(to_tensor(crops.images)), crops.images)
    assert to_images(torch.full((1, 3, 1, 1), 1.5)).max() == 255
