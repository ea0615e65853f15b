import numpy as np
import pytest
import torch

from histolib.synthesis.classifier import ARMS, EfficientNet, NarrowNet, augment, classify, drawing, training_set, turn
from histolib.synthesis.crops import Crops


def test_the_sampler_draws_every_type_equally_often_and_without_it_every_crop(two_colours):
    for balanced, share in ((False, 0.05), (True, 0.5)):
        draw = drawing(two_colours(190, 10), 1000, seed=0, balanced=balanced)
        assert np.mean([int(draw(i)["label"]) for i in range(1000)]) == pytest.approx(share, abs=0.05)


def test_a_draw_depends_on_seed_and_index_alone(two_colours):
    crops = two_colours(5, 3)
    first, second = (drawing(crops, 8, 1, balanced=True, change=augment) for _ in range(2))
    expected = [first(i)["image"] for i in range(8)]
    for i in (5, 0, 7):
        assert torch.equal(second(i)["image"], expected[i])
    other = drawing(crops, 8, 2, balanced=True, change=augment)
    assert not all(torch.equal(other(i)["image"], expected[i]) for i in range(8))
    assert len({turn(crops.images[0], np.random.default_rng(i)).tobytes() for i in range(100)}) == 8


def test_arms_add_the_synthetic_crops_that_they_promise(two_colours):
    real = two_colours(6, 2)

    def synthesise(labels):
        return Crops(np.zeros((len(labels), 32, 32, 3), np.uint8), labels, np.full(len(labels), "made"), real.types)

    sets = {name: training_set(real, arm, synthesise) for name, arm in ARMS.items()}
    made = {name: crops.take(crops.groups == "made").counts.tolist() for name, crops in sets.items()}
    total = {name: crops.counts.tolist() for name, crops in sets.items()}
    assert made["sampler and augmentation"] == made["plain"] == [0, 0]
    assert (made["real plus synthetic"], total["real plus synthetic"]) == ([6, 2], [12, 4])
    assert (made["balanced by synthetic"], total["balanced by synthetic"]) == ([0, 4], [6, 6])
    assert made["synthetic alone"] == total["synthetic alone"] == [6, 6]
    with pytest.raises(ValueError, match="expected a generator for 'alone' synthetic crops, found none"):
        training_set(real, ARMS["synthetic alone"])
    with pytest.raises(ValueError, match="training_set: expected crops of every type, found none of blue"):
        training_set(two_colours(3, 0), ARMS["plain"])


@pytest.mark.parametrize("build", [NarrowNet, lambda count: EfficientNet(count, pretrained=False)])
def test_networks_take_one_crop_or_none_and_refuse_another_size(build, two_colours):
    torch.manual_seed(0)
    net = build(2)
    crops = two_colours(1, 0)
    probabilities = classify(net, crops)
    assert probabilities.sum() == pytest.approx(1)
    assert classify(net, crops.take(crops.labels == 1)).shape == (0, 2)
    with pytest.raises(ValueError, match=r"expected images \(N, 3, 32, 32\), found \(1, 3, 33, 32\)"):
        net(torch.zeros(1, 3, 33, 32))


def test_without_a_network_efficientnet_starts_from_random_weights_and_says_so(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", lambda *_: (_ for _ in ()).throw(OSError("no network")))
    assert not EfficientNet(2).imagenet
    assert "no ImageNet weights (no network)" in caplog.text
