"""The store is made in little memory, survives what stops it, and ends with the same bytes whatever stopped it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from histolib import cli
from histolib.data import PanNuke, prepare_pannuke
from histolib.data.prepare import JOURNAL

FILES = ["counts.npy", "images.npy", "instances.npy", "manifest.json", "tissues.npy", "types.npy"]

# Runs the command, and kills itself the hard way when row 3 of fold 2 is asked for.
KILLED = """
import os, signal, sys
from histolib.cli import main
from histolib.data.pannuke import OfficialFold
read = OfficialFold.read
def fatal(fold, index):
    if (fold.name, index) == ("fold2", 3):
        os.kill(os.getpid(), signal.SIGKILL)
    return read(fold, index)
OfficialFold.read = fatal
sys.exit(main(["data", "prepare", "pannuke", "--root", sys.argv[1], "--output", sys.argv[2]]))
"""

# Runs the command with every sample's anonymous memory noted in kB, and prints the most.
MEASURED = """
import re, sys
from pathlib import Path
from histolib.cli import main
from histolib.data.pannuke import OfficialFold
read, most = OfficialFold.read, [0]
def noted(fold, index):
    sample = read(fold, index)
    most[0] = max(most[0], int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]))
    return sample
OfficialFold.read = noted
code = main(["data", "prepare", "pannuke", "--root", sys.argv[1]])
print(most[0])
sys.exit(code)
"""


def contents(root: Path) -> dict[str, bytes]:
    """Every file of the stores; the manifests' sources are left out, which differ between folders and zips."""
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("compact/*/*"))}
    for name in found:
        if name.endswith("manifest.json"):
            found[name] = json.dumps(json.loads(found[name]) | {"sources": None}).encode()
    return found


@pytest.fixture(scope="module")
def unbroken(phantom_folders, tmp_path_factory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("unbroken")
    prepare_pannuke(phantom_folders, output, progress=False)
    return contents(output)


@pytest.fixture
def stopped(phantom_folders, tmp_path, monkeypatch) -> Path:
    """Where fold 1 alone was begun and stopped after three of its five rows."""
    source = tmp_path / "source"
    shutil.copytree(phantom_folders / "Fold 1", source / "Fold 1")
    masks = source / "Fold 1/masks/fold1/masks.npy"
    whole = masks.read_bytes()
    array = np.load(masks, mmap_mode="r+")
    array[3, 7, 7, 0] = np.nan
    array.flush()
    with pytest.raises(ValueError, match=r"masks\.npy: expected whole ids >= 0 in row 3, found others"):
        prepare_pannuke(source, progress=False)
    masks.write_bytes(whole)
    return source


def fold_1(found: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in found.items() if name.startswith("compact/fold1/")}


@pytest.mark.parametrize("form", ["phantom_folders", "phantom_zips"])
def test_killed_and_started_again_it_ends_with_the_bytes_of_an_unbroken_run(form, request, tmp_path, unbroken, caplog):
    root = request.getfixturevalue(form)
    killed = subprocess.run([sys.executable, "-c", KILLED, root, tmp_path], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert sorted(os.listdir(tmp_path / "compact/fold1")) == FILES
    assert sorted(os.listdir(tmp_path / "compact/fold2")) == ["images.npy", "instances.npy", JOURNAL]
    assert not (tmp_path / "compact/fold3").exists()
    before = (tmp_path / "compact/fold1/manifest.json").stat().st_mtime_ns

    with caplog.at_level("INFO", "histolib.data"):
        prepare_pannuke(root, tmp_path, progress=False)
    assert f"{tmp_path / 'compact/fold1'}: 5 samples are there already, skipped" in caplog.messages
    assert f"{tmp_path / 'compact/fold2'}: going on after row 3 of 5" in caplog.messages
    assert (tmp_path / "compact/fold1/manifest.json").stat().st_mtime_ns == before
    assert contents(tmp_path) == unbroken


def test_a_store_that_is_not_finished_is_not_read(stopped):
    assert (stopped / "compact/fold1" / JOURNAL).is_file()
    assert PanNuke(stopped).check() == []
    assert len(PanNuke(stopped)) == 5


def test_rows_before_a_damaged_one_are_kept(stopped, unbroken, caplog):
    with caplog.at_level("INFO", "histolib.data"):
        prepare_pannuke(stopped, progress=False)
    assert caplog.messages == [f"{stopped / 'compact/fold1'}: going on after row 3 of 5"]
    assert contents(stopped) == fold_1(unbroken)


def add(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "rows"),
    [
        (lambda store: add(store / "images.npy", b"half a row"), 3),
        (lambda store: add(store / "instances.npy", bytes(131_072 + 5)), 3),
        (lambda store: add(store / JOURNAL, b"[12"), 3),
        (lambda store: add(store / JOURNAL, b"\0\0\0\n"), 3),
        (lambda store: add(store / JOURNAL, b"[1,2,[1]]\n"), 3),
        (lambda store: flip(store / "images.npy", -1), 2),
        (lambda store: flip(store / "instances.npy", 128 + 131_072), 1),
        (lambda store: os.truncate(store / "images.npy", 128 + 2 * 196_608 + 7), 2),
        (lambda store: flip(store / "images.npy", 10), 0),
        (lambda store: (store / "instances.npy").unlink(), 0),
        (lambda store: os.truncate(store / JOURNAL, 5), 0),
        (lambda store: (store / JOURNAL).unlink(), 0),
    ],
)
def test_what_a_crash_left_torn_is_written_again(stopped, unbroken, caplog, harm, rows):
    harm(stopped / "compact/fold1")
    with caplog.at_level("INFO", "histolib.data"):
        prepare_pannuke(stopped, progress=False)
    assert [f"going on after row {rows} of 5" in line for line in caplog.messages if "going" in line] == [True] * (
        rows > 0
    )
    assert contents(stopped) == fold_1(unbroken)


def test_damage_in_a_source_is_one_line_and_exit_2(stopped, capsys):
    array = np.load(stopped / "Fold 1/images/fold1/images.npy", mmap_mode="r+")
    array[4, 0, 0, 0] = 300
    array.flush()
    assert cli.main(["data", "prepare", "pannuke", "--root", str(stopped)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "images.npy: expected 0 to 255 in row 4, found" in err.splitlines()[-1]
    journal = (stopped / "compact/fold1" / JOURNAL).read_bytes()
    assert len(journal.splitlines()) == 1 + 4, "the source and four rows"


def test_rows_of_a_damaged_zip_are_not_believed(phantom_zips, tmp_path, unbroken, caplog):
    target = tmp_path / "fold_1.zip"
    with zipfile.ZipFile(phantom_zips / "fold_1.zip") as whole, zipfile.ZipFile(target, "w") as stored:
        for name in whole.namelist():
            stored.writestr(name, whole.read(name))
    good, images = target.read_bytes(), "Fold 1/images/fold1/images.npy"
    with zipfile.ZipFile(target) as stored:
        start = stored.getinfo(images).header_offset + 30 + len(images)
    flip(target, start + 128 + 8 * 1000)  # the lowest bit of an intensity in row 0
    for _ in range(2):
        with pytest.raises(ValueError, match=r"images\.npy: expected a whole file, found damage at row 4 \(Bad CRC-32"):
            prepare_pannuke(tmp_path, progress=False)
    target.write_bytes(good)
    os.utime(target, ns=(1, 1))
    caplog.clear()
    with caplog.at_level("INFO", "histolib.data"):
        prepare_pannuke(tmp_path, progress=False)
    assert "begun with other source files" in caplog.text
    assert contents(tmp_path) == fold_1(unbroken)


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(phantom_folders, tmp_path, unbroken):
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))\n"
    script = limited + "import sys; from histolib.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "data", "prepare", "pannuke", "--root", phantom_folders]
    ended = subprocess.run([*command, "--output", tmp_path], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "File too large" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
    prepare_pannuke(phantom_folders, tmp_path, progress=False)
    assert contents(tmp_path) == unbroken


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="/proc tells the memory")
def test_a_fold_of_gigabytes_is_prepared_in_the_memory_of_a_few_rows(tmp_path):
    count = 300  # 1.4 GB, and no blocks on disk, since nothing but the first row is ever written
    home = {kind: tmp_path / "pannuke/Fold 1" / kind / "fold1" for kind in ("images", "masks")}
    for (kind, folder), channels in zip(home.items(), (3, 6), strict=True):
        folder.mkdir(parents=True)
        shape = (count, 256, 256, channels)
        array = np.lib.format.open_memmap(folder / f"{kind}.npy", mode="w+", dtype=np.float64, shape=shape)
        array[0, 10:20, 10:20, 0] = 1
        array.flush()
    np.save(home["images"] / "types.npy", np.array(["Breast"] * count))
    command = [sys.executable, "-c", MEASURED, tmp_path]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout.split()[-1]) < 100_000, "kB, of which Python and NumPy take a third"
    assert len(PanNuke(tmp_path / "pannuke")) == count


def test_the_store_can_go_elsewhere_and_the_source_is_left_alone(phantom_folders, tmp_path, capsys):
    before = sorted(phantom_folders.rglob("*"))
    argv = ["data", "prepare", "pannuke", "--root", str(phantom_folders), "--output", str(tmp_path / "a" / "b")]
    for _ in range(2):
        assert cli.main(argv) == 0
        assert capsys.readouterr().out.split() == [str(tmp_path / f"a/b/compact/fold{fold}") for fold in (1, 2, 3)]
    assert sorted(phantom_folders.rglob("*")) == before
    assert PanNuke(tmp_path / "a/b").folds == (1, 2, 3)


def test_a_fold_without_patches_makes_an_empty_store(tmp_path):
    home = tmp_path / "Fold 3"
    for kind, channels in (("images", 3), ("masks", 6)):
        (home / kind / "fold3").mkdir(parents=True)
        np.save(home / kind / "fold3" / f"{kind}.npy", np.zeros((0, 256, 256, channels)))
    np.save(home / "images/fold3/types.npy", np.array([], dtype=str))
    prepare_pannuke(tmp_path, progress=False)
    shutil.rmtree(home)
    assert list(PanNuke(tmp_path)) == []


def test_a_finished_store_needs_its_source_no_more_but_refuses_another(stopped):
    prepare_pannuke(stopped, progress=False)
    masks = stopped / "Fold 1/masks/fold1/masks.npy"
    add(masks, b"more")
    with pytest.raises(
        ValueError, match=r"masks\.npy: expected \d+ bytes as when .*fold1 was made of it, found \d+; del"
    ):
        prepare_pannuke(stopped, progress=False)
    shutil.rmtree(stopped / "Fold 1")
    assert prepare_pannuke(stopped, progress=False) == [stopped / "compact/fold1"]


def test_nothing_to_prepare_is_an_error(tmp_path, capsys):
    with pytest.raises(FileNotFoundError, match=r"expected a folder 'Fold 1' or fold_1\.zip, found neither"):
        prepare_pannuke(tmp_path)
    with pytest.raises(SystemExit) as error:
        cli.main(["data", "prepare", "bci"])
    assert error.value.code == 2
