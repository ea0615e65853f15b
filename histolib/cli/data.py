"""List, download, verify and prepare data sets, and draw the phantom.

examples:
  histolib data list                          # data sets on disk, missing data sets, licences
  histolib data download endonuke             # into data/endonuke
  histolib data verify                        # open every file of every data set on disk
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

from ..config import PROFILES, profile
from ..data.download import download
from ..data.prepare import prepare_pannuke
from ..data.sources import sources
from ..data.verify import READERS, find_folders, open_readers, verify
from .options import SEED, documented, number


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `data` and its five actions; each sets `run`, a function from the arguments to an exit code."""
    parser = subparsers.add_parser("data", **documented(__doc__))
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, run: Callable[[argparse.Namespace], int]) -> Callable[..., argparse.Action]:
        doc = documented(run.__doc__)
        made = actions.add_parser(name, help=doc["description"].rstrip("."), **doc)
        made.add_argument("--root", type=Path, default=Path("data"), help="data folder (default: %(default)s)")
        made.set_defaults(run=run)
        return made.add_argument

    action("list", _list)
    add = action("download", _download)
    add("name", choices=sorted(sources()), metavar="NAME", help=", ".join(sources()))
    add = action("verify", _verify)
    known = f"{', '.join(READERS)} (default: all)"
    add("name", nargs="?", choices=sorted(READERS), metavar="NAME", help=known)
    add = action("prepare", _prepare)
    add("name", choices=["pannuke"], metavar="NAME", help="pannuke")
    add("--output", type=Path, help="PanNuke folder that receives the store (default: the source)")
    add = action("phantom", _phantom)
    add("--seed", type=number(0, kind=int), default=0, help=SEED)
    size = "size of the data sets (default: %(default)s)"
    add("--profile", choices=sorted(PROFILES), default="quick", help=size)


def _list(args: argparse.Namespace) -> int:
    """List known data sets, their folders and licences.

    example:
      histolib data list --root /content/drive/MyDrive/histolib/data
    """
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
    """Download a data set, or print the manual steps to get it.

    Data sets that require registration are downloaded by hand; afterwards the same command unpacks the archive.

    example:
      histolib data download pannuke --root /fast/disk      # then: histolib data prepare pannuke
    """
    source = sources()[args.name]
    print(f"{download(source, args.root)}\n{source.what}\nlicence: {source.licence}\ncite: {source.citation}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    """Open every file and list problems.

    Warnings are repaired on load, errors are not. Exit code 2 if there are errors, else 0.

    example:
      histolib data verify endonuke --root /fast/disk
    """
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
    """Convert a data set to a compact store with fast random access.

    Folders and zips are read row by row and stay as they are. Complete folds are skipped.

    example:
      histolib data prepare pannuke --output /fast/disk     # default: data/pannuke/compact
    """
    folder = args.root / args.name
    print(*prepare_pannuke(folder if folder.is_dir() else args.root, args.output), sep="\n")
    return 0


def _phantom(args: argparse.Namespace) -> int:
    """Draw synthetic stand-ins for BCI, PanNuke and EndoNuke.

    Notebooks draw the phantom themselves, in data/phantom/PROFILE; this command is for inspection or other settings.

    example:
      histolib data phantom --seed 3 --root /tmp/tissue     # into /tmp/tissue/phantom/bci, pannuke and endonuke
    """
    from ..data.phantom import write_all  # imports OpenCV, which the other actions do not need

    size = profile(args.profile)
    parts = size.pannuke_per_fold, size.endonuke_runs, size.bci_pairs, size.bci_px
    folders = write_all(args.root / "phantom", *parts, args.seed)
    print(*folders.values(), sep="\n")
    return 0
