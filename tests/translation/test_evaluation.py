"""Translations of known quality get the expected scores."""

import json
from dataclasses import replace

import numpy as np
import pytest

from histolib.imaging import Patch, optical_density, rgb_from_density
from histolib.translation import TranslationSample, evaluate_translations, nuclei_changes
from histolib.translation.evaluation import cut_fields
from histolib.translation.table import headline, translation_table

RADIUS_PX = 6  # of a disc: 3 microns


def tile(seed: int) -> tuple[Patch, np.ndarray]:
    """Six dark discs on a grid of pale tissue, 50 microns a side, each tile with its own order of shades."""
    y, x = np.mgrid[:100, :100]
    density = np.full((100, 100, 3), 0.1)
    xy = np.array([(25.0 + 50 * i, 20.0 + 30 * j) for i in range(2) for j in range(3)])
    shades = np.random.default_rng(seed).permutation(np.linspace(0.4, 0.7, 6))
    for (cx, cy), shade in zip(xy, shades, strict=True):
        density[np.hypot(x - cx, y - cy) <= RADIUS_PX] = (shade, shade, shade / 2)
    return Patch(rgb_from_density(density), 0.5, f"t{seed}"), xy


def halve(patch: Patch) -> Patch:
    return replace(patch, image=rgb_from_density(optical_density(patch.image) / 2))


def colour(patches: list[Patch]) -> np.ndarray:
    """Features: mean of each channel, and deviation."""
    return np.array([[*patch.image.mean((0, 1)), patch.image.std()] for patch in patches], np.float32)


RIVALS = {
    "identity": lambda patch: patch,
    "cyclegan": halve,
    "inverted": lambda patch: replace(patch, image=255 - patch.image),
    "blank": lambda patch: replace(patch, image=np.full_like(patch.image, 255)),
}


def find_blobs(patch: Patch, factor: float) -> np.ndarray:
    """The planted places with enough density, and a place in the middle of the tile if it is dark."""
    places = np.concatenate([tile(0)[1], [[50.0, 50.0]]])
    density = optical_density(patch.image)[places[:, 1].astype(int), places[:, 0].astype(int), 0]
    return places[density > 0.3 * factor]


def paired(count: int) -> list[TranslationSample]:
    """True H&E is half as dense as the IHC: `halve` is perfect."""
    tiles = [tile(seed) for seed in range(count)]
    return [TranslationSample(patch, patch.name, halve(patch), xy) for patch, xy in tiles]


def dark(patch: Patch) -> np.ndarray:
    """A detector of H&E nuclei: the planted places whose pixel is neither too pale nor too dark."""
    planted = tile(0)[1]
    level = patch.image[planted[:, 1].astype(int), planted[:, 0].astype(int)][:, 0]
    return planted[(level > 105) & (level < 170)]


def evaluate(samples: list[TranslationSample], **options) -> dict:
    return evaluate_translations(samples, RIVALS, features={"colour": colour}, find_blobs=find_blobs, **options)


@pytest.fixture(scope="module")
def result():
    return evaluate(paired(8), detect=dark, gain=0.5)


def test_perfect_identical_inverted_and_blank_translations_are_told_apart(result):
    scores = result["translations"]["cyclegan"]
    assert scores["images"]["ssim"]["mean"] == pytest.approx(1, abs=1e-4)
    assert scores["images"]["ms_gmsd"]["mean"] == pytest.approx(0, abs=1e-4)
    assert scores["correlation"]["lowest"] == pytest.approx(1, abs=0.01)
    assert scores["nuclei"] == {"f1": 1.0, "f1_ci95": [1.0, 1.0], "before": 48, "lost": 0, "new": 0}
    assert scores["detection"]["f1"] == result["ceiling"]["f1"] == 1.0
    scores = result["translations"]["identity"]
    assert (scores["correlation"]["mean"], scores["nuclei"]["f1"]) == (1.0, 1.0)
    assert scores["images"]["psnr"]["mean"] < 30
    assert scores["sets"]["colour"]["kid"]["mean"] > result["floor"]["colour"]["kid"]["ci95"][1]
    assert scores["detection"]["n_pred"] == 0
    inverted, blank = (result["translations"][name] for name in ("inverted", "blank"))
    assert inverted["correlation"]["mean"] < -0.5
    assert inverted["nuclei"]["new"] == 8
    assert blank["correlation"] == {"mean": None, "ci95": [None, None], "lowest": None}
    assert (blank["nuclei"]["lost"], blank["nuclei"]["new"]) == (48, 0)


def test_the_protocol_and_the_table_say_how_it_was_done(result):
    protocol = result["protocol"]
    assert (protocol["samples"], protocol["groups"], protocol["radius_um"], protocol["gain"]) == (8, 8, 3.0, 0.5)
    assert (protocol["image_px"], protocol["mpp"]) == (["100 x 100"], [0.5])
    assert protocol["he"] == {"images": 8, "paired": 8, "groups": 8}
    assert protocol["features"]["names"] == ["colour"]
    assert protocol["directions"]["ms_gmsd"] == protocol["directions"]["kid"] == "lower"
    measures = {measure for scores in result["translations"].values() for measure in headline(scores)}
    assert measures | {"fid"} == set(protocol["directions"])
    sets = [result["floor"], *(scores["sets"] for scores in result["translations"].values())]
    assert {each["colour"]["kid"]["size"] for each in sets} == {4}
    lines = translation_table(result).splitlines()
    assert [word for word in ("PSNR ↑", "MS-GMSD ↓", "MDSI ↓", "KID ↓", "F1 ↑") if word not in lines[0]] == []
    assert [line.split()[0] for line in lines[1:5]] == list(RIVALS)
    assert lines[5].startswith("real against real, 4 fields each: KID")
    assert lines[6] == "F1 on the true H&E: 1.000 (1.000 to 1.000)"


@pytest.mark.parametrize(("groups", "expected"), [(10, {"kid", "fid"}), (8, {"kid"})])
def test_fid_needs_more_features_than_dimensions_in_a_half_sample(groups, expected):
    assert evaluate(paired(groups))["translations"]["cyclegan"]["sets"]["colour"].keys() == expected


def test_unpaired_tiles_have_no_likeness_to_a_truth_but_all_else():
    samples = [replace(sample, he=None, xy=None) for sample in paired(6)]
    he = [(halve(tile(seed)[0]), f"h{seed}") for seed in range(10, 18)]
    result = evaluate(samples, he=he)
    scores = result["translations"]["cyclegan"]
    assert (scores["images"], scores["detection"], result["ceiling"]) == ({}, None, None)
    assert scores["nuclei"] is None, "without a gain nuclei before and after are not compared"
    kid, other = (result["translations"][name]["sets"]["colour"]["kid"] for name in ("cyclegan", "identity"))
    assert kid["ci95"][0] <= kid["mean"] <= kid["ci95"][1]
    assert (kid["size"], kid["mean"] < other["mean"]) == (3, True)
    assert result["protocol"]["he"] == {"images": 8, "paired": 0, "groups": 8}


def test_one_image_has_scores_but_no_set_and_glass_counts_no_nuclei():
    result = evaluate(paired(1), gain=0.5)
    scores = result["translations"]["cyclegan"]
    assert (scores["sets"], result["floor"]) == ({}, {})
    assert scores["images"]["ssim"]["ci95"] == pytest.approx([1, 1], abs=1e-4)
    assert "KID" not in translation_table(result)
    assert json.dumps(evaluate(paired(1), gain=0.5), allow_nan=False) == json.dumps(result)
    glass = Patch(np.full((100, 100, 3), 240, np.uint8), 0.5, "glass")
    sample = TranslationSample(glass, "g", halve(glass), np.zeros((0, 2)))
    scores = evaluate([sample], detect=lambda patch: np.zeros((0, 2)), gain=0.5)["translations"]["cyclegan"]
    assert (scores["nuclei"]["f1"], scores["detection"]["f1"], scores["correlation"]["mean"]) == (None, None, None)
    with pytest.raises(ValueError, match="expected at least one sample, found none"):
        evaluate([])


def test_changed_nuclei_and_fields_are_in_the_right_place():
    before, xy = tile(0)
    image = before.image.copy()
    image[:40, :40] = 250  # covers the first nucleus
    image[47:54, 47:54] = 60  # adds one
    changes = nuclei_changes(before, replace(before, image=image), find_blobs, gain=1.0)
    np.testing.assert_array_equal(changes.lost, xy[:1])
    np.testing.assert_array_equal(changes.new, [[50.0, 50.0]])
    np.testing.assert_array_equal(changes.kept, xy[1:])
    image = np.arange(70 * 110 * 3).reshape(70, 110, 3).astype(np.uint8)
    squares = cut_fields(Patch(image, 0.5, "wide"), 15.0)
    assert [square.image.shape for square in squares] == [(30, 30, 3)] * 6
    np.testing.assert_array_equal(squares[0].image, image[5:35, 10:40])
    np.testing.assert_array_equal(squares[-1].image, image[35:65, 70:100])
    with pytest.raises(ValueError, match=r"wide: expected sides of at least 50 microns .* found 55 x 35"):
        cut_fields(Patch(image, 0.5, "wide"), 50.0)
