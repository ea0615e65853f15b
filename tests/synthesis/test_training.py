import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from histolib.synthesis.classifier import ARMS, classify
from histolib.synthesis.gans import FAMILIES, CropGenerator
from histolib.synthesis.settings import CLASSIFIERS, GANS
from histolib.synthesis.training import WEIGHTS, train_classifier, train_gan
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


KINDS = "sngan", "wgan", "classifier"


def resumable(kind, crops, folder, **options):
    options |= {"progress": False, "save_every": 2}
    if kind == "classifier":
        return train_classifier(crops, ARMS["sampler and augmentation"], NARROW, folder, **options).state_dict()
    train_gan(crops, replace(TINY, family=kind), folder, **options)
    return CropGenerator.load(folder / WEIGHTS).state_dict()


KILLED = """
import os, pickle, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_training import KINDS, resumable
from histolib.synthesis.training import ClassifierTask, GANTask

work, seen = Path(sys.argv[2]), []

def killing(step):
    def wrapped(self, batch, accelerator):
        seen.append(0)
        if len(seen) == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, batch, accelerator)
    return wrapped

for task in (ClassifierTask, GANTask):
    task.step = killing(task.step)
for kind in KINDS:
    if not os.fork():
        resumable(kind, pickle.loads((work / "crops").read_bytes()), work / kind)
    print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_a_killed_training_resumes_to_the_same_bits(two_colours, tmp_path):
    crops = two_colours(6, 2)
    (tmp_path / "crops").write_bytes(pickle.dumps(crops))
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path)]
    child = subprocess.run(command, check=False, capture_output=True, text=True)
    assert child.stdout.split() == [str(-signal.SIGKILL)] * len(KINDS), child.stderr
    for kind in KINDS:
        assert load_checkpoint(tmp_path / kind / "checkpoint.pt")["step"] == 4
        resumed = resumable(kind, crops, tmp_path / kind, resume=True)
        whole = resumable(kind, crops, tmp_path / "whole" / kind)
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
