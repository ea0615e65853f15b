from dataclasses import replace

import numpy as np
import pytest
import torch

from histolib.synthesis.classifier import ARMS, classify
from histolib.synthesis.gans import FAMILIES, CropGenerator
from histolib.synthesis.settings import CLASSIFIERS, GANS
from histolib.synthesis.training import WEIGHTS, ClassifierTask, GANTask, train_classifier, train_gan
from histolib.training.checkpoint import load_checkpoint

TINY = replace(GANS["quick"], width=4, latent=8, batch_size=8, steps=6, ema=0.9)
NARROW = replace(CLASSIFIERS["quick"], width=4, batch_size=8, steps=6)


def test_generated_crops_differ_by_type_after_training_on_two_colours(two_colours, tmp_path):
    settings = replace(TINY, width=8, batch_size=16, steps=80, lr_generator=2e-3, lr_discriminator=2e-3)
    history = train_gan(two_colours(40, 4), settings, tmp_path, progress=False)
    assert history.columns.tolist() == ["discriminator", "generator"]
    made = CropGenerator.load(tmp_path / WEIGHTS).generate(np.array([0] * 8 + [1] * 8)).images.astype(float)
    redness = (made[..., 0] - made[..., 2]).mean((1, 2))  # about +140 and -140 in the training set
    assert redness[:8].min() > 50
    assert redness[8:].max() < -50


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_trains_and_logs_its_losses(family, two_colours, tmp_path):
    history = train_gan(two_colours(3, 1), replace(TINY, family=family, ema=0.0), tmp_path, progress=False)
    assert np.isfinite(history["discriminator"]).all()
    assert history["generator"].count() == TINY.steps // FAMILIES[family].critic_steps
    assert ("penalty" in history) == (family == "wgan")
    assert ("class" in history) == (family == "acgan")


def test_a_classifier_learns_two_colours_and_one_crop_of_each_type_is_enough(two_colours, tmp_path):
    net = train_classifier(two_colours(1, 1), ARMS["plain"], replace(NARROW, steps=40), tmp_path, progress=False)
    crops = two_colours(6, 6)
    assert (classify(net, crops).argmax(1) == crops.labels).all()


@pytest.mark.parametrize("kind", ["sngan", "wgan", "classifier"])
def test_an_interrupted_training_resumes_to_the_same_bits(kind, two_colours, tmp_path, monkeypatch):
    def train(folder, **options):
        options |= {"progress": False, "save_every": 2}
        if kind == "classifier":
            return train_classifier(crops, ARMS["sampler and augmentation"], NARROW, folder, **options).state_dict()
        train_gan(crops, replace(TINY, family=kind), folder, **options)
        return CropGenerator.load(folder / WEIGHTS).state_dict()

    crops, seen, task = two_colours(6, 2), [], ClassifierTask if kind == "classifier" else GANTask
    whole, step = train(tmp_path / "whole"), task.step

    def stopping(self, *batch):
        seen.append(batch)
        if len(seen) == 6:
            raise KeyboardInterrupt
        return step(self, *batch)

    monkeypatch.setattr(task, "step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped")
    monkeypatch.undo()
    assert load_checkpoint(tmp_path / "stopped/checkpoint.pt")["step"] == 4
    resumed = train(tmp_path / "stopped", resume=True)
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_unusable_settings_and_sets_are_refused(two_colours, tmp_path):
    for train, more in ((train_gan, (TINY,)), (train_classifier, (ARMS["plain"], NARROW))):
        with pytest.raises(ValueError, match="expected crops of every type, found none of blue"):
            train(two_colours(3, 0), *more, tmp_path)
    with pytest.raises(ValueError, match="label_smoothing: expected 0 with the hinge loss"):
        train_gan(two_colours(2, 2), replace(TINY, label_smoothing=0.1), tmp_path, progress=False)
    with pytest.raises(ValueError, match="family: expected one of dcgan"):
        train_gan(two_colours(2, 2), replace(TINY, family="vae"), tmp_path)
    with pytest.raises(ValueError, match="network: expected one of narrow, efficientnet_b0, found 'vgg'"):
        replace(NARROW, network="vgg")
