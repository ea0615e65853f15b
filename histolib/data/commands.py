"""`histolib data`: which sets are there, how to get the others, and whether what is there can be read."""

from __future__ import annotations

import argparse
import logging
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from histolib.config import PROFILES, profile
from histolib.data.bci import BCI
from histolib.data.download import download
from histolib.data.endonuke import EndoNuke
from histolib.data.instance_tiles import InstanceTiles
from histolib.data.pannuke import PanNuke
from histolib.data.prepare import prepare_pannuke
from histolib.data.samples import InstanceSample, KeypointSample, Reader
from histolib.data.sources import sources

__all__ = ["add_parsers", "verify"]

READERS: dict[str, Callable[[Path], Reader[Any]]] = {
    "bci": BCI,
    "pannuke": PanNuke,
    "endonuke": EndoNuke,
    "consep": InstanceTiles,
}
EXAMPLES = {
    "": """\
examples:
  histolib data list                          # what is here, what is missing, under which licence
  histolib data download endonuke             # into data/endonuke
  histolib data verify                        # open every file of every set that is here
""",
    "list": """\
examples:
  histolib data list
  histolib data list --root /content/drive/MyDrive/histolib/data
""",
    "download": """\
A set that nobody may fetch for you is told how to get by hand; the command then goes on where you left off.

examples:
  histolib data download endonuke
  histolib data download pannuke --root /fast/disk    # 37 GB unpacked: `histolib data prepare pannuke` makes it small
""",
    "verify": """\
Notes tell what a reader mends, problems what it refuses. Exit code 2 where there is a problem, 0 with notes alone.

examples:
  histolib data verify
  histolib data verify endonuke --root /fast/disk
""",
    "prepare": """\
Folders and zips are read as they are and left alone. Stopped in any way, the same command goes on where it was.

examples:
  histolib data prepare pannuke                         # from data/pannuke, into data/pannuke/compact
  histolib data prepare pannuke --output /fast/disk
""",
    "phantom": """\
Notebooks draw what they need by themselves, in data/phantom/PROFILE; this is for a look, or for other slides.

examples:
  histolib data phantom                                 # into data/phantom/bci, pannuke and endonuke
  histolib data phantom --seed 3 --slides 12 --root /tmp/tissue
""",
}


def add_parsers(subparsers: argparse._SubParsersAction) -> None:
    """Add `data` and its five actions; each sets `run`, a function from the arguments to an exit code."""
    about = "List, download, verify and prepare data sets, and draw the phantom that stands in for them."
    parser = subparsers.add_parser("data", description=about, epilog=EXAMPLES[""])
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, run: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        made = actions.add_parser(name, help=about[0].lower() + about[1:-1], description=about, epilog=EXAMPLES[name])
        made.add_argument("--root", type=Path, default=Path("data"), help="data folder (default: %(default)s)")
        made.set_defaults(run=run)
        return made

    action("list", _list, "What there is, what is missing, and under which licence.")
    fetching = action("download", _download, "Get a set, or learn how to get it by hand.")
    fetching.add_argument("name", choices=sorted(sources()), metavar="NAME", help=", ".join(sources()))
    checking = action("verify", _verify, "Open every file and list what is wrong.")
    checking.add_argument(
        "name", nargs="?", choices=sorted(READERS), metavar="NAME", help=f"{', '.join(READERS)} (default: all)"
    )
    preparing = action("prepare", _prepare, "Make a small store that is fast in any order.")
    preparing.add_argument("name", choices=["pannuke"], metavar="NAME", help="pannuke")
    preparing.add_argument("--output", type=Path, help="PanNuke folder that gets the store (default: where it lies)")
    drawing = action("phantom", _phantom, "Draw the synthetic stand-ins of all three sets.")
    drawing.add_argument("--seed", type=int, default=0, help="the same gives the same bytes (default: %(default)s)")
    drawing.add_argument("--profile", choices=sorted(PROFILES), default="quick", help="how much (default: %(default)s)")
    slides = "spread EndoNuke's tiles over so many slides, a run of ids each (default: as the profile)"
    drawing.add_argument("--slides", type=int, metavar="N", help=slides)


def verify(name: str, folder: str | Path, progress: bool = True) -> tuple[dict[str, int], list[str], list[str]]:
    """Open every file of a set through its reader.

    Args:
        name: bci, pannuke, endonuke or consep.
        folder: the set's folder.
        progress: show a bar on stderr.

    Returns:
        How many samples and nuclei could be read, then, a line each, the problems, which a reader refuses, and the
        notes on what it mends.
    """
    counts, problems = {"samples": 0, "nuclei": 0}, []
    with _warnings() as warned:
        try:
            readers = _open(name, Path(folder))
        except (ValueError, OSError) as error:
            return counts, [str(error)], []
        for reader in readers:
            if isinstance(reader, PanNuke):
                problems += reader.check()
            unlabelled = reader.unlabelled if isinstance(reader, EndoNuke) else ()
            for index in tqdm(range(len(reader) + len(unlabelled)), desc=name, disable=not progress):
                try:
                    if index >= len(reader):
                        reader.patch(unlabelled[index - len(reader)])
                        continue
                    sample = reader[index]
                except (ValueError, OSError) as error:
                    problems.append(str(error))
                else:
                    counts["samples"] += 1
                    if isinstance(sample, InstanceSample | KeypointSample):
                        counts["nuclei"] += len(sample.types)
    return counts, list(dict.fromkeys(problems)), list(dict.fromkeys(warned))


def _open(name: str, folder: Path) -> list[Any]:
    """The readers of all parts of a set: for EndoNuke one a study, else one."""
    if name != "endonuke":
        return [READERS[name](folder)]
    return [EndoNuke(folder, study=study) for study in EndoNuke.studies(folder)] or [EndoNuke(folder)]


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Collect what the readers log instead of showing it."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("histolib.data")
    before, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


def _places(name: str, root: Path) -> list[Path]:
    """Folders below the data folder that hold something of a set: the set itself, its phantom."""
    return [place for place in (root / name, root / "phantom" / name) if place.is_dir() and any(place.iterdir())]


def _state(name: str, place: Path) -> str:
    if name not in READERS:
        return str(place)
    try:
        return f"{place} ({sum(map(len, _open(name, place)))} samples)"
    except (ValueError, OSError):
        return f"{place} (not whole: see verify)"


def _list(args: argparse.Namespace) -> int:
    for source in sources().values():
        places = ", ".join(_state(source.name, place) for place in _places(source.name, args.root))
        print(f"{source.name:<18}{places or 'missing'}")
        about = source.what, f"size: {source.size or 'not published'}; licence: {source.licence}", source.home
        for line in (wrapped for text in about for wrapped in textwrap.wrap(text, 100)):
            print(f"{'':<18}{line}")
    return 0


def _download(args: argparse.Namespace) -> int:
    source = sources()[args.name]
    print(f"{download(source, args.root)}\n{source.what}\nlicence: {source.licence}\ncite: {source.citation}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    names = [args.name] if args.name else list(READERS)
    found = [(name, place) for name in names for place in _places(name, args.root)]
    if args.name and not found:
        found = [(args.name, args.root)]  # the folder of the set itself was given
        _open(*found[0])
    if not found:
        raise FileNotFoundError(f"{args.root}: expected a set to verify, found none of {', '.join(READERS)}")
    total, row = 0, "{:<10}{:>9}{:>9}{:>7}{:>10}  {}"
    lines = [row.format("set", "samples", "nuclei", "notes", "problems", "folder")]
    for name, place in found:
        counts, problems, notes = verify(name, place)
        for line in [*(f"note: {note}" for note in notes), *problems]:
            print(line)
        lines.append(row.format(name, counts["samples"], counts["nuclei"], len(notes), len(problems), place))
        total += len(problems)
    print("\n".join(lines))
    if total:
        print(f"histolib data verify: found {total} problems, listed on standard output", file=sys.stderr)
    return 2 if total else 0


def _prepare(args: argparse.Namespace) -> int:
    there = args.root / args.name
    print(*prepare_pannuke(there if there.is_dir() else args.root, args.output), sep="\n")
    return 0


def _phantom(args: argparse.Namespace) -> int:
    from histolib.data.phantom import write_all  # imports OpenCV, which the other actions do without

    size = profile(args.profile)
    runs = size.endonuke_runs
    if args.slides is not None:
        if not 1 <= args.slides <= sum(runs):
            raise ValueError(f"--slides: expected 1 to {sum(runs)}, the number of tiles, found {args.slides}")
        runs = tuple(map(len, np.array_split(np.arange(sum(runs)), args.slides)))
    folders = write_all(args.root / "phantom", size.pannuke_per_fold, runs, size.bci_pairs, size.bci_px, args.seed)
    print(*folders.values(), sep="\n")
    return 0
