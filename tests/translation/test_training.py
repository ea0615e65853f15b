import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from histolib.imaging import Patch, summed_density
from histolib.io import Provenance
from histolib.metrics.image_quality import density_correlation
from histolib.training import load_checkpoint
from histolib.translation import (
    ContentLost,
    Generator,
    StainReference,
    inverted_start,
    train_cyclegan,
    translate,
    unpaired_crops,
)

from .conftest import SMALL

torch.set_num_threads(1)
TINY = replace(SMALL, warm_steps=2, steps=4, ema=0.9)
LOOP = {"save_every": 3, "progress": False}


@pytest.mark.parametrize("mpp", [0.2, 0.25, 0.33, 0.5, 0.7])
def test_crops_have_one_size_at_any_scale(mpp):
    patch = Patch(np.zeros((60, 50, 3), np.uint8), 0.5)
    assert unpaired_crops([patch], [patch], replace(TINY, mpp=mpp))(0)["ihc"].shape == (3, 32, 32)


def test_crops_come_in_all_eight_orientations():
    patch = Patch(np.arange(3 * 32 * 32).astype(np.uint8).reshape(32, 32, 3), 0.5)
    draw = unpaired_crops([patch], [patch], TINY)
    assert len({draw(i)["he"].numpy().tobytes() for i in range(100)}) == 8


def test_a_patch_smaller_than_a_crop_is_named():
    patch = Patch(np.zeros((120, 100, 3), np.uint8), 0.5, "tile 7")
    with pytest.raises(ValueError, match=r"tile 7.*64.*50.*60"):
        unpaired_crops([patch], [patch], replace(TINY, patch_px=128))(0)


def test_the_stream_depends_on_the_index_alone_and_pairs_nothing():
    ihc, he = ([Patch(np.full((40, 40, 3), value, np.uint8), 0.5) for value in range(v, v + 20)] for v in (0, 100))
    draw = unpaired_crops(ihc, he, TINY)
    assert all(torch.equal(draw(7)[domain], draw(7)[domain]) for domain in ("ihc", "he"))
    values = [tuple(round(255 * draw(i)[domain][0, 0, 0].item()) for domain in ("ihc", "he")) for i in range(200)]
    assert {ihc for ihc, _ in values} == set(range(20))
    assert {he for _, he in values} == set(range(100, 120))
    assert len({he - ihc for ihc, he in values}) > 20


def test_a_run_leaves_generators_that_know_their_scale_marker_and_settings(tmp_path, brown, tissue):
    seen = Provenance("EndoNuke: 321-714", ("321-714",))
    history = train_cyclegan([brown], [tissue], replace(TINY, mpp=0.6), tmp_path, provenance=seen, progress=False)
    assert history["warm"].notna().sum() == 2
    assert history["cycle"].notna().sum() == 4
    generator = Generator.load(tmp_path / "ihc_to_he.safetensors")
    assert (generator.mpp, generator.direction, generator.marker) == (0.6, "ihc_to_he", "nuclear")
    assert generator.provenance.details["settings"]["steps"] == 4
    assert (generator.provenance.trained_on, generator.provenance.groups) == ("EndoNuke: 321-714", ("321-714",))
    assert StainReference.load(tmp_path / "ihc_reference.safetensors").domain == "ihc"
    assert translate(brown, generator).image.shape == brown.image.shape


def test_other_settings_are_refused_by_name(tmp_path, brown, tissue):
    train_cyclegan([brown], [tissue], replace(TINY, steps=1), tmp_path, progress=False)
    with pytest.raises(ValueError, match=r"cycle 10\.0 in the file, 1\.0 in this run"):
        train_cyclegan([brown], [tissue], replace(TINY, steps=1, cycle=1.0), tmp_path, resume=True, progress=False)


def test_a_run_without_guards_that_loses_the_content_is_stopped(tmp_path, brown, tissue):
    settings = replace(TINY, warm_steps=0, content=0.0, identity=0.0, grace_steps=1, content_limit=0.99)
    with pytest.raises(ContentLost, match="after 2 adversarial steps"):
        train_cyclegan([brown], [tissue], settings, tmp_path, progress=False)


def test_an_inverted_start_exchanges_dark_and_light_and_its_training_is_stopped(tmp_path, brown, tissue):
    settings = replace(TINY, width=8, patch_px=48, warm_steps=60, lr_generator=3e-3, ema=0.0)
    history = inverted_start([brown], [tissue], settings, tmp_path)
    assert len(history) == settings.warm_steps
    for patch, name in ((brown, "ihc_to_he"), (tissue, "he_to_ihc")):
        after = translate(patch, Generator.load(tmp_path / f"{name}.safetensors")).image
        assert density_correlation(summed_density(after), summed_density(patch.image)) < -0.3
    plain = replace(settings, warm_steps=0, identity=0.0, content=0.0, steps=8, content_limit=-1.0)
    log = train_cyclegan([brown], [tissue], plain, tmp_path / "plain", start=tmp_path, progress=False)
    assert log["correlation"].mean() < -0.2, "without the guard it stays inverted"
    guarded = replace(plain, content_limit=0.3, grace_steps=5)
    with pytest.raises(ContentLost, match=r"after 6 adversarial steps.*dark and light are exchanged"):
        train_cyclegan([brown], [tissue], guarded, tmp_path / "guarded", start=tmp_path, progress=False)


def test_an_empty_domain_is_named(tmp_path, brown):
    with pytest.raises(ValueError, match="expected he patches, found none"):
        train_cyclegan([brown], [], TINY, tmp_path)


def weights(folder: Path) -> list[bytes]:
    return [(folder / f"{name}.safetensors").read_bytes() for name in ("ihc_to_he", "he_to_ihc")]


def brightness(generators) -> dict[str, float]:
    """A score that depends on the weights, of a callable that draws chance of its own."""
    torch.rand(3)
    with torch.no_grad():
        return {"score": -generators["ihc_to_he"](torch.full((1, 3, 16, 16), 0.5)).mean().item()}


def test_the_generators_kept_are_the_averaged_ones_of_the_best_score(tmp_path, brown, tissue):
    seen = []

    def score(generators):
        seen.append(
            {name: generator.state_dict()["decoder.6.weight"].clone() for name, generator in generators.items()}
        )
        return {"score": [0.1, 0.9, 0.5][len(seen) - 1]}

    history = train_cyclegan(
        [brown], [tissue], TINY, tmp_path, validate=score, validate_every=2, monitor="score", progress=False
    )
    assert history["score"].dropna().to_dict() == {2: 0.1, 4: 0.9, 6: 0.5}
    for name in ("ihc_to_he", "he_to_ihc"):
        kept = Generator.load(tmp_path / f"{name}.safetensors").state_dict()["decoder.6.weight"]
        assert torch.equal(kept, seen[1][name])
    state = load_checkpoint(tmp_path / "checkpoint.pt")
    assert not torch.equal(state["modules"]["ihc_to_he"]["decoder.6.weight"], seen[2]["ihc_to_he"]), "not averaged"
    assert torch.equal(state["averages"]["ihc_to_he"]["module.decoder.6.weight"], seen[2]["ihc_to_he"])


def test_validation_does_not_disturb_the_training(tmp_path, brown, tissue):
    train_cyclegan([brown], [tissue], TINY, tmp_path / "plain", progress=False)
    train_cyclegan(
        [brown], [tissue], TINY, tmp_path / "validated", validate=brightness, validate_every=1, progress=False
    )
    assert weights(tmp_path / "plain") == weights(tmp_path / "validated")


def test_a_score_that_is_not_there_is_named(tmp_path, brown, tissue):
    with pytest.raises(ValueError, match=r"monitor: expected one of .*score, found 'kid'"):
        train_cyclegan(
            [brown], [tissue], TINY, tmp_path, validate=brightness, validate_every=1, monitor="kid", progress=False
        )


def test_fine_tuning_begins_with_the_networks_of_the_earlier_run(tmp_path, brown, tissue):
    train_cyclegan([brown], [tissue], TINY, tmp_path / "first", progress=False)
    standing = replace(TINY, warm_steps=0, steps=1, lr_generator=0.0, lr_discriminator=0.0, seed=5)
    train_cyclegan([tissue], [brown], standing, tmp_path / "second", start=tmp_path / "first", progress=False)
    one, two = (load_checkpoint(tmp_path / run / "checkpoint.pt")["modules"] for run in ("first", "second"))
    for name in ("discriminator_he", "discriminator_ihc"):
        assert all(torch.equal(value, two[name][key]) for key, value in one[name].items())
    for name in ("ihc_to_he", "he_to_ihc"):
        before, after = (Generator.load(tmp_path / r / f"{name}.safetensors") for r in ("first", "second"))
        assert all(torch.equal(value, after.state_dict()[key]) for key, value in before.state_dict().items())
        assert "first" in after.provenance.details["settings"]["start"]


def test_fine_tuning_a_frozen_stage_keeps_it_through_a_resume(tmp_path, brown, tissue):
    first, second = tmp_path / "first", tmp_path / "second"
    train_cyclegan([brown], [tissue], TINY, first, progress=False)
    settings = replace(TINY, warm_steps=0, freeze=("blocks",), steps=3)
    tune = {"start": first, "validate_every": 2, "progress": False}
    train_cyclegan([tissue], [brown], settings, second, **tune)
    before, after = (Generator.load(folder / "ihc_to_he.safetensors").state_dict() for folder in (first, second))
    assert {key.split(".")[0] for key in after if not torch.equal(before[key], after[key])} == {"encoder", "decoder"}
    ended = weights(second)
    train_cyclegan([tissue], [brown], settings, second, resume=True, **tune)
    assert weights(second) == ended
    train_cyclegan([brown], [tissue], replace(TINY, seed=7), first, progress=False)
    with pytest.raises(ValueError, match="start '"):
        train_cyclegan([tissue], [brown], settings, second, resume=True, **tune)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 8}, r"ihc_to_he\.safetensors: expected a generator with .*'width': 8.*'width': 4"),
        ({"discriminator_width": 8}, r"checkpoint\.pt: expected discriminators of width 8"),
        ({"spectral_norm": True}, r"checkpoint\.pt: expected discriminators of width 4, spectral_norm True"),
    ],
)
def test_a_start_of_another_size_is_named(tmp_path, brown, tissue, change, message):
    train_cyclegan([brown], [tissue], replace(TINY, steps=1), tmp_path / "first", progress=False)
    with pytest.raises(ValueError, match=message):
        train_cyclegan([brown], [tissue], replace(TINY, **change), tmp_path / "second", start=tmp_path / "first")


def test_a_start_without_generators_is_named(tmp_path, brown, tissue):
    with pytest.raises(FileNotFoundError, match=r"ihc_to_he\.safetensors"):
        train_cyclegan([brown], [tissue], TINY, tmp_path / "run", start=tmp_path)


def test_a_killed_run_with_averages_and_validation_resumes_to_the_same_bits(tmp_path):
    script = textwrap.dedent(
        """
        import os, signal, sys
        import numpy as np, torch
        torch.set_num_threads(1)
        from histolib.imaging import STAIN_VECTORS, Patch, rgb_from_density
        from dataclasses import replace
        from histolib.config import PROFILES
        from histolib.translation import CycleGAN, train_cyclegan
        folder, kill_at, resume = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "resume"
        rng = np.random.default_rng(0)
        stains = np.stack([STAIN_VECTORS["hematoxylin"], STAIN_VECTORS["eosin"]])
        ihc, he = (Patch(rgb_from_density(rng.random((48, 48, 2)) @ stains), 0.5) for _ in range(2))
        step, calls = CycleGAN.step, []
        def dying(self, batch, accelerator):
            calls.append(1)
            if len(calls) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(self, batch, accelerator)
        def validate(generators):
            torch.rand(3)
            with torch.no_grad():
                return {"score": -generators["ihc_to_he"](torch.full((1, 3, 16, 16), 0.5)).mean()}
        CycleGAN.step = dying
        settings = replace(
            PROFILES["quick"].cyclegan, mpp=0.5, width=4, blocks=1, discriminator_width=4, patch_px=32, warm_steps=2,
            steps=7, ema=0.9, spectral_norm=True, content_limit=-1.0,
        )
        options = {"validate": validate, "validate_every": 2, "monitor": "score", "progress": False, "save_every": 3}
        train_cyclegan([ihc], [he], settings, folder, resume=resume, **options)
        """
    )

    def run(name, kill_at=0, resume=""):
        command = [sys.executable, "-c", script, str(tmp_path / name), str(kill_at), resume]
        return subprocess.run(command, check=False).returncode

    assert run("whole") == 0
    assert run("killed", kill_at=8) == -signal.SIGKILL
    assert not (tmp_path / "killed/ihc_to_he.safetensors").exists()
    assert run("killed", resume="resume") == 0
    assert weights(tmp_path / "whole") == weights(tmp_path / "killed")
    assert (tmp_path / "whole/log.csv").read_text() == (tmp_path / "killed/log.csv").read_text()
