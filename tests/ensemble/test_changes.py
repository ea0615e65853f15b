"""Nuclei that a translation takes away or paints must be told from those that it keeps."""

from dataclasses import replace

import numpy as np
import pytest

from histolib.ensemble import TranslationSample, Translator, evaluate_translations, nuclei_changes
from histolib.imaging import Patch, rgb_from_density

GRID = np.array([(25.0 + 50 * i, 20.0 + 30 * j) for i in range(2) for j in range(3)])


def discs(xy: np.ndarray, density: float = 0.5) -> Patch:
    y, x = np.mgrid[:100, :100]
    picture = np.full((100, 100, 3), 0.05)
    for cx, cy in xy:
        picture[np.hypot(x - cx, y - cy) <= 6] = density
    return Patch(rgb_from_density(picture), 0.5, "discs")


def test_a_nucleus_that_is_gone_is_lost_and_one_that_was_not_there_is_new():
    added = np.array([[50.0, 50.0]])
    changes = nuclei_changes(discs(GRID), discs(np.concatenate([GRID[1:], added])), gain=1.0)
    assert np.abs(changes.lost - GRID[:1]).max() < 1
    assert np.abs(changes.new - added).max() < 1
    assert len(changes.kept) == 5


def test_a_paler_stain_loses_nothing_at_its_gain():
    assert len(nuclei_changes(discs(GRID), discs(GRID, 0.15), gain=0.3).lost) == 0
    assert len(nuclei_changes(discs(GRID), discs(GRID, 0.15), gain=1.0).lost) == 6


@pytest.mark.parametrize(("before", "after", "lost", "new"), [(0, 6, 0, 6), (6, 0, 6, 0), (0, 0, 0, 0)])
def test_empty_pictures_lose_or_invent_all(before, after, lost, new):
    changes = nuclei_changes(discs(GRID[:before]), discs(GRID[:after]), gain=1.0)
    assert (changes.kept.shape, changes.lost.shape, changes.new.shape) == ((0, 2), (lost, 2), (new, 2))


def test_the_counts_are_those_of_the_evaluation():
    def drop_two(patch: Patch) -> Patch:
        return replace(patch, image=discs(GRID[2:]).image)

    patch = discs(GRID)
    found = evaluate_translations([TranslationSample(patch, "a")], {"drop": Translator(drop_two)}, gain=1.0)
    changes = nuclei_changes(patch, drop_two(patch), gain=1.0)
    scores = found["translations"]["drop"]["to_he"]["nuclei"]
    assert (scores["lost"], scores["new"]) == (len(changes.lost), len(changes.new)) == (2, 0)
