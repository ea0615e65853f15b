"""Exit codes, one-line error messages, help texts and the commands in the documentation."""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histolib import __version__
from histolib.cli.main import COMMANDS, build_parser, main

ROOT = Path(__file__).parents[2]
PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder with one file of each kind."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PIXELS).save("good.png")
    for kind in ("png", "jpg", "tif"):
        Image.fromarray(PIXELS).save(f"cut.{kind}")
        Path(f"cut.{kind}").write_bytes(Path(f"cut.{kind}").read_bytes()[:-800])
    for name in ("deep.png", "deep.tif"):
        Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 200).save(name)
    Image.new("RGB", (1, 1)).save("one.png")
    Image.fromarray(PIXELS).save("screen.png", dpi=(72, 72))
    Path("text.png").write_text("this is no image\n")
    Path("empty.png").touch()
    for name in ("nothing", "weights"):
        Path(name).mkdir()
    images, labels = Path("set/dataset/images"), Path("set/dataset/labels/bulk/ann")
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    Image.new("RGB", (200, 200)).save(images / "1.png")
    (labels / "1.txt").write_text("1 1 0\n20 30\n")
    return tmp_path


def fails(capsys: pytest.CaptureFixture, *argv: str) -> str:
    """The single error line of a command with exit code 2."""
    try:
        code = main(argv)
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), err
    assert err.endswith("\n")
    assert err.count("\n") == 1, err
    assert err.startswith("histolib")
    return err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("gone.png --mpp 0.5", "gone.png: expected an image file or a folder, found nothing"),
        ("text.png --mpp 0.5", "text.png: expected an 8-bit image, found a file that starts with b'this is '"),
        ("empty.png --mpp 0.5", "empty.png: expected an 8-bit image"),
        ("cut.png --mpp 0.5", "cut.png: expected a whole image, found a damaged one"),
        ("cut.jpg --mpp 0.5", "cut.jpg: expected a whole image, found a damaged one"),
        ("cut.tif --mpp 0.5", "cut.tif: expected a"),
        ("deep.png --mpp 0.5", "deep.png: expected 8 bits a channel, found 16 or more"),
        ("deep.tif --mpp 0.5", "deep.tif: expected 8 bits a channel, found 16 or more"),
        ("one.png --mpp 0.5", "one.png: expected sides of at least 8 px and 4 microns, found 1 x 1 px"),
        ("good.png", "good.png: expected a scale in microns per pixel, found no usable resolution tag"),
        ("screen.png", "give it with --mpp"),
        ("good.png --mpp 353", "--mpp: expected "),
        ("good.png --mpp 0.5 --marker brown", "--marker: invalid choice: 'brown'"),
        ("nothing --mpp 0.5", "nothing: expected images (.bmp"),
        ("good.png --mpp 0.5 --output one.png", "one.png: expected a writable folder, found none"),
        ("good.png --mpp 0.5 --output one.png/out", "one.png/out: expected a writable folder, found none"),
        ("good.png --bright", "unrecognized arguments: --bright"),
        ("", "the following arguments are required: IMAGE"),
    ],
)
def test_detect_refuses_with_one_line(folder, capsys, argv, message):
    assert message in fails(capsys, "detect", *argv.split())
    assert not list(folder.glob("detections/*")), "no results of failed images"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("set --routes log", "1.txt:2: expected x and y in pixels and a class of 0, 1, 2, found"),
        ("set --routes log --output one.png/r.json", "one.png: expected a writable folder"),
        ("nothing", "nothing: expected images and labels, found no images and no labels"),
        ("gone", "gone: expected a folder, found nothing"),
        ("good.png", "good.png: expected a folder, found a file"),
    ],
)
def test_evaluate_refuses_with_one_line(folder, capsys, argv, message):
    assert message in fails(capsys, "evaluate", *argv.split(), "--dataset", "endonuke")


def test_evaluate_needs_labels_and_a_known_dataset(folder, capsys):
    Path("set/dataset/labels/bulk/ann/1.txt").unlink()
    assert "set: expected annotated tiles, found none" in fails(capsys, "evaluate", "set", "--dataset", "endonuke")
    assert "--dataset" in fails(capsys, "evaluate", "set")
    assert "invalid choice: 'magic'" in fails(capsys, "evaluate", "set", "--dataset", "magic")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["paint"], "invalid choice: 'paint'"),
        (["--loud"], "required: COMMAND"),
        (["data"], "required"),
        (["data", "eat"], "invalid choice: 'eat'"),
        (["tricks"], "invalid choice: 'tricks'"),
        (["detect", "--", "-x.png"], "-x.png: expected an image file"),
    ],
)
def test_wrong_usage_is_one_line(folder, capsys, argv, message):
    assert message in fails(capsys, *argv)


def test_help_names_every_command_and_version_is_printed(capsys):
    for option, expected in (("--help", list(COMMANDS)), ("--version", [f"histolib {__version__}"])):
        with pytest.raises(SystemExit) as stop:
            main([option])
        assert stop.value.code == 0
        out = capsys.readouterr().out
        assert all(word in out for word in expected)


def parsers(parser, name="histolib"):
    """Every parser below one, by its command."""
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, below in action.choices.items():
                yield from parsers(below, f"{name} {word}")


def examples(text):
    """Commands in a text, with continuation lines joined."""
    joined = re.sub(r"\\\n\s*", "", text)
    return [shlex.split(line, comments=True)[1:] for line in re.findall(r"^ *(histolib .+)$", joined, re.M)]


@pytest.fixture(scope="module", params=[None, *COMMANDS])
def whole(request):
    """The parsers of one command, or of the command line itself."""
    parser = build_parser(request.param)
    return {name: one for name, one in parsers(parser) if request.param or name == "histolib"}


def test_every_help_describes_each_option_with_its_default(whole):
    for name, parser in whole.items():
        assert parser.description.endswith("."), name
        for action in parser._actions:
            told = action.help or ""
            assert told or isinstance(action, argparse._SubParsersAction), (name, action)
            if action.option_strings and not action.required and action.nargs != 0 and action.metavar != "NAME=VALUE":
                assert "default" in told, (name, action.option_strings)


def test_every_help_has_examples_that_parse(whole):
    for name, parser in whole.items():
        commands = examples(parser.format_help())
        assert commands, name
        for words in commands:
            assert " ".join(["histolib", *words]).startswith(name)
            assert build_parser(words[0]).parse_args(words).run, words


@pytest.mark.parametrize("page", ["README.md", "data/README.md", "CONTRIBUTING.md", "histolib/pretrained/README.md"])
def test_commands_of_a_page_parse(page):
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / page).read_text("utf-8"), re.S)
    commands = examples("\n".join(blocks))
    assert commands
    for words in commands:
        assert build_parser(words[0]).parse_args(words).run, words


def test_help_imports_no_slow_library():
    code = (
        "import sys; from histolib.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "numpy", "pandas", "matplotlib"} & set(shown.splitlines()[-1].split())


def test_an_interrupt_has_exit_code_130(folder, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("histolib.cli.detect.read_patch", interrupt)
    assert main(["detect", "good.png", "--mpp", "0.5"]) == 130


def test_python_m_histolib_gives_the_same_messages(folder):
    command = [sys.executable, "-m", "histolib", "detect", "good.png", "cut.png", "deep.png", "--mpp", "0.5"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stdout.startswith("good ")
    first, second = ended.stderr.splitlines()
    assert first.startswith("histolib detect: cut.png: expected a whole image, found a damaged one")
    assert second.startswith("histolib detect: deep.png: expected 8 bits a channel")
    assert sorted(path.name for path in (folder / "detections").iterdir()) == ["good.csv", "good.geojson"]
