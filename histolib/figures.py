"""`histolib figures`: every figure of the talk as PNG and PDF, with a manifest and a contact sheet."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

from PIL import Image

from .config import PROFILES, Paths, replacing, writable_folder
from .course import collect_figures, commit_of, notebook_files, run_course
from .viz import contact_sheet

__all__ = ["add_parsers", "collect", "run_figures"]

logger = logging.getLogger(__name__)

MANIFEST, SHEET = "manifest.json", "contact_sheet.png"
EPILOG = """\
Figures are those that the notebooks kept; the course is run first where a profile has none yet.

examples:
  histolib figures                                # of the quick profile, into figures/
  histolib figures --profile full --output talk
"""


def add_parsers(subparsers: argparse._SubParsersAction) -> None:
    """Add `figures` to the command line."""
    parser = subparsers.add_parser(
        "figures",
        description="Collect every figure of the talk as PNG and PDF, with a manifest and a contact sheet.",
        epilog=EPILOG,
    )
    profile = "whose figures: quick or full (default: %(default)s)"
    parser.add_argument("--profile", choices=list(PROFILES), default="quick", help=profile)
    parser.add_argument("--output", type=Path, help="folder for them (default: figures/ of the checkout)")
    parser.set_defaults(run=run_figures)


def run_figures(args: argparse.Namespace) -> int:
    """Collect the figures of a profile, running the course where there are none."""
    paths = Paths.find()
    made = paths.runs / args.profile / "figures"
    if not any(made.glob("*.png")):
        logger.info("no figures in %s yet: running the course, profile %s", made, args.profile)
        run_course(args.profile, paths=paths)
    entries = collect(made, args.output or paths.figures, paths)
    print(f"{len(entries)} figures, {MANIFEST} and {SHEET} in {args.output or paths.figures}")
    return 0


def collect(made: Path, target: Path, paths: Paths) -> list[dict[str, Any]]:
    """Copy figures to a folder, and write their manifest and a contact sheet beside them.

    Args:
        made: folder of the figures of a run, `NN_name.png` and `.pdf`.
        target: where they go.
        paths: of the checkout, for notebooks and commit.

    Returns:
        the manifest: name, source notebook, profile, seed, commit and size of each figure.

    Raises:
        FileNotFoundError: there are no figures.
    """
    pictures = sorted(made.glob("*.png"))
    if not pictures:
        raise FileNotFoundError(f"{made}: expected figures (NN_name.png), found none")
    writable_folder(target)
    collect_figures(made, target)
    notebooks = {file.name[:2]: file.name for file in notebook_files(paths.root, ())}
    commit = commit_of(paths.root)
    entries = []
    for picture in pictures:
        with Image.open(picture) as image:
            about = json.loads(image.info.get("Description", "{}"))
            size, dpi = image.size, round(image.info.get("dpi", (0, 0))[0])
        entries.append(
            {
                "name": picture.stem,
                "notebook": notebooks.get(picture.stem[:2], ""),
                **about,
                "commit": commit,
                "size_px": list(size),
                "dpi": dpi,
            }
        )
    with replacing(target / MANIFEST) as temporary:
        temporary.write_text(json.dumps(entries, indent=2) + "\n")
    sheet = contact_sheet([(picture.stem, Image.open(picture)) for picture in pictures])
    with replacing(target / SHEET) as temporary:
        sheet.save(temporary, format="png")
    return entries
