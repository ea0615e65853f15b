"""The command line: `histolib COMMAND`."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from . import __version__

__all__ = ["main", "parser_of"]

# Which module adds which command, and what it does. Only the one that is asked for is imported, so that help comes at
# once and `histolib data` needs no torch.
COMMANDS = {
    "run": ("histolib.course", "execute the notebooks in order"),
    "detect": ("histolib.ensemble.commands", "nucleus centroids of image files or folders"),
    "evaluate": ("histolib.ensemble.commands", "score routes, translations, or HoVer-Net alone"),
    "train": ("histolib.train_command", "train a network as the notebooks do"),
    "tricks": ("histolib.tricks", "measure what single settings of the CycleGAN change"),
    "ablate": (
        "histolib.ensemble.ablation_command",
        "compare all routes by weights that never saw a tile's slide",
    ),
    "figures": ("histolib.figures", "collect every figure of the talk"),
    "report": ("histolib.report", "write the tables of the README from data/results"),
    "data": ("histolib.data.commands", "list, download, verify and prepare data sets, draw the phantom"),
}
EPILOG = """\
examples:
  histolib detect slide_crop.jpg --mpp 0.25     # nuclei of your own image, as CSV and GeoJSON
  histolib run                                  # the whole course on drawn tissue, quick profile
  histolib data list                            # which data sets are here, and how to get the others

`histolib COMMAND --help` has examples of each command. Results go to files, progress to standard error, a short table
to standard output.

exit codes:
  0    done
  2    wrong usage or unusable input: one line on standard error names it, what was expected and what was found
  1    a notebook failed, or a defect of histolib
  130  interrupted
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and whose help keeps the lines of its examples."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**{"formatter_class": argparse.RawDescriptionHelpFormatter, **how})

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parser_of(command: str | None) -> argparse.ArgumentParser:
    """The parser of the command line, of which one command is whole; without one, each has its name alone."""
    about = "Find nuclei on IHC by translating it to H&E, and measure it."
    parser = _Parser(prog="histolib", description=about, epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"histolib {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    if command in COMMANDS:
        importlib.import_module(COMMANDS[command][0]).add_parsers(subparsers)
    else:
        for name, (_, does) in COMMANDS.items():
            subparsers.add_parser(name, help=does)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 2 wrong usage or unusable input, 1 a defect of ours."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Threads that wait by spinning slow torch down tenfold where another process wants a core too. Read at its import.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    args = parser_of(next((word for word in arguments if word != "--"), None)).parse_args(arguments)
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
