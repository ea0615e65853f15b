"""A wheel holds every file that the library reads."""

import tomllib
from pathlib import Path

import histolib


def test_every_data_file_of_the_package_is_in_the_wheel():
    package = Path(histolib.__file__).parent
    project = tomllib.loads((package.parent / "pyproject.toml").read_text("utf-8"))
    globs = project["tool"]["setuptools"]["package-data"]["histolib"]
    files = {path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert package / "data/phantom/settings.json" in files
    assert files <= {path for glob in globs for path in package.glob(glob)}
