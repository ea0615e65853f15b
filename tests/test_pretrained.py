"""What ships must be small, load, work by default, and say what it is."""

import argparse
import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch

import histolib
from histolib.cli import train
from histolib.config import changed, profile
from histolib.ensemble import ROUTES, Models
from histolib.ensemble.routes import DEFAULT_ROUTES
from histolib.experiments.train_pretrained import LEARNED, average_with_start
from histolib.imaging import MARKERS, Patch
from histolib.io import load_weights
from histolib.nuclei import HoVerNet

SHIPPED = Path(histolib.__file__).parent / "pretrained"
WEIGHTS = sorted(SHIPPED.glob("*/*.safetensors"))
HEADINGS = ["Intended use", "Out of scope", "Data", "Licence", "Split", "Seed", "Commands", "Commit", "Scores"]
HEADINGS += ["Known failures"]


@pytest.mark.parametrize("folder", sorted({path.parent for path in WEIGHTS}), ids=lambda folder: folder.name)
def test_every_folder_has_a_card_that_says_all(folder):
    card = (folder / "CARD.md").read_text("utf-8")
    for heading in HEADINGS:
        assert re.search(rf"^\*\*{heading}\.\*\* \S", card, re.M), heading


@pytest.mark.parametrize("path", WEIGHTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_weights_are_small_and_saw_no_data_that_may_not_ship(path):
    _, card = load_weights(path)
    trained_on = card.get("trained_on", "")
    assert not re.findall(r"bci|pannuke|phantom", trained_on)
    assert "consep" in trained_on.lower() or card["kind"] == "StainReference"
    assert sum(weights.stat().st_size for weights in WEIGHTS) < 25_000_000


@pytest.mark.parametrize("marker", MARKERS)
def test_the_default_routes_find_nuclei_on_a_real_photograph(marker):
    image = skimage.data.immunohistochemistry()[150:350, 150:350]
    models = Models()
    route = ROUTES[DEFAULT_ROUTES[marker]]
    assert not models.missing(route.needs)
    found = route(Patch(image, 0.5, "colon"), marker, models)
    assert 20 < len(found) < 200
    assert ((found.xy >= -0.5) & (found.xy <= 199.5)).all()
    assert np.isfinite(found.score).all()


RECIPES = ["consep", "recoloured", "hovernet", "painted", "wide", "synthetic"]
RECIPES += ["cyclegan 1", "selftrained 1", "supervised 1"]


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """What the recipes ask for, in order: stand-ins for `histolib` and `python` print their arguments."""
    folder = tmp_path_factory.mktemp("recipes")
    for name in ("histolib", "python"):
        (folder / name).write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
        (folder / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "RUNS": str(folder / "runs")}
    commands = (["bash", SHIPPED / "recipes.sh", *recipe.split()] for recipe in RECIPES)
    return [json.loads(subprocess.check_output(command, env=environment)) for command in commands]


def test_the_recipes_parse_and_begin_with_what_an_earlier_one_wrote_and_unknown_ones_list_all(asked):
    assert len(asked) == len(RECIPES)
    parser = argparse.ArgumentParser()
    train.add_parser(parser.add_subparsers())
    written = set()
    for command in asked:
        options = {name: command[i + 1] for i, name in enumerate(command) if name.startswith("--")}
        network = "hovernet" if "hovernet" in command[:2] or "-m" in command else command[1]
        network = "cyclegan" if "cyclegan" in command[:3] else network
        settings = getattr(profile("pretrained"), network)
        for change in (value for name, value in pairwise(command) if name == "--set"):
            assert changed(settings, [change]) != settings or change.startswith("steps="), "only differences"
        if command[0] == "train":
            parser.parse_args(command)
        else:
            assert command[:2] == ["-m", "histolib.experiments.train_pretrained"]
        if "--split" in options:
            assert (SHIPPED.parent.parent / options["--split"]).is_file()
        for needed in (options[name] for name in ("--start", "--detector", "--teacher") if name in options):
            assert Path(needed).parent in written, needed
        written.add(Path(options["--output"]))
    done = subprocess.run(["bash", SHIPPED / "recipes.sh", "soup"], capture_output=True, text=True, check=False)
    assert (done.returncode, "supervised FOLD" in done.stdout) == (2, True)


def test_a_share_of_the_trained_weights_is_averaged_with_the_start(tmp_path):
    nets = {name: HoVerNet(width=1 / 16) for name in ("start", "trained")}
    for value, (name, net) in enumerate(nets.items(), 1):
        torch.nn.init.constant_(net.conv_bot.weight, value)
        net.save(tmp_path / name)
    average_with_start(tmp_path / "trained", tmp_path / "start")
    assert torch.allclose(HoVerNet.load(tmp_path / "trained").conv_bot.weight, torch.tensor(1 + LEARNED))
