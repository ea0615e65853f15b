"""`histolib train`: what is trained on, selected on and held out, and which settings are accepted."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from histolib.cli.main import main
from histolib.data import PanNuke
from histolib.ensemble import Models
from histolib.nuclei import HoVerNet
from histolib.training.checkpoint import load_checkpoint
from histolib.training.loop import read_log
from histolib.translation import Generator

SMALL_CYCLEGAN = ["width=4", "patch_px=32", "blocks=1", "discriminator_width=4", "steps=2", "warm_steps=1",
                  "content_limit=-1.0"]  # fmt: skip
LOSES_CONTENT = [f"--set={change}" for change in ("steps=5", "warm_steps=0", "grace_steps=1", "content_limit=0.9999")]
SPLIT = Path(__file__).parents[2] / "data/splits/consep.json"
BLOCKS = ["1000-1002", "2000-2002", "3000-3002"]  # the three runs of the phantom
SMALL_HOVERNET = ["steps=2", "width=0.0625", "map_px=36", "batch_size=1"]


def cyclegan(ihc, he, output, *options):
    small = [f"--set={change}" for change in SMALL_CYCLEGAN]
    command = ["train", "cyclegan", "--ihc", ihc, "--he", he, "--output", output, *small, *options]
    return list(map(str, command))


def hovernet(data, output, *options):
    small = [f"--set={change}" for change in SMALL_HOVERNET]
    return ["train", "hovernet", "--data", str(data), "--output", str(output), *small, *map(str, options)]


@pytest.fixture
def root(phantoms):
    return phantoms["bci"].parent


def write_split(path, train, val, test):
    path.write_text(json.dumps({"train": [train], "val": [val], "test": [test]}))
    return path


def test_training_writes_all_that_the_routes_need_and_resumes(root, tmp_path, capsys):
    command = cyclegan(root / "endonuke", root / "pannuke", tmp_path / "cyclegan")
    assert main(command) == 0
    assert main(hovernet(root / "pannuke", tmp_path / "hovernet")) == 0
    models = Models(tmp_path)
    assert not models.missing(["hovernet", "ihc_to_he", "he_to_ihc", "he_reference", "ihc_reference"])
    generator, net = models.load("ihc_to_he"), models.load("hovernet")
    held_in = {*BLOCKS[:2], "fold1", "fold2"}
    assert set(generator.provenance.groups) == held_in, "without splits the last run and fold 3 are held out"
    assert set(net.provenance.groups) == {"fold1", "fold2"}
    assert net.types == tuple(PanNuke.types.values())
    assert main([*command, "--resume"]) == 0
    assert capsys.readouterr().out.count("3 steps; weights in") == 2


def test_splits_decide_what_is_trained_selected_and_held_out(root, tmp_path, weights):
    ihc = write_split(tmp_path / "ihc.json", *BLOCKS)
    he = write_split(tmp_path / "he.json", "fold3", "fold1", "fold2")
    detector = weights / "hovernet.safetensors"
    options = ["--ihc-split", ihc, "--he-split", he, "--save-every=2", "--detector", detector]
    assert main(cyclegan(root / "endonuke", root / "pannuke", tmp_path / "out", *options)) == 0
    provenance = Generator.load(tmp_path / "out/ihc_to_he.safetensors").provenance
    assert set(provenance.groups) == {*BLOCKS[:2], "fold3"}
    for part in (f"endonuke: {BLOCKS[0]}", BLOCKS[1], "pannuke: fold3"):
        assert part in provenance.trained_on
    assert "val_f1" in read_log(tmp_path / "out")

    assert main(hovernet(root / "pannuke", tmp_path / "net", "--split", he)) == 0
    provenance = HoVerNet.load(tmp_path / "net/hovernet.safetensors").provenance
    assert set(provenance.groups) == {"fold1", "fold3"}
    assert provenance.trained_on == "pannuke: fold3; validation: fold1"
    assert "val_pq" in read_log(tmp_path / "net")


def test_a_generator_of_pairs_is_fine_tuned_on_other_stains_with_frozen_stages(root, tmp_path):
    bci, first, second = root / "bci", tmp_path / "first", tmp_path / "second"
    assert main(cyclegan(bci, bci, first, "--set=marker=membrane")) == 0
    tune = cyclegan(root / "endonuke", root / "pannuke", second, "--set=warm_steps=0", "--start", first)
    assert main([*tune, "--set=freeze=encoder,blocks"]) == 0
    before, after = (Generator.load(folder / "ihc_to_he.safetensors") for folder in (first, second))
    assert set(before.provenance.groups) == {"train"}
    new = after.state_dict()
    assert {key.split(".")[0] for key, value in before.state_dict().items() if not value.equal(new[key])} == {"decoder"}


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (cyclegan, ["--detector", "x.safetensors"], "--detector: expected --ihc-split with validation tiles"),
        (cyclegan, ["--he-split", "gone.json"], "gone.json: expected a split"),
        (cyclegan, ["--set", "width=-1"], "width: expected 1 to 4096, found -1"),
        (cyclegan, ["--set", "seed=-1"], "expected seed to be 0 or more, found -1"),
        (hovernet, ["--set", "wdith=4"], "unknown parameter 'wdith'"),
        (hovernet, ["--split", SPLIT], "found no train_1"),
    ],
)
def test_unusable_options_are_refused_with_one_line(root, tmp_path, refused, network, options, message):
    sets = [root / "endonuke", root / "pannuke"][network is hovernet :]
    assert message in refused(*network(*sets, tmp_path, *options))


def test_a_run_that_loses_the_content_ends_with_its_message(root, tmp_path, capsys):
    assert main(cyclegan(root / "endonuke", root / "pannuke", tmp_path, *LOSES_CONTENT)) == 2
    assert "correlates at" in capsys.readouterr().err


def test_two_processes_train_and_save_one_checkpoint(root, tmp_path):
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    with socket.socket() as free:  # torch 2.6 does not choose a free port for port 0
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", port]
    command = cyclegan(root / "endonuke", root / "pannuke", tmp_path / "two", "--set=ema=0.9")
    # `launch --cpu` starts only one process, so the launcher for several is told not to use a GPU.
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    subprocess.run([*launch, "--module", "histolib", *command], env=environment, check=True, capture_output=True)
    files = ["checkpoint.pt", "he_to_ihc.safetensors", "ihc_reference.safetensors", "ihc_to_he.safetensors", "log.csv"]
    assert sorted(file.name for file in (tmp_path / "two").iterdir()) == files
    state = load_checkpoint(tmp_path / "two/checkpoint.pt")
    assert state["step"] == len(read_log(tmp_path / "two")) == 3
    # Two processes with one crop each compute the same update as one process with both crops.
    assert main(cyclegan(root / "endonuke", root / "pannuke", tmp_path / "one", "--set=batch_size=2")) == 0
    alone = load_checkpoint(tmp_path / "one/checkpoint.pt")
    pairs = [(value, state["modules"]["ihc_to_he"][key]) for key, value in alone["modules"]["ihc_to_he"].items()]
    differences = torch.cat([(one - two).abs().flatten() for one, two in pairs])
    assert differences.quantile(0.95) < 1e-5, "Adam moves by 3e-4 per step where a gradient is nearly zero"
