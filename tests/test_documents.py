"""Pages, notebooks and help texts: links lead somewhere, phrases are plain, and the project has one address."""

import argparse
import ast
import re
import runpy
import shutil
import tomllib
from pathlib import Path

import nbformat
import pytest

from histolib.cli.main import COMMANDS, build_parser
from histolib.cli.run import code_hash

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
PAGES = [ROOT / page for page in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md")]
PAGES += [*sorted(ROOT.glob("histolib/pretrained/**/*.md")), *sorted(ROOT.glob("data/results/*.md")), *NOTEBOOKS]
TEXTS = [ROOT / "README.md", *NOTEBOOKS, *sorted(ROOT.glob("histolib/**/*.py"))]
NAMED = [ROOT / "README.md", ROOT / "CITATION.cff", *NOTEBOOKS]
ADDRESS = re.compile(r"github(?:\.com)?/([\w.-]+/histolib)\b")
REPLACED = re.compile(
    r"\b(see more surely|usage is told|before anything is looked for|was better for so long|0 is never"
    r"|start of all chance|what a reader mends|problems what it refuses|nobody may fetch|torn apart|tell from nothing"
    r"|not even without|choose by|chosen by|drawn tissue|twins?|tricks?|told|as shipped|wipes?"
    r"|mean over orientations|surest first|founds one or joins|answer back|tuned honestly)\b",
    re.IGNORECASE,
)


def name(path):
    return str(path.relative_to(ROOT))


def text_of(path, markdown_only=False):
    """Text of a page, sources of the cells of a notebook, or docstrings of a module."""
    text = path.read_text("utf-8")
    if path.suffix == ".ipynb":
        cells = nbformat.reads(text, as_version=4).cells
        return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown" or not markdown_only)
    if path.suffix == ".py":
        kinds = ast.Module | ast.ClassDef | ast.FunctionDef
        return "\n".join(ast.get_docstring(node) or "" for node in ast.walk(ast.parse(text)) if isinstance(node, kinds))
    return text


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    text = text_of(page, markdown_only=True)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if not re.match(r"[a-z]+:", target):
            assert not path or (page.parent / path).exists(), target
            assert path or not anchor or anchor in anchors, target


def phrases(text):
    return REPLACED.findall(re.sub(r"\s+", " ", text))


def help_texts(parser):
    children = (action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return parser.format_help() + "".join(help_texts(child) for names in children for child in names.values())


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_texts_use_no_replaced_phrase(path):
    assert phrases(text_of(path)) == []


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_texts_use_no_replaced_phrase(command):
    assert phrases(help_texts(build_parser(command))) == []


def addresses(root):
    """Repositories that `pyproject.toml` and all other files name."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    texts = [(root / file.relative_to(ROOT)).read_text("utf-8") for file in NAMED]
    found = {address for text in texts for address in ADDRESS.findall(text) or ["none"]}
    found |= {re.search(r'REPO, TAG = "(.+?)", ', text_of(root / name(file)))[1] for file in NOTEBOOKS}
    return found | {project["urls"]["Repository"].removeprefix("https://github.com/")}


def test_the_project_has_one_address_and_one_command_writes_a_new_owner_everywhere_and_back(tmp_path):
    (before,) = addresses(ROOT)
    write = runpy.run_path(str(ROOT / ".ci/address.py"))["main"]
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    for file in ("pyproject.toml", "README.md", "CITATION.cff"):
        shutil.copy(ROOT / file, tmp_path)
    write("some-one", tmp_path)
    assert addresses(tmp_path) == {"some-one/histolib"}
    for file in NOTEBOOKS:
        book = nbformat.read(tmp_path / name(file), as_version=4)
        assert book.metadata["histolib"]["executed_code"] == code_hash(book)
    write(before.split("/")[0], tmp_path)
    assert all((tmp_path / name(file)).read_bytes() == file.read_bytes() for file in NAMED)
