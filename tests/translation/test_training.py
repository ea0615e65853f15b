from dataclasses import replace

import numpy as np
import pytest
import torch

from histolib.imaging import Patch
from histolib.translation import (
    ContentLost,
    CycleGAN,
    TranslationSettings,
    load_generator,
    random_crop,
    train,
    translate,
    unpaired_crops,
)

torch.set_num_threads(1)
TINY = TranslationSettings(
    width=4, blocks=1, discriminator_width=4, patch_px=32, warm_steps=2, steps=4, pool=2, ema=0.9, save_every=3
)


def test_a_crop_has_its_size_at_any_scale_and_stays_inside_the_patch():
    image = np.zeros((60, 50, 3), np.uint8)
    image[10:50, 10:40] = 200
    rng = np.random.default_rng(0)
    for mpp in (0.2, 0.25, 0.33, 0.5, 0.7):
        assert random_crop(Patch(image, 0.5), 32, mpp, rng).shape == (32, 32, 3)
    assert random_crop(Patch(image[:1, :1], 0.5), 1, 0.5, rng).shape == (1, 1, 3)


def test_crops_come_in_all_eight_orientations():
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    rng = np.random.default_rng(0)
    assert len({random_crop(Patch(image, 1.0), 4, 1.0, rng).tobytes() for _ in range(200)}) == 8


def test_a_patch_smaller_than_a_crop_is_named():
    with pytest.raises(ValueError, match=r"tile 7.*64\.0 um.*50\.0 x 60\.0 um"):
        random_crop(Patch(np.zeros((120, 100, 3), np.uint8), 0.5, "tile 7"), 128, 0.5, np.random.default_rng(0))


def test_the_stream_depends_on_the_index_alone_and_pairs_nothing():
    ihc, he = ([Patch(np.full((40, 40, 3), value, np.uint8), 0.5) for value in range(v, v + 20)] for v in (0, 100))
    draw = unpaired_crops(ihc, he, TINY)
    assert all(torch.equal(draw(7)[domain], draw(7)[domain]) for domain in ("ihc", "he"))
    values = [tuple(round(255 * draw(i)[domain][0, 0, 0].item()) for domain in ("ihc", "he")) for i in range(200)]
    assert {ihc for ihc, _ in values} == set(range(20))
    assert {he for _, he in values} == set(range(100, 120))
    assert len({he - ihc for ihc, he in values}) > 20


def test_a_resumed_run_ends_bit_identical_to_one_without_interruption(tmp_path, brown, tissue, monkeypatch):
    whole = train([brown], [tissue], TINY, tmp_path / "whole", progress=False)
    step, calls = CycleGAN.step, []

    def dying(self, batch, accelerator):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return step(self, batch, accelerator)

    with monkeypatch.context() as patch:
        patch.setattr(CycleGAN, "step", dying)
        with pytest.raises(KeyboardInterrupt):
            train([brown], [tissue], TINY, tmp_path / "cut", progress=False)
    resumed = train([brown], [tissue], TINY, tmp_path / "cut", resume=True, progress=False)
    assert resumed.equals(whole)
    assert len(whole) == 6
    for name in ("ihc_to_he", "he_to_ihc"):
        one, two = (load_generator(tmp_path / run / f"{name}.safetensors")[0] for run in ("whole", "cut"))
        assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_a_run_leaves_generators_that_know_their_scale_marker_and_settings(tmp_path, brown, tissue):
    history = train([brown], [tissue], replace(TINY, mpp=0.6), tmp_path, progress=False)
    assert history["warm"].notna().sum() == 2
    assert history["cycle"].notna().sum() == 4
    generator, card = load_generator(tmp_path / "ihc_to_he.safetensors")
    assert (generator.mpp, card["marker"], card["settings"]["steps"]) == (0.6, "nuclear", 4)
    assert translate(brown, generator).image.shape == brown.image.shape


def test_other_settings_are_refused_by_name(tmp_path, brown, tissue):
    train([brown], [tissue], replace(TINY, steps=1), tmp_path, progress=False)
    with pytest.raises(ValueError, match=r"cycle 10\.0 there, 1\.0 here"):
        train([brown], [tissue], replace(TINY, steps=1, cycle=1.0), tmp_path, resume=True, progress=False)


def test_a_run_without_guards_that_loses_the_content_is_stopped(tmp_path, brown, tissue):
    settings = replace(TINY, warm_steps=0, content=0.0, identity=0.0, grace_steps=1, content_limit=0.99)
    with pytest.raises(ContentLost, match="after 2 adversarial steps"):
        train([brown], [tissue], settings, tmp_path, progress=False)


def test_an_empty_domain_is_named(tmp_path, brown):
    with pytest.raises(ValueError, match="expected he patches, found none"):
        train([brown], [], TINY, tmp_path)
