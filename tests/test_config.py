"""Profiles, folders, seeds, and files that are whole or untouched."""

import os
import random
from pathlib import Path

import numpy as np
import pytest

from histolib.config import PROFILES, Paths, profile, replacing, seed_everything, writable_folder


def test_profiles_are_found_by_name():
    assert profile("quick") is PROFILES["quick"]
    assert all(name == each.name for name, each in PROFILES.items())
    with pytest.raises(ValueError, match="expected one of quick, full, found 'fast'"):
        profile("fast")


def test_the_full_profile_does_more_than_the_quick_one():
    quick, full = PROFILES["quick"], PROFILES["full"]
    assert full.nuclei_steps > quick.nuclei_steps
    assert full.translation_steps > quick.translation_steps > quick.translation_warm_steps


def test_the_checkout_is_found_from_inside_it(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").touch()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.delenv("HISTOLIB_ROOT", raising=False)
    monkeypatch.chdir(below)
    paths = Paths.find()
    assert paths.root == tmp_path.resolve()
    assert (paths.data, paths.figures, paths.runs) == tuple(paths.root / name for name in ("data", "figures", "runs"))
    assert Paths.find(tmp_path / "notebooks").root == tmp_path.resolve()


def test_outside_a_checkout_the_folder_itself_is_the_root(tmp_path, monkeypatch):
    monkeypatch.setenv("HISTOLIB_ROOT", str(tmp_path / "drive"))
    assert Paths.find().root == (tmp_path / "drive").resolve()
    assert Paths.find(tmp_path).root == tmp_path.resolve(), "what is asked for comes before the environment"


def test_a_seed_repeats_every_source_of_chance():
    import torch

    def draw(seed: int) -> tuple[float, ...]:
        rng = seed_everything(seed)
        return rng.random(), random.random(), float(np.random.rand()), float(torch.rand(1))  # noqa: NPY002

    assert draw(3) == draw(3)
    assert len(set(draw(3)) | set(draw(4))) == 8
    assert draw(2**40) == draw(2**40), "larger than NumPy's old generator takes"


def test_replacing_writes_the_whole_file_and_makes_its_folder(tmp_path):
    path = tmp_path / "new" / "a.txt"
    for text in ("one", "two"):
        with replacing(path) as temporary:
            temporary.write_text(text)
            assert temporary.parent == path.parent
        assert path.read_text() == text
    assert os.listdir(path.parent) == ["a.txt"]


def test_replacing_leaves_what_was_there_when_the_writer_fails(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_writable_folder_is_made_and_left_empty(tmp_path):
    folder = writable_folder(tmp_path / "a" / "b")
    assert folder.is_dir()
    assert writable_folder(folder) == folder
    assert os.listdir(folder) == []


@pytest.mark.parametrize("below", [".", "sub", "sub/sub"])
def test_a_file_in_the_place_of_a_folder_is_named(tmp_path, below):
    (tmp_path / "out").touch()
    with pytest.raises(OSError, match=r"out.*: expected a folder to write to, found none \("):
        writable_folder(tmp_path / "out" / Path(below))


def test_a_folder_that_refuses_files_is_refused(tmp_path, monkeypatch):
    def read_only(dir: Path) -> None:
        raise OSError(30, "Read-only file system", str(dir / "tmp1234"))

    monkeypatch.setattr("histolib.config.TemporaryFile", read_only)
    with pytest.raises(OSError, match=r"expected a folder to write to, found none \(Read-only file system\)") as error:
        writable_folder(tmp_path)
    assert str(error.value).startswith(f"{tmp_path}:")
