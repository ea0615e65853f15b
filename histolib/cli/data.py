"""List, download, verify and prepare data sets, draw the phantom.

examples:
  histolib data list                          # data sets on disk, missing data sets, licences
  histolib data download endonuke             # into data/endonuke
  histolib data verify                        # open every file of every data set on disk
"""

import argparse
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..config import PROFILES, profile
from ..data.download import download
from ..data.pannuke import prepare_pannuke
from ..data.sources import sources
from ..data.verify import READERS, find_folders, verify
from .options import documented, number


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `data` and its five actions; each sets `run`, a function from the arguments to an exit code."""
    parser = subparsers.add_parser("data", help="list, download, verify, prepare or draw data", **documented(__doc__))
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, run: Callable[[argparse.Namespace], int]) -> Callable[..., argparse.Action]:
        doc = documented(run.__doc__)
        made = actions.add_parser(name, help=doc["description"], **doc)
        made.add_argument("--root", type=Path, default=Path("data"), help="data folder (default: %(default)s)")
        made.set_defaults(run=run)
        return made.add_argument

    action("list", _list)
    action("download", _download)("name", choices=sorted(sources()), metavar="NAME", help=", ".join(sources()))
    readers = f"{', '.join(READERS)} (default: all)"
    action("verify", _verify)("name", nargs="?", choices=sorted(READERS), metavar="NAME", help=readers)
    add = action("prepare", _prepare)
    add("name", choices=["pannuke"], metavar="NAME", help="pannuke")
    add("--output", type=Path, help="PanNuke folder that receives the store (default: the source)")
    add = action("phantom", _phantom)
    add("--seed", type=number(0, kind=int), default=0, help="random seed, non-negative (default: %(default)s)")
    add("--profile", choices=sorted(PROFILES), default="quick", help="size of the data sets (default: %(default)s)")
    slides = "number of slides (runs of ids) in EndoNuke (default: as in the profile)"
    add("--slides", type=int, metavar="N", help=slides)


def _list(args: argparse.Namespace) -> int:
    """List known data sets, their folders and licences.

    example:
      histolib data list --root /content/drive/MyDrive/histolib/data
    """
    for source in sources().values():
        places = find_folders(source.name, args.root)
        print(f"{source.name:<18}{', '.join(map(str, places)) or 'missing'}")
        for text in (source.what, f"size: {source.size or 'not published'}; licence: {source.licence}", source.home):
            print(textwrap.indent(textwrap.fill(text, 100), " " * 18))
    return 0


def _download(args: argparse.Namespace) -> int:
    """Download a data set, or print the manual steps to get it.

    Prints manual steps for data sets that require registration; afterwards the same command unpacks the archive.

    example:
      histolib data download pannuke --root /fast/disk    # then: histolib data prepare pannuke
    """
    source = sources()[args.name]
    print(f"{download(source, args.root)}\n{source.what}\nlicence: {source.licence}\ncite: {source.citation}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    """Open every file and list problems.

    Warnings on standard error name defects that are repaired on load. Exit code 2 if there are problems, else 0.

    example:
      histolib data verify endonuke --root /fast/disk
    """
    names = [args.name] if args.name else list(READERS)
    found = [(name, place) for name in names for place in find_folders(name, args.root)]
    if args.name and not found:
        found = [(args.name, args.root)]  # the root may be the folder of the data set itself
        READERS[args.name](args.root)
    if not found:
        raise FileNotFoundError(f"{args.root}: expected a data set to verify, found none of {', '.join(READERS)}")
    row = "{:<10}{:>9}{:>9}{:>10}  {}".format
    total, table = 0, [row("set", "samples", "nuclei", "problems", "folder")]
    for name, place in found:
        samples, nuclei, problems = verify(name, place)
        table.append(row(name, samples, nuclei, len(problems), place))
        total += len(problems)
        print(*problems, sep="\n", end="\n" if problems else "")
    print(*table, sep="\n")
    if total:
        print(f"histolib data verify: found {total} problems, listed on standard output", file=sys.stderr)
    return 2 if total else 0


def _prepare(args: argparse.Namespace) -> int:
    """Convert a data set to a compact store with fast random access.

    Folders and zips stay as they are. Complete folds are skipped. A zip needs 13 GB of disk while it is converted.

    example:
      histolib data prepare pannuke --output /fast/disk    # default: into data/pannuke/compact
    """
    folder = args.root / args.name
    print(*prepare_pannuke(folder if folder.is_dir() else args.root, args.output), sep="\n")
    return 0


def _phantom(args: argparse.Namespace) -> int:
    """Draw synthetic stand-ins for BCI, PanNuke and EndoNuke.

    Notebooks draw the phantom themselves, in data/phantom/PROFILE; this command is for inspection or other settings.

    example:
      histolib data phantom --seed 3 --slides 12 --root /tmp/tissue
    """
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
