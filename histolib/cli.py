"""The command line: `histolib run | detect | evaluate | train | tricks | data`."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from . import __version__

__all__ = ["main"]

# Which module adds which command. Only the one that is asked for is imported, so that `histolib data` needs no torch.
COMMANDS = {
    "run": "histolib.course",
    "detect": "histolib.ensemble.commands",
    "evaluate": "histolib.ensemble.commands",
    "train": "histolib.recipes",
    "tricks": "histolib.tricks",
    "ablate": "histolib.ensemble.ablation_command",
    "figures": "histolib.figures",
    "report": "histolib.report",
    "data": "histolib.data.commands",
}


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 2 wrong usage or unusable input, 1 a defect of ours."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Threads that wait by spinning slow torch down tenfold where another process wants a core too. Read at its import.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    wanted = next((word for word in arguments if not word.startswith("-")), None)
    parser = _Parser(prog="histolib", description="Find nuclei on IHC by translating it to H&E, and measure it.")
    parser.add_argument("--version", action="version", version=f"histolib {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    for module in dict.fromkeys([COMMANDS[wanted]] if wanted in COMMANDS else COMMANDS.values()):
        importlib.import_module(module).add_parsers(subparsers)
    args = parser.parse_args(arguments)
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
