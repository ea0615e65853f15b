"""Writers of the phantom in the official layouts of BCI, PanNuke and EndoNuke, for the readers of the real data."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ...io import replacing
from ..bci import BCI
from ..pannuke import IMAGE, MASKS, PanNuke, members
from .render import render_he, render_ihc
from .sample import draw, prepare

VERSION = 1  # version of the drawing code; data sets of another version are refused
MANIFEST = "phantom.json"
ENDONUKE_SIZES = ((200, 0.5), (400, 0.25))  # pixels and microns per pixel: both show 100 microns
TILES_A_SLIDE = 4  # PanNuke; no slide is in two folds
PAIRS_A_SLIDE = 2  # BCI; no slide is in two splits
FIRST_SLIDE = 10_000  # of BCI's test pairs; of PanNuke's fold N it is N times as much
RUN_STEP = 1000  # distance of the first ids of two runs of EndoNuke
LARGE_EVERY, TORN_EVERY = 10, 20  # one in 10 EndoNuke tiles has 400 px, one in 20 is partly transparent (scan edge)
ENDONUKE_CLASS = np.array([-1, 1, 2, 0, 2, 1])  # by PanNuke type: 0 stroma, 1 epithelium, 2 other


def _complete(root: str | Path, name: str, write: Callable[..., None], **settings: object) -> Path:
    """Call `write(folder, **settings)` for a folder that becomes `root` at the end, unless `root` is that data set.

    Raises:
        ValueError: `root` has other content.
    """
    root, manifest = Path(root), {"version": VERSION, "set": name, **settings}
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        found = json.loads((root / MANIFEST).read_text()) if (root / MANIFEST).is_file() else "other files"
        if found != manifest:
            raise ValueError(f"{root}: expected no files, or the phantom {manifest}, found {found}")
        return root
    with replacing(root, folder=True) as folder:
        write(folder, **settings)
        (folder / MANIFEST).write_text(json.dumps(manifest))
    return root


def write_bci(root: str | Path, train: int, test: int, size_px: int = 1024, seed: int = 0) -> Path:
    """Write registered pairs as `HE|IHC/train|test/00000_train_1+.png` (HER2, 0.46 microns per pixel).

    Two pairs share a slide; the name holds the HER2 level of the slide, which cycles from slide to slide.

    Args:
        root: folder to make.
        train, test: number of pairs.
        size_px: side of an image; the official one is 1024.
        seed: random seed; equal arguments give equal bytes.

    Returns:
        `root`, as a path.

    Raises:
        ValueError: `root` has other content than the same data set.
    """
    return _complete(root, "bci", _write_pairs, train=train, test=test, size_px=size_px, seed=seed)


def _write_pairs(folder: Path, train: int, test: int, size_px: int, seed: int) -> None:
    for first_slide, split, count in ((0, "train", train), (FIRST_SLIDE, "test", test)):
        for stain in ("HE", "IHC"):
            (folder / stain / split).mkdir(parents=True)
        for i in range(count):
            slide, tile = divmod(i, PAIRS_A_SLIDE)
            level = slide % len(BCI.levels)
            pair = draw(seed, size_px, BCI.mpp, BCI.marker, first_slide + slide, tile, "Breast", level)
            for stain, patch in (("HE", pair.he), ("IHC", pair.ihc)):
                Image.fromarray(patch.image).save(folder / stain / split / f"{i:05d}_{split}_{BCI.levels[level]}.png")


def write_pannuke(root: str | Path, per_fold: int, seed: int = 0) -> Path:
    """Write three folds of H&E patches (256 px, 0.25 microns per pixel) as `Fold N/{images,masks}/foldN/*.npy`.

    `images` is float64 (N, 256, 256, 3) in 0-255; `masks` float64 (N, 256, 256, 6): instance ids of the neoplastic,
    inflammatory, connective, dead and epithelial nuclei, starting at 1 in each channel, then a channel that is 1 in the
    background; `types` the tissue names. Arguments, return value and errors as `write_bci`.
    """
    return _complete(root, "pannuke", _write_folds, per_fold=per_fold, seed=seed)


def _write_folds(folder: Path, per_fold: int, seed: int) -> None:
    for fold in (1, 2, 3):
        image_file, mask_file, tissue_file = (folder / member for member in members(fold))
        image_file.parent.mkdir(parents=True)
        mask_file.parent.mkdir(parents=True)
        images = np.lib.format.open_memmap(image_file, "w+", np.float64, (per_fold, *IMAGE))
        masks = np.lib.format.open_memmap(mask_file, "w+", np.float64, (per_fold, *MASKS))
        tissues = []
        for i in range(per_fold):
            slide, number = divmod(i, TILES_A_SLIDE)
            tile, rng = prepare(seed, IMAGE[0], PanNuke.mpp, "nuclear", FIRST_SLIDE * fold + slide, number)
            tissues.append(tile.style.tissue)
            images[i] = render_he(tile, rng)
            for channel in range(5):
                of_type = tile.types == channel + 1
                masks[i, ..., channel] = np.r_[0, np.cumsum(of_type) * of_type][tile.instances]
            masks[i, ..., 5] = tile.instances == 0
        np.save(tissue_file, np.array(tissues, dtype=str))


def write_endonuke(root: str | Path, runs: Sequence[int], seed: int = 0) -> Path:
    """Write IHC tiles (ER/PR of endometrium) as `dataset/images/N.png` and `dataset/labels/bulk/phantom/N.txt`.

    A tile is RGBA, 200 px at 0.5 or sometimes 400 px at 0.25 microns per pixel, a few are partly transparent; a label
    line is `x y class` in whole pixels, 0 stroma, 1 epithelium, 2 other. Ids lie in runs, and a run is a slide.

    Args:
        root: folder to make.
        runs: number of tiles of each run.
        seed: random seed; equal arguments give equal bytes.

    Returns, raises: as `write_bci`.
    """
    return _complete(root, "endonuke", _write_runs, runs=list(runs), seed=seed)


def _write_runs(folder: Path, runs: Sequence[int], seed: int) -> None:
    images, labels = folder / "dataset" / "images", folder / "dataset" / "labels" / "bulk" / "phantom"
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    places = [(run, number) for run, tiles in enumerate(runs) for number in range(tiles)]
    for count, (run, number) in enumerate(places):
        size_px, mpp = ENDONUKE_SIZES[count % LARGE_EVERY == LARGE_EVERY // 2]
        tile, rng = prepare(seed, size_px, mpp, "nuclear", run, number, "Uterus")
        image = np.dstack([render_ihc(tile, rng), np.full((size_px, size_px), 255, np.uint8)])
        if count % TORN_EVERY == TORN_EVERY - 1:
            image[round(0.62 * size_px) :] = 0
        xy = np.rint(tile.xy).astype(int)
        seen = image[xy[:, 1], xy[:, 0], 3] > 0
        points = np.column_stack([xy, ENDONUKE_CLASS[tile.types]])[seen]
        name = RUN_STEP * (run + 1) + number
        Image.fromarray(image).save(images / f"{name}.png")
        (labels / f"{name}.txt").write_text("".join(f"{x} {y} {c}\n" for x, y, c in points))


def write_all(
    root: str | Path, per_fold: int = 40, runs: Sequence[int] = (10,) * 6, pairs: tuple[int, int] = (8, 2),
    bci_px: int = 512, seed: int = 0,
) -> dict[str, Path]:  # fmt: skip
    """Write `root/{bci,pannuke,endonuke}` unless they exist.

    Args:
        root: folder that holds the three sets.
        per_fold: PanNuke patches in each of the three folds.
        runs: EndoNuke tiles of each run.
        pairs: BCI pairs to train on and to test on.
        bci_px: side of a BCI image.
        seed: random seed; equal arguments give equal bytes.

    Returns:
        set name -> its folder.

    Raises:
        ValueError: a folder has other content than the same data set.
    """
    root = Path(root)
    return {
        "bci": write_bci(root / "bci", *pairs, bci_px, seed),
        "pannuke": write_pannuke(root / "pannuke", per_fold, seed),
        "endonuke": write_endonuke(root / "endonuke", runs, seed),
    }
