"""A start that inverts must invert both ways, be taken up by a training, and be caught by the guard."""

from dataclasses import replace

import pytest
import torch

from histolib.imaging import summed_density
from histolib.metrics import density_correlation
from histolib.translation import ContentLost, TranslationSettings, inverted_start, load_generator, train, translate

torch.set_num_threads(1)
SETTINGS = TranslationSettings(width=8, blocks=1, discriminator_width=4, patch_px=48, warm_steps=60, lr_generator=3e-3)


@pytest.fixture(scope="module")
def start(tmp_path_factory, brown, tissue):
    folder = tmp_path_factory.mktemp("inverted")
    history = inverted_start([brown], [tissue], SETTINGS, folder)
    return folder, history


def test_dark_and_light_are_exchanged_both_ways(start, brown, tissue):
    folder, history = start
    assert len(history) == SETTINGS.warm_steps
    for patch, name in ((brown, "ihc_to_he"), (tissue, "he_to_ihc")):
        generator, _ = load_generator(folder / f"{name}.safetensors")
        after = translate(patch, generator).image
        assert density_correlation(summed_density(after), summed_density(patch.image)) < -0.3


def test_a_training_that_begins_there_is_stopped_by_the_guard(start, brown, tissue, tmp_path):
    guarded = replace(SETTINGS, warm_steps=0, identity=0.0, content=0.0, content_limit=0.3, grace_steps=5)
    with pytest.raises(ContentLost, match=r"after 6 adversarial steps.*dark and light are exchanged"):
        train([brown], [tissue], guarded, tmp_path, start=start[0], progress=False)
