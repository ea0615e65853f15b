"""Owner and name of the repository: one place, named alike everywhere, and written by one command."""

import re
import runpy
import shutil
import tomllib
from pathlib import Path

import nbformat
import pytest

from histolib.cli.run import code_hash

ROOT = Path(__file__).parent.parent
NAMED = [ROOT / "README.md", ROOT / "CITATION.cff", *sorted(ROOT.glob("notebooks/*.ipynb"))]
ADDRESS = re.compile(r"github(?:\.com)?/([\w.-]+/histolib)\b")


def repository(root):
    address = tomllib.loads((root / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    return address.removeprefix("https://github.com/")


@pytest.mark.parametrize("file", NAMED, ids=lambda file: file.name)
def test_every_address_is_that_of_the_project(file):
    text = file.read_text("utf-8")
    assert set(ADDRESS.findall(text)) == {repository(ROOT)}
    if file.suffix == ".ipynb":
        assert f'REPO, TAG = "{repository(ROOT)}", ' in nbformat.reads(text, as_version=4).cells[1].source


def test_one_command_writes_a_new_owner_everywhere_and_back(tmp_path):
    write = runpy.run_path(str(ROOT / ".ci/address.py"))["main"]
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    for name in ("pyproject.toml", "README.md", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path)
    write("some-one", tmp_path)
    assert repository(tmp_path) == "some-one/histolib"
    for file in NAMED:
        text = (tmp_path / file.relative_to(ROOT)).read_text("utf-8")
        assert set(ADDRESS.findall(text)) == {"some-one/histolib"}
        if file.suffix == ".ipynb":
            book = nbformat.reads(text, as_version=4)
            assert book.metadata["histolib"]["executed_code"] == code_hash(book)
    write(repository(ROOT).split("/")[0], tmp_path)
    for file in NAMED:
        assert (tmp_path / file.relative_to(ROOT)).read_bytes() == file.read_bytes()
