"""Recipes must split between runs, read lazily, and change only settings that exist."""

import json
import logging
import os
import socket
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
import torch

from histolib import materials, recipes
from histolib.cli import main
from histolib.config import PROFILES, profile
from histolib.data import EndoNuke, PanNuke, open_outlined, phantom
from histolib.ensemble import Models
from histolib.imaging import Patch
from histolib.nuclei import HoVerNet, load_hovernet, save_hovernet
from histolib.training import load_checkpoint, read_log
from histolib.translation import Generator, StainReference, load_generator, save_generator


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    phantom.write_all(folder, per_fold=3, runs=(3, 3, 3), pairs=(1, 1), bci_px=128)
    return folder


def test_runs_are_never_torn_apart():
    ids = [1, 2, 3, 500, 501, 1000, 1001, 1002]
    train, test = recipes.split_runs(ids)
    assert [ids[i] for i in train] == [1, 2, 3, 500, 501]
    assert [ids[i] for i in test] == [1000, 1001, 1002]


def test_every_annotation_of_a_tile_lands_on_one_side():
    ids = [1, 1, 500, 500, 1000]
    train, test = recipes.split_runs(ids)
    assert not {ids[i] for i in train} & {ids[i] for i in test}
    assert sorted(train + test) == list(range(5))


def test_one_run_cannot_be_split():
    with pytest.raises(ValueError, match="at least two runs"):
        recipes.split_runs([1, 2, 3])


def test_patches_are_read_when_asked_for(root):
    tiles = EndoNuke(root / "endonuke")
    patches = recipes.Patches(tiles, [0, 4])
    assert len(patches) == 2
    assert isinstance(patches[1], Patch)
    np.testing.assert_array_equal(patches[1].image, tiles[4].patch.image)
    assert [patch.name for patch in patches[:]] == [patch.name for patch in patches]


def test_phantom_sets_are_drawn_once_and_found_again(tmp_path, monkeypatch):
    drawn = []
    real = phantom.write_all
    monkeypatch.setattr(recipes.phantom, "write_all", lambda root, *_: drawn.append(real(root, 1, (1, 1), (1, 1), 64)))
    first = recipes.open_sets(tmp_path, profile("quick"))
    recipes.open_sets(tmp_path, profile("quick"))
    assert len(drawn) == 2
    assert first.phantom
    assert len(first.pannuke) == 3


def test_real_sets_are_opened_where_they_lie(root):
    sets = recipes.open_sets("nowhere", profile("quick"), str(root))
    assert not sets.phantom
    assert len(sets.endonuke) == 9


@pytest.mark.parametrize("size", PROFILES.values(), ids=lambda size: size.name)
def test_every_profile_makes_settings(size):
    assert recipes.translation_settings(size, 3).seed == recipes.hover_settings(size, ["a"], 3).seed == 3


def test_train_leaves_all_that_the_routes_need(root, tmp_path, capsys):
    he, ihc, out = str(root / "pannuke"), str(root / "endonuke"), tmp_path / "run"
    small = ["--set", "width=4", "--set", "patch_px=32", "--set", "blocks=1", "--set", "warm_steps=1"]
    translate = ["train", "cyclegan", "--ihc", ihc, "--he", he, "--output", str(out / "cyclegan"), "--set", "steps=2"]
    assert main([*translate, *small]) == 0
    find = ["train", "hovernet", "--data", he, "--output", str(out / "hovernet"), "--set", "steps=2"]
    assert main([*find, "--set", "width=0.0625", "--set", "map_px=36", "--set", "batch_size=1"]) == 0
    assert not Models(out).missing(
        ["hovernet.safetensors", "ihc_to_he.safetensors", "he_reference.safetensors", "ihc_reference.safetensors"]
    )
    assert main([*translate, *small, "--resume"]) == 0
    assert "3 steps" in capsys.readouterr().out


def test_a_split_is_trained_on_chosen_by_and_tested_apart(root, tmp_path, capsys):
    split = tmp_path / "split.json"
    split.write_text('{"train": ["fold2"], "val": ["fold1"], "test": ["fold3"]}')
    he, out, scores = str(root / "pannuke"), tmp_path / "run", tmp_path / "scores.json"
    small = ["--set=steps=2", "--set=width=0.0625", "--set=map_px=36", "--set=batch_size=1", "--set=patience=1"]
    assert main(["train", "hovernet", "--data", he, "--split", str(split), "--output", str(out), *small]) == 0
    assert "val_pq" in (out / "log.csv").read_text()
    evaluate = ["evaluate", he, "--dataset", "pannuke", "--weights", str(out), "--output", str(scores)]
    assert main([*evaluate, "--split", str(split)]) == 0
    result = json.loads(scores.read_text())
    assert result["protocol"]["leaked"] == []
    assert result["protocol"]["samples"] == 3
    assert list(result["types"]) == list(PanNuke.types.values())
    assert "LEAKED" not in capsys.readouterr().out
    assert main([*evaluate[:-1], str(tmp_path / "all.json")]) == 0
    assert json.loads((tmp_path / "all.json").read_text())["protocol"]["leaked"] == ["fold1", "fold2"]
    assert capsys.readouterr().out.startswith("LEAKED: these weights were trained on or chosen by fold1, fold2")


SMALL = ["width=4", "patch_px=32", "blocks=1", "discriminator_width=4", "steps=2", "warm_steps=1", "content_limit=-1.0"]


def translate_command(ihc, he, output, *options):
    settings = [f"--set={change}" for change in SMALL]
    return ["train", "cyclegan", "--ihc", str(ihc), "--he", str(he), "--output", str(output), *settings, *options]


def test_a_translator_is_kept_from_what_its_splits_hold_out_and_its_card_says_what_it_saw(root, tmp_path, monkeypatch):
    ids = EndoNuke(root / "endonuke").ids
    blocks = [f"{ids[i]}-{ids[i + 2]}" for i in (0, 3, 6)]
    splits = {"ihc": blocks, "he": ["fold3", "fold1", "fold2"]}
    for stain, (train, val, test) in splits.items():
        (tmp_path / f"{stain}.json").write_text(json.dumps({"train": [train], "val": [val], "test": [test]}))
    card = {"mpp": 1.0, "types": [], "thresholds": {}}
    save_hovernet(tmp_path / "hovernet.safetensors", HoVerNet("fast", None, 1 / 16), card)
    seen, train = [], recipes.translation.train
    monkeypatch.setattr(
        recipes.translation, "train", lambda ihc, he, *_, **__: seen.append((ihc[:], he[:])) or train(ihc, he, *_, **__)
    )
    options = ["--ihc-split", tmp_path / "ihc.json", "--he-split", tmp_path / "he.json", "--validate-every=2"]
    options += ["--detector", tmp_path / "hovernet.safetensors", "--patience=1"]
    command = translate_command(root / "endonuke", root / "pannuke", tmp_path / "out", *map(str, options))
    assert main(command) == 0
    ((ihc, he),) = seen
    assert [patch.name for patch in ihc] == [str(i) for i in ids[:3]]
    assert [patch.name for patch in he] == [s.patch.name for s in PanNuke(root / "pannuke", folds=(3,))]
    card = load_generator(tmp_path / "out/ihc_to_he.safetensors")[1]
    assert card["groups"] == {"ihc": blocks[:2], "he": ["fold3"]}
    assert card["trained_on"] == f"IHC of endonuke: {blocks[0]}; chosen by: {blocks[1]}; H&E of pannuke: fold3"
    assert "val_f1" in (tmp_path / "out/log.csv").read_text()


def test_a_network_that_learns_from_translations_is_kept_from_what_the_translator_saw(root, tmp_path):
    card = {"groups": {"ihc": ["1-5"], "he": ["fold1"]}, "trained_on": "somewhere", "direction": "he_to_ihc"}
    generator = Generator(4, 1)
    generator.mpp = 0.5
    save_generator(tmp_path / "he_to_ihc.safetensors", generator, card)
    small = ["--set=steps=1", "--set=width=0.0625", "--set=map_px=36", "--set=batch_size=1"]
    command = ["train", "hovernet", "--data", str(root / "pannuke"), "--output", str(tmp_path / "out"), *small]
    assert main([*command, "--translate", str(tmp_path / "he_to_ihc.safetensors")]) == 0
    _, learnt = load_hovernet(tmp_path / "out/hovernet.safetensors")
    assert "1-5" in learnt["groups"]
    assert learnt["trained_on"].endswith("; through he_to_ihc (somewhere)")
    samples, _ = open_outlined(root / "pannuke")
    shown = recipes.Translated(samples, generator)
    assert shown.groups == samples.groups
    assert not np.array_equal(shown[0].patch.image, samples[0].patch.image)
    assert np.array_equal(shown[0].instances, samples[0].instances)


def test_a_sample_is_translated_once_as_long_as_there_is_room(root, monkeypatch):
    samples, asked = open_outlined(root / "pannuke")[0], []
    monkeypatch.setattr(materials, "translate", lambda patch, generator: asked.append(patch.name) or patch)
    monkeypatch.setattr(materials, "KEPT", 1)
    shown = recipes.Translated(samples, None)
    for index in (0, 0, 1, 1):
        assert shown[index].patch.name == samples[index].patch.name
    assert asked == [samples[i].patch.name for i in (0, 1, 1)]


def test_without_splits_the_last_run_and_the_third_fold_are_held_out(root):
    ids = EndoNuke(root / "endonuke").ids
    ihc, he = recipes.open_stain(root / "endonuke", "ihc"), recipes.open_stain(root / "pannuke", "he")
    assert [patch.name for patch in ihc.patches] == [str(i) for i in ids[:6]]
    assert he.groups == ("fold1", "fold2")
    assert len(he.patches) == 6


def test_a_translator_of_pairs_is_fine_tuned_on_other_stains_with_frozen_stages(root, tmp_path):
    bci, first, second = root / "bci", tmp_path / "first", tmp_path / "second"
    assert main(translate_command(bci, bci, first, "--set=marker=membrane")) == 0
    tune = translate_command(root / "endonuke", root / "pannuke", second, "--set=warm_steps=0")
    assert main([*tune, "--start", str(first), "--set=freeze=encoder,blocks"]) == 0
    (before, was), (after, card) = (load_generator(folder / "ihc_to_he.safetensors") for folder in (first, second))
    assert was["groups"] == {"ihc": ["train"], "he": ["train"]}
    assert card["settings"]["freeze"] == ["encoder", "blocks"]
    moved = {
        key.split(".")[0] for key, value in before.state_dict().items() if not value.equal(after.state_dict()[key])
    }
    assert moved == {"decoder"}


def test_what_cannot_be_chosen_by_or_split_is_refused(root, tmp_path, capsys):
    assert main(translate_command(root / "endonuke", root / "pannuke", tmp_path, "--detector=x.safetensors")) == 2
    assert "--ihc-split" in capsys.readouterr().err
    split = tmp_path / "split.json"
    split.write_text('{"train": ["train"], "val": [], "test": []}')
    assert main(translate_command(root / "bci", root / "pannuke", tmp_path, "--ihc-split", str(split))) == 2
    assert "BCI's own" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("network", "kind"), [("cyclegan", recipes.TranslationSettings), ("hovernet", recipes.HoverSettings)]
)
def test_the_help_names_every_setting(network, kind, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["train", network, "--help"])
    shown = capsys.readouterr().out
    assert all(field.name in shown for field in fields(kind))


def test_two_processes_train_and_save_one_checkpoint(root, tmp_path):
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    with socket.socket() as free:  # torch 2.6 takes port 0 by its word
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", port]
    command = translate_command(root / "endonuke", root / "pannuke", tmp_path / "two", "--set=ema=0.9")
    # `launch --cpu` starts one process whatever the number, so the launcher of many is told to use no GPU.
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    subprocess.run([*launch, "--module", "histolib", *command], env=environment, check=True, capture_output=True)
    assert sorted(file.name for file in (tmp_path / "two").iterdir()) == [
        "checkpoint.pt",
        "he_to_ihc.safetensors",
        "ihc_reference.safetensors",
        "ihc_to_he.safetensors",
        "log.csv",
    ]
    assert load_generator(tmp_path / "two/ihc_to_he.safetensors")[1]["processes"] == 2
    state = load_checkpoint(tmp_path / "two/checkpoint.pt")
    assert state["step"] == 3
    assert len(read_log(tmp_path / "two")) == 3
    # What two processes learn from one crop each is what one learns from both.
    assert main(translate_command(root / "endonuke", root / "pannuke", tmp_path / "one", "--set=batch_size=2")) == 0
    alone = load_checkpoint(tmp_path / "one/checkpoint.pt")
    pairs = [(value, state["modules"]["ihc_to_he"][key]) for key, value in alone["modules"]["ihc_to_he"].items()]
    differences = torch.cat([(one - two).abs().flatten() for one, two in pairs])
    assert differences.quantile(0.95) < 1e-5, "Adam steps by the rate of 3e-4, and off where a gradient is nearly zero"


def test_a_split_of_other_groups_is_refused(root, tmp_path, capsys):
    split = tmp_path / "split.json"
    split.write_text('{"train": ["train_1"], "val": [], "test": ["train_2"]}')
    arguments = ["train", "hovernet", "--data", str(root / "pannuke"), "--split", str(split)]
    assert main([*arguments, "--output", str(tmp_path)]) == 2
    assert "found no train_1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("wdith=4", "unknown parameter 'wdith'"),
        ("width=wide", "expected width to be float"),
        ("steps=1.5", "expected steps to be int"),
        ("steps", "expected NAME=VALUE"),
    ],
)
def test_a_setting_that_does_not_exist_or_fit_is_named(root, tmp_path, capsys, change, message):
    arguments = ["train", "hovernet", "--data", str(root / "pannuke"), "--output", str(tmp_path), "--set", change]
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_run_that_inverts_ends_with_its_message(root, tmp_path, capsys, caplog):
    small = ["width=4", "patch_px=32", "blocks=1", "warm_steps=0", "steps=5", "grace_steps=1", "content_limit=0.9999"]
    arguments = ["train", "cyclegan", "--ihc", str(root / "endonuke"), "--he", str(root / "pannuke")]
    with caplog.at_level(logging.ERROR):
        code = main([*arguments, "--output", str(tmp_path), *(f"--set={change}" for change in small)])
    assert code == 2
    assert "correlation" in (caplog.text + capsys.readouterr().err).lower()


def test_held_out_folds_are_not_trained_on(root):
    samples, types = open_outlined(root / "pannuke")
    assert recipes.training_groups(samples) == ("fold1", "fold2")
    assert types == list(PanNuke.types.values())


def test_agreement_is_asked_of_two_networks_of_the_translations_scale(root, tmp_path, capsys):
    for name, mpp in (("he", 0.5), ("ihc", 0.5), ("other", 0.25)):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "hovernet.safetensors"
        save_hovernet(path, HoVerNet("fast", None, 1 / 16), {"mpp": mpp, "types": [], "thresholds": {}})
    StainReference.fit(recipes.Patches(PanNuke(root / "pannuke")), "he").save(tmp_path / "he/he_reference.safetensors")
    options = ["--detector", str(tmp_path / "he/hovernet.safetensors"), "--set=agreement=1.0", "--set=patch_px=64"]
    options += ["--set=mpp=0.5"]
    command = translate_command(root / "endonuke", root / "pannuke", tmp_path / "out", *options)
    assert main([*command, "--agree-with", str(tmp_path / "ihc/hovernet.safetensors")]) == 0
    assert "agreement" in (tmp_path / "out/log.csv").read_text()
    assert "val_f1" not in (tmp_path / "out/log.csv").read_text()
    assert main([*command, "--agree-with", str(tmp_path / "other/hovernet.safetensors")]) == 2
    assert "expected 0.5 microns per pixel as the translation, found 0.25" in capsys.readouterr().err
