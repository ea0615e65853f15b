"""`histolib data`: exit codes, output, and no import of torch."""

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from histolib.cli.main import main
from histolib.config import PROFILES
from histolib.data.sources import sources


def run(*argv: str | Path) -> int:
    return main(["data", *map(str, argv)])


@pytest.fixture
def root(phantoms, tmp_path: Path) -> Path:
    """Copies of the phantoms of BCI, 4 pairs, and of EndoNuke, 9 tiles."""
    for name in ("bci", "endonuke"):
        shutil.copytree(phantoms[name], tmp_path / name)
    return tmp_path


def test_list_prints_folder_licence_and_size_of_every_source(root, capsys):
    assert run("list", "--root", root) == 0
    out, err = capsys.readouterr()
    state = {line.split()[0]: line for line in out.splitlines() if not line.startswith(" ")}
    assert list(state) == list(sources())
    assert str(root / "bci") in state["bci"]
    assert str(root / "endonuke") in state["endonuke"]
    assert "missing" in state["consep"]
    assert "CC BY-NC-SA 4.0" in out
    assert "37 GB" in out
    assert err == ""


def test_verify_prints_a_table(root, capsys):
    assert run("verify", "--root", root) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    nuclei = sum(len(path.read_text().splitlines()) for path in root.rglob("labels/**/*.txt"))
    assert rows == [
        ["set", "samples", "nuclei", "problems", "folder"],
        ["bci", "4", "0", "0", str(root / "bci")],
        ["endonuke", "9", str(nuclei), "0", str(root / "endonuke")],
    ]
    assert run("verify", "endonuke", "--root", root / "endonuke") == 0
    assert str(root / "endonuke") in capsys.readouterr().out
    (root / "phantom").mkdir()
    (root / "bci").rename(root / "phantom" / "bci")
    assert run("verify", "bci", "--root", root) == 0
    assert str(root / "phantom" / "bci") in capsys.readouterr().out


def test_verify_logs_repaired_defects_prints_every_problem_and_exits_2_for_problems(root, capsys, caplog):
    first, second, *_ = sorted(root.rglob("labels/**/*.txt"))
    second.write_text("1 1 1\n1 1 1\n900 1 1\n")
    assert run("verify", "endonuke", "--root", root) == 0
    out, err = capsys.readouterr()
    assert f"{second.name}:2: point (1, 1) of class 1 repeats line 1, dropped" in caplog.text
    assert f"{second.name}:3: point (900, 1) is outside" in caplog.text
    assert out.splitlines()[-1].split()[3:] == ["0", str(root / "endonuke")]
    assert "problems" not in err
    first.write_text("1 1\n")
    pair = sorted(root.glob("bci/HE/train/*"))[0]
    Image.new("RGB", (5, 5)).save(pair)
    assert run("verify", "--root", root) == 2
    out, err = capsys.readouterr()
    for problem in (f"{first.name}:1: expected x and y", f"IHC/train/{pair.name}: expected 5 x 5 px"):
        assert [problem in line for line in out.splitlines()].count(True) == 1, problem
    assert "found 2 problems" in err.splitlines()[-1]


def test_verify_of_an_empty_folder_is_an_error(tmp_path, refused):
    assert "expected a data set to verify" in refused("data", "verify", "--root", tmp_path)
    assert "expected HE and IHC" in refused("data", "verify", "bci", "--root", tmp_path)


def test_download_unpacks_an_archive_and_prints_the_licence(tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "bci.zip", "w") as archive:
        archive.writestr("HE/train/00000_train_0.png", b"")
    for _ in range(2):
        assert run("download", "bci", "--root", tmp_path) == 0
        out = capsys.readouterr().out
        assert out.startswith(str(tmp_path / "bci"))
        assert "non-commercial" in out
        assert "Liu et al." in out


@pytest.mark.parametrize("name", ["bci", "consep", "hovernet-pannuke"])
def test_download_lists_manual_steps_licence_and_leaks(tmp_path, refused, name):
    told = refused("data", "download", name, "--root", tmp_path)
    for part in ("(1) ", str(tmp_path / name), f"licence: {sources()[name].licence}"):
        assert part in told
    assert ("any PanNuke score of these weights is leaked" in told) == (name == "hovernet-pannuke")


def test_prepare_finds_the_folder_of_the_data_set_and_leaves_it_alone(phantoms, tmp_path, capsys):
    folder = phantoms["pannuke"]
    before = sorted(folder.rglob("*"))
    for root in (folder, folder.parent):
        assert run("prepare", "pannuke", "--root", root, "--output", tmp_path) == 0
        assert capsys.readouterr().out.split() == [str(tmp_path / f"compact/fold{fold}") for fold in (1, 2, 3)]
    assert sorted(folder.rglob("*")) == before


def test_phantom_draws_the_three_data_sets_and_spreads_tiles_over_slides(tmp_path, capsys, refused, monkeypatch):
    tiny = replace(PROFILES["quick"], pannuke_per_fold=1, endonuke_runs=(2, 3), bci_pairs=(1, 1), bci_px=64)
    monkeypatch.setitem(PROFILES, "quick", tiny)
    assert run("phantom", "--root", tmp_path, "--seed", "3", "--slides", "3") == 0
    folders = [tmp_path / "phantom" / name for name in ("bci", "pannuke", "endonuke")]
    assert capsys.readouterr().out.split() == [str(folder) for folder in folders]
    images = (tmp_path / "phantom/endonuke/dataset/images").iterdir()
    assert {int(path.stem) // 1000 for path in images} == {1, 2, 3}
    told = refused("data", "phantom", "--root", tmp_path, "--seed", "4")
    assert "expected no files, or the phantom " in told
    assert "'seed': 3" in told
    for slides in ("0", "6"):
        told = refused("data", "phantom", "--root", tmp_path, "--slides", slides)
        assert f"--slides: expected 1 to 5, the number of tiles, found {slides}" in told
