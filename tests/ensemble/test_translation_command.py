"""`histolib evaluate` of translations, from a data set to a table and a JSON file."""

import json
from pathlib import Path

import pytest
import torch

from histolib.cli import main
from histolib.data import phantom
from histolib.ensemble import HE_REFERENCE, HE_TO_IHC, HOVERNET, IHC_REFERENCE, IHC_TO_HE, TRANSLATIONS
from histolib.ensemble.translation_command import _leaked
from histolib.nuclei import HoVerNet, save_hovernet
from histolib.translation import Generator, StainReference, save_generator


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    phantom.write_bci(root / "bci", 1, 3, 128)
    phantom.write_pannuke(root / "pannuke", 3)
    phantom.write_endonuke(root / "endonuke", (12, 12))
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Networks fresh from the dice, and references of a phantom slide."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    net = HoVerNet("fast", None, 1 / 16)
    card = {"mpp": 0.5, "types": [], "groups": ["fold1"], "trained_on": "pannuke: fold1"}
    save_hovernet(folder / HOVERNET, net, card)
    for name in (IHC_TO_HE, HE_TO_IHC):
        generator = Generator(4, 1)
        generator.mpp = 0.5
        save_generator(folder / name, generator, {"groups": {"ihc": ["1-3"], "he": []}})
    twin = phantom.draw(0, 256, slide=7)
    StainReference.fit([twin.he], "he").save(folder / HE_REFERENCE)
    StainReference.fit([twin.ihc], "ihc").save(folder / IHC_REFERENCE)
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr("histolib.ensemble.translation_command.PHANTOM_PX", 200)


def evaluate(*argv: object) -> int:
    return main(["evaluate", *map(str, argv)])


def read(path: Path) -> dict:
    return json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_twins_of_the_phantom_are_scored_in_every_way(tmp_path, weights, capsys):
    target = tmp_path / "r.json"
    assert evaluate("--dataset", "phantom", "--images", 4, "--weights", weights, "--output", target) == 0
    result = read(target)
    assert list(result["translations"]) == list(TRANSLATIONS)
    for name, scores in result["translations"].items():
        assert set(scores["to_he"]["images"]) == {"psnr", "ssim", "ms_gmsd", "mdsi", "haarpsi"}
        assert scores["to_he"]["sets"]["encoder"]["kid"]["size"] == 2
        assert scores["to_he"]["detection"]["n_true"] == result["ceiling"]["n_true"] > 0
        assert (scores["to_ihc"] is None) == (name == "hed")
    assert result["translations"]["identity"]["to_he"]["nuclei"]["f1"] == 1.0
    assert result["translations"]["od"]["to_he"]["images"]["ssim"]["mean"] > 0.5
    protocol = result["protocol"]
    assert (protocol["samples"], protocol["groups"], protocol["he"]["paired"]) == (4, 4, 4)
    assert (protocol["image_um"], protocol["mpp"], protocol["seed"]) == (["50 x 50"], [0.25], 0)
    assert set(protocol["weights"]) == {HOVERNET, IHC_TO_HE, HE_TO_IHC, HE_REFERENCE, IHC_REFERENCE}
    assert protocol["trained_on"][HOVERNET] == "pannuke: fold1"
    out, err = capsys.readouterr()
    assert err == ""
    assert "SSIM ↑ MS-GMSD ↓" in out
    assert "cyclegan does not beat every rival in" in out
    assert "real against real, 2 fields each" in out


def test_the_phantom_is_of_slides_that_no_writer_draws_and_its_seed_counts(tmp_path, weights, monkeypatch):
    drawn = []
    original = phantom.draw
    monkeypatch.setattr(
        phantom, "draw", lambda *args, **how: drawn.append((*args, how["slide"])) or original(*args, **how)
    )
    options = ("--dataset", "phantom", "--images", 2, "--seed", 5, "--translations", "identity", "--weights", weights)
    assert evaluate(*options) == 0
    assert drawn == [(5, 200, 0.25, 100_000), (5, 200, 0.25, 100_001)]


def test_pairs_of_bci_are_those_of_its_test_split(tmp_path, data, weights):
    target = tmp_path / "r.json"
    options = ("--translations", "identity,macenko", "--weights", weights, "--output", target)
    assert evaluate(data / "bci", "--dataset", "bci", *options) == 0
    result = read(target)
    assert list(result["translations"]) == ["identity", "macenko"]
    protocol = result["protocol"]
    assert (protocol["samples"], protocol["marker"], protocol["mpp"]) == (3, "membrane", [0.46])
    assert protocol["correlation"] == "hematoxylin channel"
    assert result["translations"]["identity"]["to_he"]["detection"] is None
    assert evaluate(data / "bci", "--dataset", "bci", "--images", 2, *options) == 0
    assert read(target)["protocol"]["samples"] == 2


def test_unpaired_tiles_are_compared_with_other_he_and_splits_keep_what_was_seen_out(tmp_path, data, weights, capsys):
    target, split, he_split = tmp_path / "r.json", tmp_path / "s.json", tmp_path / "h.json"
    ids = sorted(int(path.stem) for path in (data / "endonuke/dataset/images").iterdir())
    split.write_text(json.dumps({"train": [], "val": [], "test": [f"{ids[12]}-{ids[-1]}"]}))
    he_split.write_text(json.dumps({"train": ["fold1"], "val": [], "test": ["fold2", "fold3"]}))
    common = (data / "endonuke", "--dataset", "endonuke", "--he", data / "pannuke", "--weights", weights)
    options = ("--translations", "identity,cyclegan", "--output", target)
    assert evaluate(*common, *options, "--split", split, "--he-split", he_split) == 0
    result = read(target)
    protocol = result["protocol"]
    assert (protocol["samples"], protocol["he"]["images"], protocol["he"]["paired"]) == (12, 6, 0)
    assert protocol["leaked"] == {HOVERNET: [], IHC_TO_HE: [], HE_TO_IHC: []}
    scores = result["translations"]["cyclegan"]["to_he"]
    assert (scores["images"], scores["detection"]) == ({}, None)
    assert scores["correlation"]["mean"] is not None
    assert "LEAKED" not in capsys.readouterr().out
    assert evaluate(*common, *options, "--images", 12) == 0
    assert read(target)["protocol"]["leaked"][HOVERNET] == ["fold1"]
    assert f"LEAKED: {HOVERNET} was trained on 1 of these groups (fold1)" in capsys.readouterr().out


def test_without_weights_the_classical_are_named_and_identity_is_scored(tmp_path, caplog):
    target = tmp_path / "r.json"
    assert evaluate("--dataset", "phantom", "--images", 1, "--weights", tmp_path, "--output", target) == 0
    result = read(target)
    assert list(result["translations"]) == ["identity"]
    assert result["translations"]["identity"]["to_he"]["sets"] == {}
    for name in ("od", "hed", "reinhard", "macenko", "cyclegan"):
        assert f"translation {name} left out: " in caplog.text
    for what in ("KID and FID", "nuclei found after translation", "nuclei before and after"):
        assert f"{what} left out" in caplog.text


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--dataset bci", "--dataset bci: expected a folder, found none"),
        ("somewhere --dataset phantom", "--dataset phantom: expected no folder, found somewhere"),
        ("gone --dataset bci", "gone: expected a folder, found nothing"),
        ("--dataset phantom --he x", "--he: expected --dataset endonuke"),
        ("--dataset phantom --translations magic", "unknown translation 'magic', expected identity"),
        ("--dataset phantom --translations od", f"translation od: expected {HE_REFERENCE}, {IHC_REFERENCE}"),
        ("--dataset phantom --features encoder", f"features encoder: expected {HOVERNET}"),
        ("--dataset phantom --features magic", "unknown features 'magic', expected encoder, inception"),
        ("--dataset phantom --images 0", "expected at least 1 image, found 0"),
        ("--dataset phantom --seed -1", "--seed"),
        ("--dataset phantom --output .", "expected a JSON file to write, found a folder"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_one_line(tmp_path, monkeypatch, capsys, argv, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w").mkdir()
    try:
        code = evaluate(*argv.split(), "--weights", "w")
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]


def test_inception_that_is_not_there_is_said_before_the_work(weights, monkeypatch, capsys):
    def missing(images: object) -> None:
        raise ValueError("features of Inception: expected the package torch-fidelity, found none")

    monkeypatch.setattr("histolib.ensemble.translation_command.inception_features", missing)
    assert evaluate("--dataset", "phantom", "--features", "encoder,inception", "--weights", weights) == 2
    assert capsys.readouterr().err == (
        "histolib evaluate: features of Inception: expected the package torch-fidelity, found none\n"
    )


def test_a_leak_is_a_group_that_training_saw_or_an_id_in_a_block_of_it():
    scored = {"ihc": ["5", "20"], "he": ["train_1"]}
    assert _leaked({"ihc": ["1-9"], "he": ["train_2"]}, scored) == ["5"]
    assert _leaked({"ihc": ["20"]}, scored) == ["20"]
    assert _leaked(["train_1", "5"], scored) == ["train_1"], "groups without a stain are of H&E"
    assert _leaked({}, scored) == []
    assert _leaked(None, scored) is None


def test_twins_may_be_of_one_tissue(monkeypatch, weights, capsys):
    asked = []
    draw = phantom.draw
    monkeypatch.setattr(phantom, "draw", lambda *a, **k: asked.append(k["tissue"]) or draw(*a, **k))
    options = ("--dataset", "phantom", "--images", 1, "--weights", weights, "--translations", "identity")
    assert evaluate(*options, "--tissue", "Uterus") == 0
    assert evaluate(*options) == 0
    assert asked == ["Uterus", None]
    assert evaluate(*options, "--tissue", "Elbow") == 2
    assert "expected a tissue of" in capsys.readouterr().err
