"""`histolib data`: list, download, verify and prepare data sets, and draw the phantom."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..config import PROFILES, profile
from ..data.download import download
from ..data.prepare import prepare_pannuke
from ..data.sources import sources
from ..data.verify import READERS, find_folders, open_readers, verify

EXAMPLES = {
    "data": """\
examples:
  histolib data list                          # data sets on disk, missing data sets, licences
  histolib data download endonuke             # into data/endonuke
  histolib data verify                        # open every file of every data set on disk
""",
    "list": "example:\n  histolib data list --root /content/drive/MyDrive/histolib/data\n",
    "download": """\
Prints manual steps for data sets that require registration; afterwards the same command unpacks the archive.

example:
  histolib data download pannuke --root /fast/disk    # then: histolib data prepare pannuke
""",
    "verify": """\
Warnings are repaired on load, errors are not. Exit code 2 if there are errors, else 0.

example:
  histolib data verify endonuke --root /fast/disk
""",
    "prepare": """\
Folders and zips stay as they are. Complete folds are skipped. A zip needs 13 GB of disk while it is converted.

example:
  histolib data prepare pannuke --output /fast/disk    # default: into data/pannuke/compact
""",
    "phantom": """\
Notebooks draw the phantom themselves, in data/phantom/PROFILE; this command is for inspection or other settings.

example:
  histolib data phantom --seed 3 --slides 12 --root /tmp/tissue
""",
}


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `data` and its five actions; each sets `run`, a function from the arguments to an exit code."""
    about = "list, download, verify and prepare data sets, draw the phantom"
    parser = subparsers.add_parser("data", help=about, description=f"{about.capitalize()}.", epilog=EXAMPLES["data"])
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, run: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        made = actions.add_parser(name, help=about, description=f"{about.capitalize()}.", epilog=EXAMPLES[name])
        made.add_argument("--root", type=Path, default=Path("data"), help="data folder (default: %(default)s)")
        made.set_defaults(run=run)
        return made

    action("list", _list, "list known data sets, their folders and licences")
    fetching = action("download", _download, "download a data set, or print the manual steps to get it")
    fetching.add_argument("name", choices=sorted(sources()), metavar="NAME", help=", ".join(sources()))
    checking = action("verify", _verify, "open every file and list problems")
    checking.add_argument(
        "name", nargs="?", choices=sorted(READERS), metavar="NAME", help=f"{', '.join(READERS)} (default: all)"
    )
    preparing = action("prepare", _prepare, "convert a data set to a compact store with fast random access")
    preparing.add_argument("name", choices=["pannuke"], metavar="NAME", help="pannuke")
    preparing.add_argument("--output", type=Path, help="PanNuke folder that receives the store (default: the source)")
    drawing = action("phantom", _phantom, "draw synthetic stand-ins for BCI, PanNuke and EndoNuke")
    drawing.add_argument("--seed", type=int, default=0, help="random seed, non-negative (default: %(default)s)")
    drawing.add_argument(
        "--profile", choices=sorted(PROFILES), default="quick", help="size of the data sets (default: %(default)s)"
    )
    slides = "number of slides (runs of ids) in EndoNuke (default: as in the profile)"
    drawing.add_argument("--slides", type=int, metavar="N", help=slides)


def _list(args: argparse.Namespace) -> int:
    for source in sources().values():
        places = [_state(source.name, place) for place in find_folders(source.name, args.root)]
        print(f"{source.name:<18}{', '.join(places) or 'missing'}")
        about = source.what, f"size: {source.size or 'not published'}; licence: {source.licence}", source.home
        for line in (wrapped for text in about for wrapped in textwrap.wrap(text, 100)):
            print(f"{'':<18}{line}")
    return 0


def _state(name: str, folder: Path) -> str:
    if name not in READERS:
        return str(folder)
    try:
        return f"{folder} ({sum(map(len, open_readers(name, folder)))} samples)"
    except (ValueError, OSError):
        return f"{folder} (incomplete: see verify)"


def _download(args: argparse.Namespace) -> int:
    source = sources()[args.name]
    print(f"{download(source, args.root)}\n{source.what}\nlicence: {source.licence}\ncite: {source.citation}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    names = [args.name] if args.name else list(READERS)
    found = [(name, place) for name in names for place in find_folders(name, args.root)]
    if args.name and not found:
        found = [(args.name, args.root)]  # the root may be the folder of the data set itself
        open_readers(*found[0])
    if not found:
        raise FileNotFoundError(f"{args.root}: expected a data set to verify, found none of {', '.join(READERS)}")
    total, row = 0, "{:<10}{:>9}{:>9}{:>10}{:>10}  {}"
    table = [row.format("set", "samples", "nuclei", "warnings", "problems", "folder")]
    for name, place in found:
        result = verify(name, place)
        for line in [*(f"warning: {warning}" for warning in result.warnings), *result.problems]:
            print(line)
        counts = result.samples, result.nuclei, len(result.warnings), len(result.problems)
        table.append(row.format(name, *counts, place))
        total += len(result.problems)
    print("\n".join(table))
    if total:
        print(f"histolib data verify: found {total} problems, listed on standard output", file=sys.stderr)
    return 2 if total else 0


def _prepare(args: argparse.Namespace) -> int:
    folder = args.root / args.name
    print(*prepare_pannuke(folder if folder.is_dir() else args.root, args.output), sep="\n")
    return 0


def _phantom(args: argparse.Namespace) -> int:
    from ..data.phantom import write_all  # imports OpenCV, which the other actions do not need

    size = profile(args.profile)
    runs = size.endonuke_runs
    if args.slides is not None:
        if not 1 <= args.slides <= sum(runs):
            raise ValueError(f"--slides: expected 1 to {sum(runs)}, the number of tiles, found {args.slides}")
        runs = tuple(map(len, np.array_split(np.arange(sum(runs)), args.slides)))
    folders = write_all(args.root / "phantom", size.pannuke_per_fold, runs, size.bci_pairs, size.bci_px, args.seed)
    print(*folders.values(), sep="\n")
    return 0
