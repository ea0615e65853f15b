"""Translations whose quality is known must get the scores that they deserve, there and back."""

import json
from dataclasses import replace

import numpy as np
import pytest

from histolib.ensemble import TranslationSample, Translator, evaluate_translations, translation_table
from histolib.ensemble.feature_sets import fields
from histolib.ensemble.translation_table import beaten_by, headline
from histolib.imaging import Patch, optical_density, rgb_from_density

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


def double(patch: Patch) -> Patch:
    return replace(patch, image=rgb_from_density(optical_density(patch.image) * 2))


def same(patch: Patch) -> Patch:
    return patch


def negative(patch: Patch) -> Patch:
    return replace(patch, image=255 - patch.image)


def blank(patch: Patch) -> Patch:
    return replace(patch, image=np.full_like(patch.image, 255))


def colour(patches: list[Patch]) -> np.ndarray:
    """Features: mean of each channel, and deviation."""
    return np.array([[*patch.image.mean((0, 1)), patch.image.std()] for patch in patches], np.float32)


RIVALS = {
    "identity": Translator(same, same, restains=False),
    "cyclegan": Translator(halve, double),
    "inverted": Translator(negative, negative),
    "blank": Translator(blank),
}


def paired(count: int) -> list[TranslationSample]:
    """True H&E is half as dense as the IHC: `halve` is perfect."""
    tiles = [tile(seed) for seed in range(count)]
    return [TranslationSample(patch, patch.name, halve(patch), xy) for patch, xy in tiles]


def dark(patch: Patch) -> np.ndarray:
    """A detector of H&E nuclei: the planted places whose pixel is neither too pale nor too dark."""
    planted = tile(0)[1]
    level = patch.image[planted[:, 1].astype(int), planted[:, 0].astype(int)][:, 0]
    return planted[(level > 105) & (level < 170)]


@pytest.fixture(scope="module")
def result():
    return evaluate_translations(paired(8), RIVALS, features={"colour": colour}, detect=dark, gain=0.5)


def test_the_perfect_translation_gets_perfect_scores(result):
    scores = result["translations"]["cyclegan"]["to_he"]
    assert scores["images"]["ssim"]["mean"] == pytest.approx(1, abs=1e-4)
    assert scores["images"]["ms_gmsd"]["mean"] == pytest.approx(0, abs=1e-4)
    assert scores["correlation"]["lowest"] == pytest.approx(1, abs=0.01)
    assert scores["nuclei"] == {"f1": 1.0, "f1_ci95": [1.0, 1.0], "before": 48, "lost": 0, "new": 0}
    assert scores["cycle"]["mean"] < 0.01
    assert scores["detection"]["f1"] == result["ceiling"]["f1"] == 1.0


def test_identity_keeps_everything_and_is_no_h_and_e(result):
    scores = result["translations"]["identity"]["to_he"]
    assert (scores["correlation"]["mean"], scores["cycle"]["mean"], scores["nuclei"]["f1"]) == (1.0, 0.0, 1.0)
    assert scores["images"]["psnr"]["mean"] < 30
    assert scores["sets"]["colour"]["kid"]["mean"] > result["floor"]["to_he"]["colour"]["kid"]["ci95"][1]
    assert scores["detection"]["n_pred"] == 0


def test_the_negative_has_a_perfect_cycle_and_is_told_by_the_density(result):
    scores = result["translations"]["inverted"]["to_he"]
    assert scores["cycle"]["mean"] == 0
    assert scores["correlation"]["mean"] < -0.5
    assert scores["nuclei"]["lost"] == 48


def test_a_blank_loses_all_and_what_does_not_exist_is_none(result):
    scores = result["translations"]["blank"]
    assert scores["to_ihc"] is None
    assert scores["to_he"]["cycle"] is None
    assert scores["to_he"]["correlation"] == {"mean": None, "ci95": [None, None], "lowest": None}
    assert (scores["to_he"]["nuclei"]["lost"], scores["to_he"]["nuclei"]["new"]) == (48, 0)


def test_the_way_back_is_scored_against_the_ihc(result):
    back = result["translations"]["cyclegan"]["to_ihc"]
    assert back["images"]["psnr"]["mean"] > 35
    assert (
        back["sets"]["colour"]["kid"]["mean"]
        < result["translations"]["identity"]["to_ihc"]["sets"]["colour"]["kid"]["mean"]
    )
    assert (back["nuclei"], back["detection"]) == (None, None)


def test_the_protocol_says_how_it_was_done(result):
    protocol = result["protocol"]
    assert (protocol["samples"], protocol["groups"], protocol["radius_um"], protocol["gain"]) == (8, 8, 3.0, 0.5)
    assert (protocol["image_px"], protocol["image_um"], protocol["mpp"]) == (["100 x 100"], ["50 x 50"], [0.5])
    assert protocol["he"] == {"images": 8, "paired": 8, "groups": 8}
    assert (protocol["features"]["of"], protocol["features"]["ihc_fields"]) == (["colour"], 8)
    assert protocol["directions"]["ms_gmsd"] == protocol["directions"]["kid"] == "lower"
    measures = {m for s in result["translations"].values() for d in s.values() if d for m in headline(d)}
    assert measures == set(protocol["directions"])
    for direction in ("to_he", "to_ihc"):
        sizes = [s[direction]["sets"]["colour"]["kid"]["size"] for s in result["translations"].values() if s[direction]]
        assert set(sizes) == {result["floor"][direction]["colour"]["kid"]["size"]} == {4}


def test_the_result_is_json_and_repeats(result):
    again = evaluate_translations(paired(8), RIVALS, features={"colour": colour}, detect=dark, gain=0.5)
    assert json.dumps(again, allow_nan=False) == json.dumps(result, allow_nan=False)


def test_unpaired_tiles_have_no_likeness_to_a_truth_but_all_else():
    samples = [replace(sample, he=None, xy=None) for sample in paired(6)]
    he = [(halve(tile(seed)[0]), f"h{seed}") for seed in range(10, 18)]
    result = evaluate_translations(samples, RIVALS, he=he, features={"colour": colour}, gain=0.5)
    scores = result["translations"]["cyclegan"]
    assert (scores["to_he"]["images"], scores["to_he"]["detection"], result["ceiling"]) == ({}, None, None)
    kid = scores["to_he"]["sets"]["colour"]["kid"]
    assert kid["ci95"][0] <= kid["mean"] <= kid["ci95"][1]
    assert kid["size"] == 3
    assert kid["mean"] < result["translations"]["identity"]["to_he"]["sets"]["colour"]["kid"]["mean"]
    assert scores["to_ihc"]["cycle"]["mean"] < 0.01
    assert result["protocol"]["he"] == {"images": 8, "paired": 0, "groups": 8}


def test_without_a_gain_nuclei_are_counted_only_where_the_stain_stays():
    result = evaluate_translations(paired(1), RIVALS)
    kept = {name: scores["to_he"]["nuclei"] for name, scores in result["translations"].items()}
    assert kept["identity"]["f1"] == 1.0
    assert [kept[name] for name in ("cyclegan", "inverted", "blank")] == [None] * 3


def test_a_single_image_has_scores_but_no_set():
    result = evaluate_translations(paired(1), RIVALS, features={"colour": colour}, gain=0.5)
    scores = result["translations"]["cyclegan"]["to_he"]
    assert (scores["sets"], result["floor"]) == ({}, {"to_he": {}, "to_ihc": {}})
    assert scores["images"]["ssim"]["ci95"] == pytest.approx([1, 1], abs=1e-4)
    assert "KID" not in translation_table(result)


def test_no_sample_is_refused_and_no_translation_is_none():
    with pytest.raises(ValueError, match="expected at least one sample, found none"):
        evaluate_translations([], RIVALS)
    assert evaluate_translations(paired(1), {})["translations"] == {}
    assert translation_table(evaluate_translations(paired(1), {})) == ""


def test_a_patch_without_nuclei_counts_none():
    glass = Patch(np.full((100, 100, 3), 240, np.uint8), 0.5, "glass")
    sample = TranslationSample(glass, "g", halve(glass), np.zeros((0, 2)))
    detect = lambda patch: np.zeros((0, 2))  # noqa: E731
    result = evaluate_translations([sample], RIVALS, features={"colour": colour}, detect=detect, gain=0.5)
    scores = result["translations"]["cyclegan"]["to_he"]
    assert (scores["nuclei"]["f1"], scores["detection"]["f1"], scores["correlation"]["mean"]) == (None, None, None)


def test_fields_are_equal_squares_from_the_middle_and_a_patch_too_small_is_named():
    image = np.arange(70 * 110 * 3).reshape(70, 110, 3).astype(np.uint8)
    squares = fields(Patch(image, 0.5, "wide"), 15.0)
    assert [square.image.shape for square in squares] == [(30, 30, 3)] * 6
    np.testing.assert_array_equal(squares[0].image, image[5:35, 10:40])
    np.testing.assert_array_equal(squares[-1].image, image[35:65, 70:100])
    with pytest.raises(ValueError, match=r"wide: expected at least 50 microns a side .* found 55 x 35"):
        fields(Patch(image, 0.5, "wide"), 50.0)


def test_who_beats_whom_follows_the_direction_of_each_measure(result):
    assert beaten_by(result, "cyclegan") == {}
    lost = beaten_by(result, "blank")
    assert all("cyclegan" in lost[m] for m in ("psnr", "ssim", "ms_gmsd", "mdsi", "haarpsi", "kid", "detection"))
    assert not {"correlation", "nuclei", "cycle"} & set(beaten_by(result, "inverted"))


def test_the_table_names_directions_floor_ceiling_and_a_defeat(result):
    lines = translation_table(result).splitlines()
    assert [word for word in ("PSNR ↑", "MS-GMSD ↓", "MDSI ↓", "KID ↓", "F1 ↑") if word not in lines[0]] == []
    assert [line.split()[0] for line in lines[1:5]] == list(RIVALS)
    assert lines[5].startswith("real against real, 4 fields each: KID")
    assert lines[6] == "F1 on the true H&E: 1.000 (1.000 to 1.000)"
    assert lines[7] == "cyclegan beats every rival in PSNR, SSIM, MS-GMSD, MDSI, HaarPSI, KID, FID, F1"
    defeat = translation_table(result, "identity")
    assert "identity does not beat every rival in PSNR (cyclegan" in defeat
