"""README, notebooks, help texts and docstrings must not use the phrases that the style guide replaces."""

import argparse
import ast
import re
from pathlib import Path

import nbformat
import pytest

from histolib.cli.main import COMMANDS, build_parser

ROOT = Path(__file__).parent.parent
FILES = [ROOT / "README.md", *sorted(ROOT.glob("notebooks/*.ipynb")), *sorted(ROOT.glob("histolib/**/*.py"))]
REPLACED = re.compile(
    r"\b(see more surely|usage is told|before anything is looked for|was better for so long|0 is never"
    r"|start of all chance|what a reader mends|problems what it refuses|nobody may fetch|torn apart|tell from nothing"
    r"|not even without|choose by|chosen by|drawn tissue|twins?|tricks?|told|as shipped|wipes?"
    r"|mean over orientations|surest first|founds one or joins|answer back|tuned honestly)\b",
    re.IGNORECASE,
)


def phrases(text):
    return REPLACED.findall(re.sub(r"\s+", " ", text))


def help_texts(parser):
    children = (action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return parser.format_help() + "".join(help_texts(child) for names in children for child in names.values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_texts_use_no_replaced_phrase(path):
    text = path.read_text("utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join(cell.source for cell in nbformat.reads(text, as_version=4).cells)
    if path.suffix == ".py":
        kinds = ast.Module | ast.ClassDef | ast.FunctionDef
        text = "\n".join(ast.get_docstring(node) or "" for node in ast.walk(ast.parse(text)) if isinstance(node, kinds))
    assert phrases(text) == []


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_texts_use_no_replaced_phrase(command):
    assert phrases(help_texts(build_parser(command))) == []
