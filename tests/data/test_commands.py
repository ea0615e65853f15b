"""`histolib data`: exit codes, what is printed where, and no torch."""

import argparse
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histolib import cli
from histolib.data import commands, sources
from histolib.data.commands import add_parsers, verify
from histolib.data.phantom import write_pannuke


def run(*argv: str | Path) -> int:
    parser = argparse.ArgumentParser()
    add_parsers(parser.add_subparsers(required=True))
    args = parser.parse_args(["data", *map(str, argv)])
    return args.run(args)


def picture(path: Path, size: int = 200) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), (200, 100, 150)).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for stain in ("HE", "IHC"):
        picture(tmp_path / "bci" / stain / "train" / "00000_train_0.png", 4)
    for number in (1, 2, 3):
        picture(tmp_path / "endonuke" / "dataset" / "images" / f"{number}.png")
    for study in ("bulk", "hidden"):
        labels = tmp_path / "endonuke" / "dataset" / "labels" / study / "ann"
        labels.mkdir(parents=True)
        for number in (1, 2):
            (labels / f"{number}.txt").write_text("1 1 0\n5 5 1\n")
    return tmp_path


def test_list_tells_what_is_there_and_what_is_missing(root, capsys):
    (root / "pannuke").mkdir()
    (root / "pannuke" / "fold_1.zip.part").write_bytes(b"half")
    assert run("list", "--root", root) == 0
    out, err = capsys.readouterr()
    state = {line.split()[0]: line for line in out.splitlines() if not line.startswith(" ")}
    assert list(state) == ["bci", "pannuke", "endonuke", "consep", "hovernet-pannuke", "resnetv2-50"]
    assert f"{root / 'bci'} (1 samples)" in state["bci"]
    assert f"{root / 'endonuke'} (4 samples)" in state["endonuke"]
    assert "not whole" in state["pannuke"]
    assert "missing" in state["consep"]
    assert "CC BY-NC-SA 4.0" in out
    assert "37 GB" in out
    assert err == ""


def test_list_works_where_there_is_no_data_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("list") == 0
    assert capsys.readouterr().out.count("missing") == 6
    assert os.listdir(tmp_path) == []


def test_verify_counts_what_is_whole(root, capsys):
    assert run("verify", "--root", root) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["set", "samples", "nuclei", "notes", "problems", "folder"],
        ["bci", "1", "0", "0", "0", str(root / "bci")],
        ["endonuke", "4", "8", "0", "0", str(root / "endonuke")],
    ]


def test_verify_notes_what_a_reader_mends_and_is_content(root, capsys):
    (root / "endonuke/dataset/labels/bulk/ann/2.txt").write_text("1 1 1\n1 1 1\n300 1 1\n")
    assert run("verify", "endonuke", "--root", root) == 0
    out, err = capsys.readouterr()
    repeated, outside, _, row = out.splitlines()
    assert repeated.startswith("note: ")
    assert "2.txt:2: point (1, 1) of class 1 repeats line 1, dropped" in repeated
    assert "2.txt:3: point (300, 1) is outside" in outside
    assert row.split() == ["endonuke", "4", "7", "2", "0", str(root / "endonuke")]
    assert "problems" not in err


def test_verify_lists_every_problem_in_a_line_and_exits_2(root, capsys):
    labels = root / "endonuke/dataset/labels/bulk/ann"
    (labels / "1.txt").write_text("1 1\n")
    picture(root / "endonuke/dataset/images/3.png", 50)
    picture(root / "bci/HE/train/00000_train_0.png", 5)
    assert run("verify", "--root", root) == 2
    out, err = capsys.readouterr()
    for problem in (
        "1.txt:1: expected 3 columns",
        "images/3.png: expected a tile of 200 x 200 or 400 x 400 px, found 50 x 50",
        "IHC/train/00000_train_0.png: expected 5 x 5 px",
    ):
        assert [problem in line for line in out.splitlines()].count(True) == 1, problem
    assert "found 3 problems" in err.splitlines()[-1]


def test_verify_lists_a_layout_that_cannot_be_opened(root, capsys):
    (root / "bci/IHC/train/00000_train_0.png").unlink()
    assert run("verify", "bci", "--root", root) == 2
    assert "missing IHC/train/00000_train_0.png" in capsys.readouterr().out


def test_verify_reads_pannuke_to_its_last_row(tmp_path, capsys):
    fold = tmp_path / "pannuke" / "Fold 2"
    for kind, channels in (("images", 3), ("masks", 6)):
        (fold / kind / "fold2").mkdir(parents=True)
        array = np.zeros((2, 256, 256, channels))
        array[0, :3, :3, 0] = 1
        array[1, 0, 0, 0] = -1
        np.save(fold / kind / "fold2" / f"{kind}.npy", array)
    np.save(fold / "images" / "fold2" / "types.npy", np.array(["Breast", "Snout"]))
    counts, (problem,), (note,) = verify("pannuke", tmp_path / "pannuke", progress=False)
    assert counts == {"samples": 1, "nuclei": 1}
    assert "images.npy: expected 0 to 255 in row 1" in problem
    assert "found Snout" in note
    assert capsys.readouterr() == ("", ""), "what readers log is collected"


def test_verify_takes_the_folder_of_the_set_itself(root, capsys):
    assert run("verify", "endonuke", "--root", root / "endonuke") == 0
    assert str(root / "endonuke") in capsys.readouterr().out


def test_verify_finds_the_phantom_beside_the_real_set(root, capsys):
    (root / "phantom").mkdir()
    (root / "bci").rename(root / "phantom" / "bci")
    assert run("verify", "bci", "--root", root) == 0
    assert str(root / "phantom" / "bci") in capsys.readouterr().out


@pytest.mark.parametrize("name", [[], ["bci"]])
def test_verify_of_nothing_is_an_error(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=r"expected a set to verify|expected HE and IHC"):
        run("verify", *name, "--root", tmp_path)


def test_download_unpacks_what_a_person_brought_and_tells_the_licence(tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "bci.zip", "w") as archive:
        archive.writestr("HE/train/00000_train_0.png", b"")
    for _ in range(2):
        assert run("download", "bci", "--root", tmp_path) == 0
        out = capsys.readouterr().out
        assert out.startswith(str(tmp_path / "bci"))
        assert "non-commercial" in out
        assert "Liu et al." in out


@pytest.mark.parametrize("name", ["bci", "consep", "hovernet-pannuke"])
def test_download_of_what_only_a_person_can_get_exits_2_with_one_line(tmp_path, capsys, name):
    assert cli.main(["data", "download", name, "--root", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "(1) " in err
    assert str(tmp_path / name) in err
    assert f"licence: {sources()[name].licence}" in err


def test_download_says_what_published_weights_have_seen_before_and_after_they_are_there(tmp_path, capsys):
    argv = ["data", "download", "hovernet-pannuke", "--root", str(tmp_path)]
    told = "trained on all three PanNuke folds: any PanNuke score of these weights is leaked"
    assert cli.main(argv) == 2
    assert told in capsys.readouterr().err
    (tmp_path / "hovernet-pannuke").mkdir()
    (tmp_path / "hovernet-pannuke/weights.tar").write_bytes(b"brought by hand")
    assert cli.main(argv) == 0
    out = capsys.readouterr().out
    assert told in out
    assert "licence: CC BY-NC-SA 4.0 (weights)" in out


@pytest.mark.parametrize("argv", [[], ["eat"], ["download"], ["download", "imagenet"], ["verify", "imagenet"]])
def test_wrong_usage_exits_2(argv):
    with pytest.raises(SystemExit) as error:
        run(*argv)
    assert error.value.code == 2


def test_phantom_draws_the_three_sets_below_the_root(tmp_path, capsys, monkeypatch):
    tiny = commands.profile("quick").__class__("quick", 1, (1, 1), (1, 1), 64, 1, 1, 1, 1, 1.0, 1, 1)
    monkeypatch.setattr(commands, "profile", lambda name: tiny)
    assert run("phantom", "--root", tmp_path, "--seed", "3") == 0
    folders = [tmp_path / "phantom" / name for name in ("bci", "pannuke", "endonuke")]
    assert capsys.readouterr().out.split() == [str(folder) for folder in folders]
    assert run("verify", "--root", tmp_path) == 0
    with pytest.raises(ValueError, match="seed"):
        run("phantom", "--root", tmp_path, "--seed", "4")


def test_the_phantoms_tiles_are_spread_over_slides(tmp_path, monkeypatch):
    tiny = commands.profile("quick").__class__("quick", 1, (2, 3), (1, 1), 64, 1, 1, 1, 1, 1.0, 1, 1)
    monkeypatch.setattr(commands, "profile", lambda name: tiny)
    assert run("phantom", "--root", tmp_path, "--slides", "3") == 0
    images = (tmp_path / "phantom/endonuke/dataset/images").iterdir()
    assert sorted(int(path.stem) for path in images) == [1000, 1001, 2000, 2001, 3000]
    for slides in ("0", "6"):
        with pytest.raises(ValueError, match=f"--slides: expected 1 to 5, the number of tiles, found {slides}"):
            run("phantom", "--root", tmp_path, "--slides", slides)


def test_no_action_imports_torch(root):
    script = (
        "import sys; from histolib.cli import main; code = main(sys.argv[1:]); sys.exit(code or 'torch' in sys.modules)"
    )
    write_pannuke(root / "pannuke", 1)
    for action in (["list"], ["verify"], ["download", "bci"], ["prepare", "pannuke"]):
        command = [sys.executable, "-c", script, "data", *action, "--root", str(root)]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0, action
