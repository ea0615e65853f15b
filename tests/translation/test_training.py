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

DIRECTIONS = ("ihc_to_he", "he_to_ihc")


@pytest.fixture(scope="module")
def tiny(small):
    return replace(small, warm_steps=2, steps=4, ema=0.9)


@pytest.fixture(scope="module")
def first(tiny, brown, tissue, tmp_path_factory) -> Path:
    """Folder of a finished run."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    train_cyclegan([brown], [tissue], tiny, folder, provenance=Provenance("painted", ("a",)), progress=False)
    return folder


def states(folder: Path) -> list[dict[str, torch.Tensor]]:
    return [Generator.load(folder / f"{name}.safetensors").state_dict() for name in DIRECTIONS]


def equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, two[key]) for key, value in one.items())


def test_crops_come_in_all_eight_orientations(small):
    patch = Patch(np.arange(16 * 16 * 3).reshape(16, 16, 3).astype(np.uint8), 1.0)
    draw = unpaired_crops([patch], [patch], replace(small, patch_px=16, mpp=1.0))
    assert len({draw(i)["ihc"].numpy().tobytes() for i in range(100)}) == 8


def test_a_crop_depends_on_its_index_alone_and_pairs_nothing(small):
    ihc, he = ([Patch(np.full((40, 40, 3), v, np.uint8), 0.5) for v in range(start, start + 20)] for start in (0, 100))
    draw = unpaired_crops(ihc, he, small)
    assert all(torch.equal(draw(7)[domain], draw(7)[domain]) for domain in ("ihc", "he"))
    values = [tuple(round(255 * draw(i)[domain][0, 0, 0].item()) for domain in ("ihc", "he")) for i in range(200)]
    assert {ihc for ihc, _ in values} == set(range(20))
    assert {he for _, he in values} == set(range(100, 120))
    assert len({he - ihc for ihc, he in values}) > 20


def test_a_patch_smaller_than_a_crop_is_refused(small, tissue):
    tile = Patch(np.zeros((120, 100, 3), np.uint8), 0.5, "tile 7")
    message = r"tile 7: expected sides of at least 64\.0 um for crops of 128 px at 0\.5 um, found 50\.0 x 60\.0 um"
    with pytest.raises(ValueError, match=message):
        unpaired_crops([tile], [tissue], replace(small, patch_px=128))(0)


def test_an_empty_set_of_patches_is_refused(tmp_path, brown, small):
    with pytest.raises(ValueError, match="expected he patches, found none"):
        train_cyclegan([brown], [], small, tmp_path)


def test_a_run_saves_generators_that_know_their_training_and_the_colours_of_the_ihc(first, tiny, brown):
    for name in DIRECTIONS:
        generator = Generator.load(first / f"{name}.safetensors")
        assert (generator.mpp, generator.direction, generator.marker) == (0.5, name, "nuclear")
        assert (generator.provenance.trained_on, generator.provenance.groups) == ("painted", ("a",))
        assert generator.provenance.details["settings"]["steps"] == tiny.steps
        assert translate(brown, generator).image.shape == brown.image.shape
    reference = StainReference.load(first / "ihc_reference.safetensors")
    np.testing.assert_array_equal(reference.lab_mean, StainReference.fit([brown], "ihc").lab_mean)


def test_the_best_averaged_generators_are_saved(tmp_path, tiny, brown, tissue):
    seen, key = [], "decoder.6.weight"

    def score(generators):
        assert not any(generator.training for generator in generators.values())
        seen.append({name: generator.state_dict()[key].clone() for name, generator in generators.items()})
        return {"score": [0.1, 0.9, 0.5][len(seen) - 1]}

    options = {"validate": score, "validate_every": 2, "monitor": "score", "progress": False}
    history = train_cyclegan([brown], [tissue], tiny, tmp_path, **options)
    assert history["score"].dropna().to_dict() == {2: 0.1, 4: 0.9, 6: 0.5}
    for name, state in zip(DIRECTIONS, states(tmp_path), strict=True):
        assert torch.equal(state[key], seen[1][name])
    trained = load_checkpoint(tmp_path / "checkpoint.pt")["modules"]["ihc_to_he"]
    assert not torch.equal(trained[key], seen[2]["ihc_to_he"]), "the validated generators are averaged"


def test_fine_tuning_starts_with_the_networks_of_the_earlier_run(tmp_path, first, tiny, brown, tissue):
    still = replace(tiny, warm_steps=0, steps=1, lr_generator=1e-9, lr_discriminator=1e-9, seed=5)
    train_cyclegan([tissue], [brown], still, tmp_path, start=first, progress=False)
    one, two = (load_checkpoint(folder / "checkpoint.pt")["modules"] for folder in (first, tmp_path))
    pairs = [(one[name], two[name]) for name in ("discriminator_he", "discriminator_ihc")]
    for before, after in [*pairs, *zip(states(first), states(tmp_path), strict=True)]:
        for key, value in before.items():
            torch.testing.assert_close(value, after[key], atol=1e-6, rtol=0)
    started = Generator.load(tmp_path / "ihc_to_he.safetensors").provenance.details["settings"]["start"]
    assert started.startswith("first ")


def test_a_frozen_stage_stays_through_a_resume_that_refuses_another_start(tmp_path, first, tiny, brown, tissue):
    settings = replace(tiny, warm_steps=0, freeze=("blocks",), steps=3)
    train_cyclegan([tissue], [brown], settings, tmp_path, start=first, progress=False)
    before, after = states(first)[0], states(tmp_path)[0]
    assert {key.split(".")[0] for key in after if not torch.equal(before[key], after[key])} == {"encoder", "decoder"}
    train_cyclegan([tissue], [brown], settings, tmp_path, start=first, resume=True, progress=False)
    assert equal(after, states(tmp_path)[0])
    other = tmp_path / "other"
    inverted_start([brown], [tissue], tiny, other)
    with pytest.raises(ValueError, match=r"start 'first .*' in the file, 'other .*' in this run"):
        train_cyclegan([tissue], [brown], settings, tmp_path, start=other, resume=True, progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 8}, r"ihc_to_he\.safetensors: expected a generator with .*'width': 8.*found.*'width': 4"),
        ({"discriminator_width": 8}, r"checkpoint\.pt: expected discriminators of width 8"),
        ({"spectral_norm": True}, r"checkpoint\.pt: expected discriminators of width 4, spectral_norm True"),
    ],
)
def test_a_start_with_networks_of_another_size_is_refused(tmp_path, first, tiny, brown, tissue, change, message):
    with pytest.raises(ValueError, match=message):
        train_cyclegan([brown], [tissue], replace(tiny, **change), tmp_path, start=first)


def test_a_start_without_generators_is_refused(tmp_path, tiny, brown, tissue):
    with pytest.raises(FileNotFoundError, match=r"ihc_to_he\.safetensors"):
        train_cyclegan([brown], [tissue], tiny, tmp_path / "run", start=tmp_path)


def test_an_inverted_start_exchanges_dark_and_light_and_is_stopped_by_the_guard(tmp_path, small, brown, tissue):
    settings = replace(small, width=8, patch_px=48, warm_steps=60, lr_generator=3e-3, identity=0.0, content=0.0)
    history = inverted_start([brown], [tissue], settings, tmp_path)
    assert len(history) == settings.warm_steps
    for patch, name in ((brown, "ihc_to_he"), (tissue, "he_to_ihc")):
        after = translate(patch, Generator.load(tmp_path / f"{name}.safetensors")).image
        assert density_correlation(summed_density(after), summed_density(patch.image)) < -0.3
    guarded = replace(settings, warm_steps=0, content_limit=0.3, grace_steps=5, lr_generator=2e-4)
    with pytest.raises(ContentLost, match=r"after 6 adversarial steps.*dark and light are exchanged"):
        train_cyclegan([brown], [tissue], guarded, tmp_path / "run", start=tmp_path, progress=False)


def test_a_killed_run_resumes_to_the_same_bits(tmp_path):
    script = textwrap.dedent(
        """
        import os, signal, sys
        from dataclasses import replace
        import numpy as np, torch
        torch.set_num_threads(1)
        from histolib.config import profile
        from histolib.imaging import STAIN_VECTORS, Patch, rgb_from_density
        from histolib.translation import train_cyclegan
        folder, kill_at, resume = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "resume"
        rng, calls = np.random.default_rng(0), []
        stains = np.stack([STAIN_VECTORS["hematoxylin"], STAIN_VECTORS["eosin"]])
        ihc, he = (Patch(rgb_from_density(rng.random((48, 48, 2)) @ stains), 0.5) for _ in range(2))
        def validate(generators):
            calls.append(torch.rand(3))
            if len(calls) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            with torch.no_grad():
                return {"score": -generators["ihc_to_he"](torch.full((1, 3, 16, 16), 0.5)).mean()}
        settings = replace(
            profile("quick").cyclegan, mpp=0.5, width=4, blocks=1, discriminator_width=4, patch_px=32, warm_steps=2,
            steps=7, ema=0.9, spectral_norm=True, content_limit=-1.0,
        )
        options = {"validate": validate, "validate_every": 2, "monitor": "score", "save_every": 3, "progress": False}
        train_cyclegan([ihc], [he], settings, folder, resume=resume, **options)
        """
    )

    def run(name: str, kill_at: int = 0, resume: str = "") -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", script, str(tmp_path / name), str(kill_at), resume])

    whole, killed = run("whole"), run("killed", kill_at=4)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed/ihc_to_he.safetensors").exists()
    assert load_checkpoint(tmp_path / "killed/checkpoint.pt")["step"] == 6
    assert run("killed", resume="resume").wait() == whole.wait() == 0
    for name in ("ihc_to_he.safetensors", "he_to_ihc.safetensors", "log.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name
