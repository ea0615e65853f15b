from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from histolib.imaging import Patch, optical_density, rgb_from_density, summed_density
from histolib.translation import TranslationSample, evaluate_translations, nuclei_changes
from histolib.translation.fields import FeatureSet, cut_fields
from histolib.translation.table import beaten_by, headline, translation_table

GRID = np.array([(25.0 + 50 * i, 20.0 + 30 * j) for i in range(2) for j in range(3)])


def discs(xy: np.ndarray, shades: Sequence[float], name: str = "discs") -> Patch:
    """Dark discs with a radius of 3 microns on pale tissue, 50 microns wide."""
    y, x = np.mgrid[:100, :100]
    density = np.full((100, 100, 3), 0.1)
    for (cx, cy), shade in zip(xy, shades, strict=True):
        density[np.hypot(x - cx, y - cy) <= 6] = (shade, shade, shade / 2)
    return Patch(rgb_from_density(density), 0.5, name)


def tile(seed: int) -> Patch:
    """Six discs, each tile with another order of shades."""
    return discs(GRID, np.random.default_rng(seed).permutation(np.linspace(0.4, 0.7, 6)), f"t{seed}")


def halve(patch: Patch) -> Patch:
    return replace(patch, image=rgb_from_density(optical_density(patch.image) / 2))


def negative(patch: Patch) -> Patch:
    return replace(patch, image=255 - patch.image)


def blank(patch: Patch) -> Patch:
    return replace(patch, image=np.full_like(patch.image, 255))


def colour(patches: Sequence[Patch]) -> np.ndarray:
    """Features: mean of each channel, and standard deviation."""
    return np.array([[*patch.image.mean((0, 1)), patch.image.std()] for patch in patches], np.float32)


def blobs(patch: Patch, factor: float = 1.0) -> np.ndarray:
    """Centres of the connected dark areas."""
    labels, count = ndimage.label(summed_density(patch.image) > 0.6 * factor)
    return np.array(ndimage.center_of_mass(labels > 0, labels, range(1, count + 1))).reshape(-1, 2)[:, ::-1]


def dark(patch: Patch) -> np.ndarray:
    """A detector of H&E nuclei: the known places whose pixel is neither too pale nor too dark."""
    level = patch.image[GRID[:, 1].astype(int), GRID[:, 0].astype(int)][:, 0]
    return GRID[(level > 105) & (level < 170)]


RIVALS = {"identity": lambda patch: patch, "cyclegan": halve, "inverted": negative, "blank": blank}
MEASURES = {"features": {"colour": colour}, "detect": dark, "find_blobs": blobs, "gain": 0.5}


def paired(count: int) -> list[TranslationSample]:
    """The true H&E is half as dense as the IHC, so `halve` is the perfect translation."""
    return [TranslationSample(patch, patch.name, halve(patch), GRID) for patch in map(tile, range(count))]


@pytest.fixture(scope="module")
def result():
    return evaluate_translations(paired(10), RIVALS, **MEASURES)


def test_the_perfect_translation_has_perfect_scores(result):
    scores = result["translations"]["cyclegan"]
    assert scores["images"]["ssim"]["mean"] == pytest.approx(1, abs=1e-4)
    assert scores["images"]["ms_gmsd"]["mean"] == pytest.approx(0, abs=1e-4)
    assert scores["correlation"]["lowest"] == pytest.approx(1, abs=0.01)
    assert scores["nuclei"] == {"f1": 1.0, "f1_ci95": [1.0, 1.0], "before": 60, "lost": 0, "new": 0}
    assert scores["detection"] == result["ceiling"]
    assert (result["ceiling"]["f1"], result["ceiling"]["n_true"], result["ceiling"]["n_pred"]) == (1.0, 60, 60)


def test_identity_preserves_everything_and_does_not_look_like_he(result):
    scores = result["translations"]["identity"]
    assert (scores["correlation"]["mean"], scores["nuclei"]["f1"]) == (1.0, 1.0)
    assert scores["images"]["psnr"]["mean"] < 30
    assert scores["sets"]["colour"]["kid"]["mean"] > result["floor"]["colour"]["kid"]["ci95"][1]
    assert (scores["detection"]["f1"], scores["detection"]["n_pred"]) == (0.0, 0)


def test_inversion_and_loss_of_content_are_detected(result):
    inverted, empty = (result["translations"][name] for name in ("inverted", "blank"))
    assert inverted["correlation"]["mean"] < -0.5
    assert inverted["nuclei"]["lost"] == empty["nuclei"]["lost"] == 60
    assert empty["correlation"] == {"mean": None, "ci95": [None, None], "lowest": None}
    assert empty["nuclei"]["new"] == 0


def test_the_protocol_describes_the_evaluation(result):
    protocol = result["protocol"]
    assert (protocol["samples"], protocol["groups"], protocol["radius_um"], protocol["gain"]) == (10, 10, 3.0, 0.5)
    assert (protocol["image_px"], protocol["mpp"], protocol["features"]["names"]) == (["100 x 100"], [0.5], ["colour"])
    assert protocol["he"] == {"images": 10, "paired": 10, "groups": 10}
    assert protocol["directions"]["ms_gmsd"] == protocol["directions"]["kid"] == "lower"
    assert {m for scores in result["translations"].values() for m in headline(scores)} == set(protocol["directions"])
    sizes = [scores["sets"]["colour"]["kid"]["size"] for scores in result["translations"].values()]
    assert {*sizes, result["floor"]["colour"]["kid"]["size"]} == {5}


@pytest.mark.parametrize(("images", "kept"), [(8, ["kid"]), (10, ["kid", "fid"])])
def test_fid_is_left_out_if_a_half_sample_does_not_exceed_the_feature_dimension(images, kept):
    ours, real = FeatureSet({"colour": colour}), FeatureSet({"colour": colour})
    for seed in range(images):
        ours.add(tile(seed), str(seed))
        real.add(halve(tile(seed)), str(seed))
    assert list(ours.distances(real)["colour"]) == list(real.distances()["colour"]) == kept


def test_unpaired_samples_are_compared_with_other_he():
    samples = [replace(sample, he=None, xy=None) for sample in paired(6)]
    he = [(halve(tile(seed)), f"h{seed}") for seed in range(10, 18)]
    result = evaluate_translations(samples, RIVALS, he=he, **MEASURES)
    scores = result["translations"]["cyclegan"]
    assert (scores["images"], scores["detection"], result["ceiling"]) == ({}, None, None)
    kid = scores["sets"]["colour"]["kid"]
    assert kid["ci95"][0] <= kid["mean"] <= kid["ci95"][1]
    assert kid["size"] == 3
    assert kid["mean"] < result["translations"]["identity"]["sets"]["colour"]["kid"]["mean"]
    assert result["protocol"]["he"] == {"images": 8, "paired": 0, "groups": 8}


@pytest.mark.parametrize("options", [{"find_blobs": blobs}, {"gain": 0.5}, {}])
def test_nuclei_are_compared_only_with_a_detector_and_a_gain(options):
    result = evaluate_translations(paired(1), RIVALS, **options)
    assert [scores["nuclei"] for scores in result["translations"].values()] == [None] * 4


def test_a_single_image_has_scores_but_no_feature_distance():
    result = evaluate_translations(paired(1), RIVALS, features={"colour": colour})
    scores = result["translations"]["cyclegan"]
    assert (scores["sets"], result["floor"]) == ({}, {})
    assert scores["images"]["ssim"]["ci95"] == pytest.approx([1, 1], abs=1e-4)
    assert "KID" not in translation_table(result)


def test_no_samples_are_refused_and_no_translations_give_no_scores():
    with pytest.raises(ValueError, match="expected at least one sample, found none"):
        evaluate_translations([], RIVALS)
    result = evaluate_translations(paired(1), {})
    assert (result["translations"], translation_table(result)) == ({}, "")


def test_a_patch_without_nuclei_has_no_scores():
    glass = Patch(np.full((100, 100, 3), 240, np.uint8), 0.5, "glass")
    sample = TranslationSample(glass, "g", halve(glass), np.zeros((0, 2)))
    found = evaluate_translations([sample], {"cyclegan": halve}, **MEASURES | {"detect": blobs})
    scores = found["translations"]["cyclegan"]
    assert (scores["nuclei"]["f1"], scores["detection"]["f1"], scores["correlation"]["mean"]) == (None, None, None)


def test_fields_are_adjacent_squares_around_the_centre():
    image = np.arange(70 * 110 * 3).reshape(70, 110, 3).astype(np.uint8)
    squares = cut_fields(Patch(image, 0.5, "wide"), 15.0)
    assert [square.image.shape for square in squares] == [(30, 30, 3)] * 6
    np.testing.assert_array_equal(squares[0].image, image[5:35, 10:40])
    np.testing.assert_array_equal(squares[-1].image, image[35:65, 70:100])
    with pytest.raises(ValueError, match=r"wide: expected sides of at least 50 microns .* found 55 x 35"):
        cut_fields(Patch(image, 0.5, "wide"), 50.0)


def test_lost_and_new_nuclei_are_told_apart():
    before, after = GRID, np.concatenate([GRID[1:], [[50.0, 50.0]]])
    changes = nuclei_changes(discs(before, [0.5] * 6), discs(after, [0.5] * 6), blobs, gain=1.0)
    np.testing.assert_allclose(changes.lost, GRID[:1], atol=1)
    np.testing.assert_allclose(changes.new, after[-1:], atol=1)
    np.testing.assert_allclose(changes.kept[np.lexsort(changes.kept.T[::-1])], GRID[1:], atol=1)


@pytest.mark.parametrize(("gain", "lost"), [(0.5, 0), (1.0, 6)])
def test_the_gain_makes_up_for_a_paler_stain(gain, lost):
    patch = discs(GRID, [0.4] * 6)
    assert len(nuclei_changes(patch, halve(patch), blobs, gain=gain).lost) == lost


def test_the_comparison_of_rivals_follows_the_direction_of_each_measure(result):
    assert beaten_by(result, "cyclegan") == {}
    lost = beaten_by(result, "blank")
    assert all("cyclegan" in lost[m] for m in ("psnr", "ssim", "ms_gmsd", "mdsi", "haarpsi", "kid", "fid", "detection"))
    assert not {"correlation", "nuclei"} & set(beaten_by(result, "inverted"))


def test_the_table_shows_directions_floor_ceiling_leaks_and_rivals(result):
    lines = translation_table(result).splitlines()
    assert [word for word in ("PSNR ↑", "MS-GMSD ↓", "MDSI ↓", "KID ↓", "F1 ↑") if word not in lines[0]] == []
    assert [line.split()[0] for line in lines[1:5]] == list(RIVALS)
    assert lines[5].startswith("real against real, 5 fields each: KID")
    assert lines[6] == "F1 on the true H&E: 1.000 (1.000 to 1.000)"
    assert lines[7] == "cyclegan beats every rival in PSNR, SSIM, MS-GMSD, MDSI, HaarPSI, KID, FID, F1"
    assert "identity does not beat every rival in PSNR (cyclegan" in translation_table(result, "identity")
    leaked = {"hovernet": ["fold1"], "ihc_to_he": [], "he_to_ihc": None}
    lines = translation_table(result | {"protocol": {"leaked": leaked}}).splitlines()
    assert lines[0] == "LEAKED: hovernet was trained or selected on 1 of these groups (fold1)"
    assert not lines[1].startswith("LEAKED")
