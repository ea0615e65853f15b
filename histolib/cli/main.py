"""Find nuclei in IHC by translating it to H&E.

examples:
  histolib detect slide_crop.jpg --mpp 0.25     # nuclei of an image, as CSV and GeoJSON
  histolib run                                  # the whole course on phantom tissue, quick profile
  histolib data list                            # which data sets are here, and how to get the others

`histolib COMMAND --help` shows examples of each command. Results go to files, progress to standard error, and a short
table to standard output.

exit codes:
  0    done
  2    wrong usage or unusable input; one line on standard error says what was expected and what was found
  1    a notebook failed, or histolib has a defect
  130  interrupted
"""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from .. import __version__
from .options import documented

# Only the module of the given command is imported: the help is fast, and `histolib data` needs no torch.
COMMANDS = {
    "run": "execute the notebooks in order and collect their figures",
    "detect": "find nuclei in image files or folders",
    "evaluate": "score routes, translations, or HoVer-Net alone",
    "train": "train a CycleGAN or a HoVer-Net",
    "data": "list, download, verify and prepare data sets, draw the phantom",
}


class _Parser(argparse.ArgumentParser):
    """A parser with one-line errors that keeps the line breaks of the examples in its help."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": argparse.RawDescriptionHelpFormatter, **options})

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """The parser with all options of one command; the other commands have a name and a one-line help only."""
    parser = _Parser(prog="histolib", **documented(__doc__))
    parser.add_argument("--version", action="version", version=f"histolib {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    if command in COMMANDS:
        importlib.import_module(f"histolib.cli.{command}").add_parser(subparsers)
    else:
        for name, about in COMMANDS.items():
            subparsers.add_parser(name, help=about)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 2 wrong usage or unusable input, 1 a defect of histolib."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # OpenMP threads that spin while they wait slow torch down tenfold on a busy machine. Read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    args = build_parser(next((word for word in arguments if word != "--"), None)).parse_args(arguments)
    try:
        return args.run(args)
    except (ValueError, OSError) as error:
        print(f"histolib {args.command}: {_one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {os.strerror(error.errno) if error.errno else error.strerror}"
    return " ".join(str(error).split())
