"""The bootstrap cell as Colab runs it: a stand-in for Colab's module, this checkout as the remote, and no network."""

import json
import os
import re
import shutil
import subprocess
import sysconfig
import tomllib
import venv
import zipfile
from importlib.metadata import distributions, version
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement

from histolib import __version__

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SOURCE = nbformat.read(NOTEBOOKS[0], as_version=4).cells[1].source
REPO, TAG = re.search(r'REPO, TAG = "(.+?)", "(.+?)"', SOURCE).groups()
HOME = "someone/histolib"
CELL = SOURCE.replace(REPO, HOME)
HEAVY = ("numpy", "torch", "torchvision")
MISSING = "piqa"  # what the environment lacks, as Colab does; a stand-in of this name can be installed
# What a Colab of June 2026 brings and has partly imported before the first cell: to replace it would ask for a restart.
BROUGHT = {
    "accelerate": "1.13.0", "albumentations": "2.0.8", "ipykernel": "6.17.1", "ipywidgets": "7.7.1",
    "matplotlib": "3.10.0", "nbformat": "5.10.4", "numpy": "2.0.2", "opencv-python": "4.13.0.92", "pandas": "2.2.2",
    "pillow": "11.3.0", "safetensors": "0.7.0", "scikit-image": "0.25.2", "scipy": "1.16.3",
    "seaborn": "0.13.2", "torch": "2.11.0", "torchvision": "0.26.0", "tqdm": "4.67.3",
}  # fmt: skip
SESSION = """
import importlib.util, json, os, sys
from importlib.machinery import ModuleSpec
from importlib.metadata import distributions
from pathlib import Path
if sys.argv[1] == "colab":
    sys.modules["google.colab"] = importlib.util.module_from_spec(ModuleSpec("google.colab", None))
from IPython.core.interactiveshell import InteractiveShell
shell, machine = InteractiveShell.instance(), Path.cwd()
for _ in range(2):
    shell.run_cell((machine / "cell.txt").read_text()).raise_error()
    found = importlib.util.find_spec("histolib")
    if found:
        import histolib.data
        Path("README.md").write_text("a reader's own words")
    print(json.dumps({
        "cwd": os.getcwd(),
        "histolib": found and histolib.data.__file__,
        "content": sorted(path.name for path in (machine / "content").iterdir()),
        "installed": sorted(f"{one.name}=={one.version}" for one in distributions()),
    }))
"""


@pytest.fixture
def remote(tmp_path):
    """This checkout as a repository that has the tag."""
    folder = tmp_path / "remote" / "histolib.git"
    run("git", "clone", "--quiet", "--bare", "--shared", ROOT, folder)
    run("git", "-C", folder, "tag", "--force", TAG)
    return folder


@pytest.fixture
def colab(tmp_path, remote):
    """A session's machine: `content/`, an environment of its own that lacks histolib and `MISSING`, and the remote."""
    venv.create(tmp_path / "env")
    for there in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(there).iterdir():
            target = packages(tmp_path) / entry.name
            if entry.suffix == ".dist-info" and not entry.name.startswith(("histolib", MISSING)):
                shutil.copytree(entry, target)  # without needs, because pip takes long to compare those of all packages
                text = (target / "METADATA").read_text("utf-8")
                (target / "METADATA").write_text(re.sub("^Requires-Dist: .*\n", "", text, flags=re.M), "utf-8")
            elif not entry.name.startswith(("__", "histolib", MISSING)) and entry.suffix != ".pth":
                target.symlink_to(entry)
    (tmp_path / "content").mkdir()
    (tmp_path / "cell.txt").write_text(CELL.replace("/content/", f"{tmp_path / 'content'}/"))
    (tmp_path / "session.py").write_text(SESSION)
    (tmp_path / "gitconfig").write_text(
        f'[safe]\n\tdirectory = *\n[url "file://{remote}"]\n\tinsteadOf = https://github.com/{HOME}\n'
    )
    wheel(tmp_path / "wheels", "numpy", "99")
    return tmp_path


def packages(machine):
    return next((machine / "env" / "lib").iterdir()) / "site-packages"


def installed(machine):
    return {f"{one.name}=={one.version}" for one in distributions(path=[str(packages(machine))])}


def wheel(folder, name, number, *needs):
    """Write a package that holds nothing."""
    folder.mkdir(exist_ok=True)
    about = f"{name}-{number}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{number}-py3-none-any.whl", "w") as file:
        needed = "".join(f"Requires-Dist: {need}\n" for need in needs)
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n{needed}")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", "".join(f"{about}/{part},,\n" for part in ("METADATA", "WHEEL", "RECORD")))


def run(*command, **more):
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True, **more).stdout


def session(machine, where):
    """Run the cell twice in one process, as on Colab or elsewhere; what is there after each run."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "GIT_", "PYTHON"))}
    mine |= {"HOME": str(machine), "GIT_CONFIG_GLOBAL": str(machine / "gitconfig"), "GIT_CONFIG_NOSYSTEM": "1"}
    mine |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(machine / "wheels")}
    mine["PIP_NO_BUILD_ISOLATION"] = "0"  # pip reads it as "build isolation: 0"
    shown = run(machine / "env/bin/python", "session.py", where, cwd=machine, env=mine)
    return [json.loads(line) for line in shown.splitlines() if line.startswith("{")]


def test_it_does_nothing_elsewhere_refuses_another_numpy_and_installs_what_colab_lacks_once(colab, remote):
    before, clone = installed(colab), colab / "content" / "histolib"
    for found in session(colab, "elsewhere"):
        assert (found["cwd"], found["histolib"], found["content"]) == (str(colab), None, [])

    cell = (colab / "cell.txt").read_text()
    (colab / "cell.txt").write_text(cell.replace(HOME, "OWNER/histolib"))
    with pytest.raises(subprocess.CalledProcessError) as error:
        session(colab, "colab")
    assert "replace OWNER in this cell" in error.value.stderr
    (colab / "cell.txt").write_text(cell)

    wheel(colab / "wheels", MISSING, "99", "numpy>=99")
    with pytest.raises(subprocess.CalledProcessError) as error:
        session(colab, "colab")
    assert "'-m', 'pip', 'install'" in error.value.stderr
    assert installed(colab) == before

    shutil.rmtree(clone)
    wheel(colab / "wheels", MISSING, "99")
    first, second = session(colab, "colab")
    assert run("git", "-C", clone, "rev-parse", "HEAD") == run("git", "-C", remote, "rev-parse", f"{TAG}^0")
    assert first["cwd"] == str(clone)
    assert first["histolib"] == str(clone / "histolib" / "data" / "__init__.py"), "without a restart"
    assert set(first["installed"]) == before | {f"{MISSING}==99", f"histolib=={__version__}"}
    assert (colab / "content" / "kept.txt").read_text() == "".join(f"{name}=={version(name)}\n" for name in HEAVY)
    assert second == first
    assert (clone / "README.md").read_text() == "a reader's own words"


def test_versions_agree_everywhere_and_with_what_colab_brings():
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    ranges = {need.name: need.specifier for need in map(Requirement, needed)}
    assert ranges.keys() - BROUGHT.keys() == {MISSING, "papermill", "pooch"}, "all that the cell installs"
    assert [name for name, number in BROUGHT.items() if number not in ranges[name]] == []
    assert f"v{__version__}" == TAG
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == __version__
    assert f"git clone https://github.com/{REPO} " in (ROOT / "README.md").read_text("utf-8")
