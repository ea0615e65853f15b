from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from histolib.imaging import Patch, summed_density
from histolib.io import Provenance
from histolib.metrics.image_quality import density_correlation
from histolib.training.checkpoint import load_checkpoint
from histolib.translation import ContentLost, Generator, StainReference, train_cyclegan, translate
from histolib.translation.training import inverted_start, unpaired_crops

from .conftest import SMALL

torch.set_num_threads(1)
TINY = replace(SMALL, warm_steps=2, steps=4, ema=0.9)


def test_crops_have_one_size_all_orientations_and_no_pairs():
    patch = Patch(np.zeros((60, 50, 3), np.uint8), 0.5, "tile 7")
    for mpp in (0.2, 0.25, 0.33, 0.5, 0.7):
        assert unpaired_crops([patch], [patch], replace(TINY, mpp=mpp))(0)["ihc"].shape == (3, 32, 32)
    with pytest.raises(ValueError, match=r"tile 7.*32.*25.*30"):
        unpaired_crops([patch], [patch], replace(TINY, patch_px=64))(0)
    patch = Patch(np.arange(3 * 32 * 32).astype(np.uint8).reshape(32, 32, 3), 0.5)
    draw = unpaired_crops([patch], [patch], TINY)
    assert len({draw(i)["he"].numpy().tobytes() for i in range(100)}) == 8
    ihc, he = ([Patch(np.full((40, 40, 3), value, np.uint8), 0.5) for value in range(v, v + 20)] for v in (0, 100))
    draw = unpaired_crops(ihc, he, TINY)
    stained = unpaired_crops(ihc, he, TINY, lambda image, rng: image // rng.integers(2, 9).astype(image.dtype))
    assert stained(4)["ihc"].equal(stained(4)["ihc"]), "a resumed run draws the same stains"
    assert not stained(4)["ihc"].equal(draw(4)["ihc"])
    assert all(torch.equal(draw(7)[domain], draw(7)[domain]) for domain in ("ihc", "he"))
    values = [tuple(round(255 * draw(i)[domain][0, 0, 0].item()) for domain in ("ihc", "he")) for i in range(200)]
    assert ({ihc for ihc, _ in values}, {he for _, he in values}) == (set(range(20)), set(range(100, 120)))
    assert len({he - ihc for ihc, he in values}) > 20


def test_a_run_leaves_generators_that_know_their_scale_marker_and_settings(tmp_path, brown, tissue):
    seen = Provenance("EndoNuke: 321-714", ("321-714",))
    history = train_cyclegan([brown], [tissue], replace(TINY, mpp=0.6), tmp_path, provenance=seen, progress=False)
    assert (history["warm"].notna().sum(), history["cycle"].notna().sum()) == (2, 4)
    generator = Generator.load(tmp_path / "ihc_to_he.safetensors")
    assert (generator.mpp, generator.direction, generator.marker) == (0.6, "ihc_to_he", "nuclear")
    assert generator.provenance.details["settings"]["steps"] == 4
    assert (generator.provenance.trained_on, generator.provenance.groups) == ("EndoNuke: 321-714", ("321-714",))
    assert StainReference.load(tmp_path / "ihc_reference.safetensors").domain == "ihc"
    assert translate(brown, generator).image.shape == brown.image.shape


def test_an_inverted_start_exchanges_dark_and_light_and_its_training_is_stopped(tmp_path, brown, tissue):
    settings = replace(TINY, width=8, patch_px=32, warm_steps=40, lr_generator=5e-3, ema=0.0)
    assert len(inverted_start([brown], [tissue], settings, tmp_path)) == settings.warm_steps
    for patch, name in ((brown, "ihc_to_he"), (tissue, "he_to_ihc")):
        after = translate(patch, Generator.load(tmp_path / f"{name}.safetensors")).image
        assert density_correlation(summed_density(after), summed_density(patch.image)) < -0.3
    plain = replace(settings, warm_steps=0, identity=0.0, content=0.0, steps=8, content_limit=-1.0)
    log = train_cyclegan([brown], [tissue], plain, tmp_path / "plain", start=tmp_path, progress=False)
    assert log["correlation"].mean() < -0.2, "without the guard it stays inverted"
    guarded = replace(plain, content_limit=0.3, grace_steps=5)
    with pytest.raises(ContentLost, match=r"after 6 adversarial steps.*dark and light are exchanged"):
        train_cyclegan([brown], [tissue], guarded, tmp_path / "guarded", start=tmp_path, progress=False)


def weights(folder: Path) -> list[bytes]:
    return [(folder / f"{name}.safetensors").read_bytes() for name in ("ihc_to_he", "he_to_ihc")]


def test_averaged_generators_of_the_best_score_are_kept_and_validation_disturbs_nothing(tmp_path, brown, tissue):
    seen = []

    def score(generators):
        torch.rand(3)
        seen.append({name: each.state_dict()["decoder.6.weight"].clone() for name, each in generators.items()})
        return {"score": [0.1, 0.9, 0.5][len(seen) - 1]}

    options = {"validate": score, "validate_every": 2, "monitor": "score", "progress": False}
    history = train_cyclegan([brown], [tissue], TINY, tmp_path, **options)
    assert history["score"].dropna().to_dict() == {2: 0.1, 4: 0.9, 6: 0.5}
    train_cyclegan([brown], [tissue], TINY, tmp_path / "plain", progress=False)
    state, plain = (load_checkpoint(folder / "checkpoint.pt") for folder in (tmp_path, tmp_path / "plain"))
    for name in ("ihc_to_he", "he_to_ihc"):
        kept = Generator.load(tmp_path / f"{name}.safetensors").state_dict()["decoder.6.weight"]
        assert torch.equal(kept, seen[1][name])
        last = state["modules"][name]["decoder.6.weight"]
        assert torch.equal(last, plain["modules"][name]["decoder.6.weight"])
        assert not torch.equal(last, seen[2][name]), "not averaged"
        assert torch.equal(state["averages"][name]["module.decoder.6.weight"], seen[2][name])


def test_fine_tuning_starts_from_earlier_networks_and_a_resume_keeps_frozen_stages(tmp_path, brown, tissue):
    first, standing, second = tmp_path / "first", tmp_path / "standing", tmp_path / "second"
    train_cyclegan([brown], [tissue], TINY, first, progress=False)
    still = replace(TINY, warm_steps=0, steps=1, lr_generator=0.0, lr_discriminator=0.0, seed=5)
    train_cyclegan([tissue], [brown], still, standing, start=first, progress=False)
    one, two = (load_checkpoint(folder / "checkpoint.pt")["modules"] for folder in (first, standing))
    for name in ("discriminator_he", "discriminator_ihc"):
        assert all(torch.equal(value, two[name][key]) for key, value in one[name].items())
    for name in ("ihc_to_he", "he_to_ihc"):
        before, after = (Generator.load(folder / f"{name}.safetensors") for folder in (first, standing))
        assert all(torch.equal(value, after.state_dict()[key]) for key, value in before.state_dict().items())
        assert "first" in after.provenance.details["settings"]["start"]

    settings = replace(TINY, warm_steps=0, freeze=("blocks",), steps=3)
    tune = {"start": first, "progress": False}
    train_cyclegan([tissue], [brown], settings, second, **tune)
    before, after = (Generator.load(folder / "ihc_to_he.safetensors").state_dict() for folder in (first, second))
    assert {key.split(".")[0] for key in after if not torch.equal(before[key], after[key])} == {"encoder", "decoder"}
    ended = weights(second)
    train_cyclegan([tissue], [brown], settings, second, resume=True, **tune)
    assert weights(second) == ended
    train_cyclegan([brown], [tissue], replace(TINY, steps=1, seed=7), first, progress=False)
    with pytest.raises(ValueError, match="start '"):
        train_cyclegan([tissue], [brown], settings, second, resume=True, **tune)


def test_a_start_of_another_size_other_settings_and_missing_parts_are_named(tmp_path, brown, tissue):
    def refused(message, he=(tissue,), error=ValueError, folder="second", change=None, **options):
        with pytest.raises(error, match=message):
            train_cyclegan([brown], he, replace(TINY, steps=1, **(change or {})), tmp_path / folder, **options)

    train_cyclegan([brown], [tissue], replace(TINY, steps=1), tmp_path / "first", progress=False)
    start = {"start": tmp_path / "first"}
    refused(r"ihc_to_he\.safetensors: expected a generator with .*'width': 8.*'width': 4", change={"width": 8}, **start)
    wide, normed = {"discriminator_width": 8}, {"spectral_norm": True}
    refused(r"checkpoint\.pt: expected discriminators of width 8", change=wide, **start)
    refused(r"checkpoint\.pt: expected discriminators of width 4, spectral_norm True", change=normed, **start)
    refused(r"ihc_to_he\.safetensors", error=FileNotFoundError, start=tmp_path)
    refused(r"cycle 10\.0 in the file, 1\.0 in this run", change={"cycle": 1.0}, folder="first", resume=True)
    refused("expected he patches, found none", he=[])
    score = {"validate": lambda generators: {"score": 1.0}, "validate_every": 1}
    refused(r"monitor: expected one of .*score, found 'kid'", monitor="kid", progress=False, **score)


def test_an_interrupted_run_resumes_to_the_same_bits(tmp_path, brown, tissue):
    def train(folder, **options):
        options |= {"progress": False, "save_every": 3}
        train_cyclegan([brown], [tissue], replace(TINY, spectral_norm=True), tmp_path / folder, **options)

    def interrupt(generators):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("stopped", validate=interrupt, validate_every=5)
    assert not (tmp_path / "stopped/ihc_to_he.safetensors").exists()
    assert load_checkpoint(tmp_path / "stopped/checkpoint.pt")["step"] == 3
    train("stopped", resume=True)
    train("whole")
    assert weights(tmp_path / "whole") == weights(tmp_path / "stopped")
    assert (tmp_path / "whole/log.csv").read_text() == (tmp_path / "stopped/log.csv").read_text()
