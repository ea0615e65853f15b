from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.measure import label
from skimage.segmentation import clear_border

from histolib.config import profile
from histolib.nuclei import hover_targets
from histolib.nuclei.sampling import mixed_crops, training_crops

TINY = replace(profile("quick").hovernet, types=("round", "odd"), width=1 / 16, map_px=20, jitter=0.0)


def test_crops_have_the_sizes_of_the_network_and_what_does_not_fit_is_named(tiles, sample):
    drawn = training_crops(tiles, TINY)(0)
    shapes = {name: tuple(value.shape) for name, value in drawn.items()}
    assert shapes == {"image": (3, 112, 112), "np": (20, 20), "hv": (2, 20, 20), "tp": (20, 20)}
    assert [drawn[name].dtype for name in ("image", "hv")] == [torch.float32] * 2
    assert set(training_crops(tiles, replace(TINY, types=()))(0)) == {"image", "np", "hv"}
    draw, again, other = (training_crops(tiles, replace(TINY, seed=seed)) for seed in (0, 0, 1))
    for index in (5, 0, 5):
        assert all(torch.equal(value, again(index)[name]) for name, value in draw(index).items())
    assert any(not torch.equal(draw(i)["image"], other(i)["image"]) for i in range(5))
    assert len({draw(i)["image"].numpy().tobytes() for i in range(20)}) > 10
    with pytest.raises(ValueError, match="train_hovernet: expected at least one sample, found none"):
        training_crops([], TINY)
    with pytest.raises(ValueError, match=r"map_px: expected a multiple of 8 plus 4 such as 28, found 24"):
        training_crops(tiles, replace(TINY, map_px=24))
    unknown = sample(np.ones((30, 30), int) * (np.arange(30) > 9), types=[3], name="tile 7")
    with pytest.raises(ValueError, match=r"tile 7: expected types 1 to 2 \(round, odd\), found 3"):
        training_crops([unknown], TINY)(0)


@pytest.mark.parametrize(("shape", "mpp"), [((70, 64), 0.5), ((140, 128), 0.25), ((9, 40), 0.5), ((1, 1), 0.5)])
def test_targets_lie_on_the_nuclei_of_the_image_at_any_size_and_scale(discs, sample, shape, mpp):
    circles = [np.array((x, y, 6)) * 0.5 / mpp for x, y in ((5, 5), (35, 8), (20, 40), (50, 60))]
    draw = training_crops([sample(discs(shape, *circles), mpp)], TINY)
    equal = []
    for drawn in map(draw, range(12)):
        dark = drawn["image"][:, 46:-46, 46:-46].mean(dim=0) < 0.7
        equal.append((dark == (drawn["np"] == 1)).float().mean().item())
        assert torch.equal(drawn["tp"], drawn["np"])
        assert not drawn["hv"][:, drawn["np"] == 0].any()
    assert min(equal) > 0.95


@pytest.mark.parametrize("row", [0, 6])
def test_nuclei_join_their_mirror_image_only_where_they_touch(discs, sample, row):
    draw = training_crops([sample(discs((20, 20), (10, row, 4)))], replace(TINY, map_px=36))
    seen = 0
    for drawn in map(draw, range(8)):
        pieces = label(drawn["np"].numpy())
        whole = pieces == clear_border(pieces)
        seen += pieces[whole].any()
        expected = hover_targets(pieces).transpose(2, 0, 1)
        np.testing.assert_allclose(drawn["hv"].numpy()[:, whole], expected[:, whole], atol=1e-6)
    assert seen


def test_all_eight_orientations_are_drawn_and_distances_refer_to_the_whole_nucleus(discs, sample):
    instances = np.zeros((20, 20), int)
    instances[2:4, 5:16] = instances[4:9, 5:8] = 1
    draw = training_crops([sample(instances)], TINY)
    assert len({draw(index)["np"].numpy().tobytes() for index in range(80)}) == 8
    draw = training_crops([sample(discs((120, 120), (60, 60, 40)))], TINY)
    inside = [drawn["hv"].abs().max() for drawn in map(draw, range(30)) if drawn["np"].all()]
    assert 0 < max(inside) < 1


def test_mixed_crops_take_the_sources_in_turn():
    first, second = (lambda i: {"of": torch.tensor((1, i))}), (lambda i: {"of": torch.tensor((2, i))})
    assert [mixed_crops([first, second])(i)["of"].tolist() for i in range(3)] == [[1, 0], [2, 1], [1, 2]]
