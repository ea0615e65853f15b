"""Exit codes, one-line error messages, help texts and the commands in the documentation."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from histolib import __version__
from histolib.cli.main import COMMANDS, build_parser, main

ROOT = Path(__file__).parents[2]
HELPS = ["", *COMMANDS, "train cyclegan", "train hovernet"]
HELPS += [f"data {action}" for action in ("list", "download", "verify", "prepare", "phantom")]
DETECT = "detect a.png --mpp 0.5"
PHANTOM = "evaluate --dataset phantom --weights w"
REFUSED = [
    ("", "the following arguments are required: COMMAND"),
    ("paint", "invalid choice: 'paint'"),
    ("--loud", "required: COMMAND"),
    ("data", "required"),
    ("data download imagenet", "invalid choice: 'imagenet'"),
    ("data prepare bci", "invalid choice: 'bci'"),
    ("detect", "the following arguments are required: IMAGE"),
    ("detect -- -x.png", "-x.png: expected an image file or a folder, found nothing"),
    ("detect a.png", "a.png: expected a scale in microns per pixel, found no usable tag"),
    ("detect a.png --mpp 0", "expected a number, 0.05 to 2, found '0'"),
    ("detect a.png --mpp wide", "found 'wide'"),
    (f"{DETECT} --bright", "unrecognized arguments: --bright"),
    (f"{DETECT} --marker brown", "--marker: invalid choice: 'brown'"),
    (f"{DETECT} --route magic", "invalid choice: 'magic'"),
    (f"{DETECT} --format pdf", "unknown format 'pdf', expected csv, geojson"),
    (f"{DETECT} --weights gone", "gone: expected a folder of weights, found nothing"),
    ("evaluate w", "--dataset"),
    ("evaluate --dataset bci --weights w", "--dataset bci: expected a folder, found none"),
    ("evaluate gone --dataset bci --weights w", "gone: expected a folder, found nothing"),
    ("evaluate a.png --dataset endonuke --weights w", "a.png: expected a folder, found a file"),
    ("evaluate gone --dataset pannuke --weights w", "gone: expected a folder 'Fold 1'"),
    ("evaluate somewhere --dataset phantom", "--dataset phantom: expected no folder, found somewhere"),
    ("evaluate --dataset phantom --weights gone", "gone: expected a folder of weights, found nothing"),
    (f"{PHANTOM} --he x", "--he: expected --dataset endonuke"),
    (f"{PHANTOM} --routes magic", "unknown route 'magic', expected log"),
    (f"{PHANTOM} --features magic", "unknown features 'magic', expected encoder, inception"),
    (f"{PHANTOM} --tissue Elbow", "--tissue: invalid choice: 'Elbow'"),
    (f"{PHANTOM} --images 0", "expected a whole number, 1 or more, found '0'"),
    (f"{PHANTOM} --radius-um 0", "expected a number, 1e-06 or more, found '0'"),
    (f"{PHANTOM} --output .", "expected a JSON file to write, found a folder"),
]


@pytest.mark.parametrize(("argv", "message"), REFUSED)
def test_wrong_usage_is_one_line(tmp_path, monkeypatch, refused, argv, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w").mkdir()
    Image.new("RGB", (64, 64)).save("a.png")
    assert message in refused(*argv.split())


def test_python_m_histolib_prints_the_version():
    command = [sys.executable, "-m", "histolib", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"histolib {__version__}\n"


def assert_examples_parse(text: str, start: str) -> None:
    """The commands in a text, with continuation lines joined."""
    lines = re.findall(r"^ *histolib (.+)$", re.sub(r"\\\n\s*", "", text), re.M)
    commands = [words for words in (shlex.split(line, comments=True) for line in lines) if words[0] in COMMANDS]
    assert commands
    for words in commands:
        assert " ".join(words).startswith(start)
        assert build_parser(words[0]).parse_args(words).run, words


@pytest.mark.parametrize("command", HELPS)
def test_every_help_states_defaults_and_has_examples_that_parse(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command.split(), "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert_examples_parse(text, command)
    assert command or all(name in text for name in COMMANDS)
    for name, block in re.findall(r"^  (--[\w-]+)( \S.*?)(?=^  -|^\S|\Z)", text, re.M | re.S):
        assert "default" in block or f"[{name} " not in text or "NAME=VALUE" in block, name


@pytest.mark.parametrize("page", ["README.md", "data/README.md", "CONTRIBUTING.md", "histolib/pretrained/README.md"])
def test_commands_of_a_page_parse(page):
    assert_examples_parse("\n".join(re.findall(r"```bash\n(.*?)```", (ROOT / page).read_text("utf-8"), re.S)), "")
