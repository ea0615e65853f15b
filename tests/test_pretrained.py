"""What ships must be small, load, work by default, and say what it is."""

import re
from pathlib import Path

import numpy as np
import pytest
import skimage.data

import histolib
from histolib.ensemble import ROUTES, Models
from histolib.ensemble.commands import DEFAULT_ROUTES
from histolib.imaging import Patch
from histolib.training import load_weights

SHIPPED = Path(histolib.__file__).parent / "pretrained"
WEIGHTS = sorted(SHIPPED.glob("*/*.safetensors"))
CARD = ("Data", "Licence", "Split", "Seed", "Commands", "Commit", "Scores", "Known failures")


def test_all_together_are_small():
    assert WEIGHTS
    assert sum(path.stat().st_size for path in WEIGHTS) < 25_000_000


@pytest.mark.parametrize("folder", sorted({path.parent for path in WEIGHTS}), ids=lambda folder: folder.name)
def test_every_folder_has_a_card_that_says_all(folder):
    card = (folder / "CARD.md").read_text("utf-8")
    for heading in CARD:
        assert re.search(rf"^\*\*{heading}\.\*\* \S", card, re.M), heading


@pytest.mark.parametrize("path", WEIGHTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_weight_saw_data_that_may_not_ship(path):
    _, card = load_weights(path)
    if card.get("kind") == "StainReference":
        return
    assert set(re.findall(r"bci|pannuke|phantom", card["trained_on"])) == set()
    assert "consep" in card["trained_on"]


@pytest.mark.parametrize("marker", list(DEFAULT_ROUTES))
def test_the_default_routes_find_nuclei_on_a_real_photograph(marker):
    image = skimage.data.immunohistochemistry()[150:350, 150:350]
    models = Models()
    route = ROUTES[DEFAULT_ROUTES[marker]]
    assert not models.missing(route.needs)
    found = route(Patch(image, 0.5, "colon"), marker, models)
    assert 20 < len(found) < 200
    assert ((found.xy >= -0.5) & (found.xy <= 199.5)).all()
    assert np.isfinite(found.score).all()


def test_every_route_without_ihc_labels_has_its_weights():
    models = Models()
    assert [name for name, route in ROUTES.items() if models.missing(route.needs)] == ["supervised"]
