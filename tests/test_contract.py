"""What holds the house together: imports, three lists of packages, examples in docstrings, and files of the wheel."""

import doctest
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

import histolib

ROOT = Path(__file__).parents[1]
PACKAGE = Path(histolib.__file__).parent
# conda-forge's names of the same packages.
ALIASES = {"pytorch": "torch", "opencv": "opencv-python", "py-opencv": "opencv-python", "matplotlib-base": "matplotlib"}
NAME = re.compile(r"^\s*-\s+(?:[\w-]+::)?([A-Za-z][\w.-]*)\s*(.*)$")


def requirement(text: str) -> tuple[str, str]:
    """Name as pip normalises it, and the versions that will do."""
    name, versions = re.fullmatch(r"([A-Za-z0-9._-]+)\s*(.*)", text.strip()).groups()
    name = re.sub(r"[-_.]+", "-", name).lower()
    return ALIASES.get(name, name), versions.replace(" ", "")


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def declared(project) -> dict[str, str]:
    """Every package of pyproject.toml with its range."""
    return dict(map(requirement, [*project["dependencies"], *project["optional-dependencies"]["dev"]]))


def test_imports_point_one_way():
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "0 broken" in ended.stdout


def test_conda_has_the_same_packages_and_each_is_pinned_inside_its_range(declared, project):
    lines = (ROOT / "environment.yml").read_text().splitlines()
    listed = dict(requirement("".join(match.groups())) for match in map(NAME.match, lines) if match)
    for ours in ("conda-forge", "pip", "make"):
        listed.pop(ours)
    assert listed.pop("python").startswith(project["requires-python"])
    assert listed == declared
    text = (ROOT / "constraints.txt").read_text()
    pins = dict(requirement(line.split(";")[0]) for line in text.splitlines() if re.match(r"[A-Za-z]", line))
    assert declared.keys() <= pins.keys()
    for name, versions in declared.items():
        assert pins[name].startswith("=="), name
        assert SpecifierSet(versions).contains(pins[name][2:]), name
    assert pins["opencv-python"] == pins["opencv-python-headless"]


LIGHT = """
import sys
from histolib.cli.main import main
try:
    main(["--help"])
except SystemExit:
    assert not {"torch", "numpy", "pandas", "matplotlib"} & set(sys.modules), "the help is fast"
import histolib.data, histolib.imaging, histolib.config, histolib.io, histolib.cli.run
from histolib.data.phantom import write_pannuke
write_pannuke("pannuke", 1)
for command in ("list", "download hovernet-pannuke", "verify pannuke --root .", "prepare pannuke --root ."):
    main(["data", *command.split()])
assert not {"torch", "albumentations", "skimage"} & set(sys.modules)
import histolib.nuclei
assert "albumentations" not in sys.modules, "it is imported when a crop is drawn"
import histolib.cli.detect
assert not {"torchvision", "piqa"} & set(sys.modules), "detection starts fast"
"""


def test_help_and_data_commands_import_no_slow_library_and_list_makes_no_folder(tmp_path):
    ended = subprocess.run([sys.executable, "-c", LIGHT], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("missing") >= 3
    assert [path.name for path in tmp_path.iterdir()] == ["pannuke"]


@pytest.mark.parametrize("path", [path for path in sorted(PACKAGE.rglob("*.py")) if ">>> " in path.read_text("utf-8")])
def test_examples_in_docstrings_run(path):
    name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    tried = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert tried.attempted > 0
    assert tried.failed == 0, "see standard output"


def test_every_data_file_of_the_package_is_in_the_wheel():
    globs = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["histolib"]
    files = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert PACKAGE / "data/phantom/settings.json" in files
    assert files <= {path for glob in globs for path in PACKAGE.glob(glob)}
