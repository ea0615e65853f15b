"""Writers of the phantom in the official layouts of BCI, PanNuke and EndoNuke, for the readers of the real data."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from .render import render_he, render_ihc
from .sample import draw, prepare

VERSION = 1  # version of the drawing code; data sets of another version are refused
MANIFEST = "phantom.json"
PANNUKE_PX, PANNUKE_MPP = 256, 0.25
BCI_MPP = 0.46
ENDONUKE_SIZES = ((200, 0.5), (400, 0.25))  # pixels and microns per pixel: both show 100 microns
TILES_A_SLIDE = 4  # PanNuke; no slide is in two folds
PAIRS_A_SLIDE = 2  # BCI; no slide is in two splits
LEVELS = ("0", "1+", "2+", "3+")
RUN_STEP = 1000  # distance of the first ids of two runs of EndoNuke
LARGE_EVERY, TORN_EVERY = 10, 20  # one in 10 EndoNuke tiles has 400 px, one in 20 is partly transparent (scan edge)
ENDONUKE_CLASS = {1: 1, 5: 1, 3: 0, 2: 2, 4: 2}  # PanNuke type to 0 stroma, 1 epithelium, 2 other


@contextmanager
def _complete(root: str | Path, settings: dict[str, object]) -> Iterator[Path | None]:
    """Yield a folder that becomes `root` when it is complete, or None if `root` already is the same data set.

    Raises:
        ValueError: `root` has other content.
    """
    root = Path(root)
    settings = {"version": VERSION} | settings
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        manifest = root / MANIFEST
        found = json.loads(manifest.read_text()) if manifest.is_file() else "other files"
        if found != settings:
            raise ValueError(f"{root}: expected no files, or the phantom {settings}, found {found}")
        yield None
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        yield folder
        (folder / MANIFEST).write_text(json.dumps(settings))
        folder.chmod(0o755)
        folder.replace(root)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
    settings: dict[str, object] = {"set": "bci", "train": train, "test": test, "size_px": size_px, "seed": seed}
    with _complete(root, settings) as folder:
        if folder is not None:
            for first_slide, (split, count) in zip((0, 10_000), (("train", train), ("test", test)), strict=True):
                for stain in ("HE", "IHC"):
                    (folder / stain / split).mkdir(parents=True)
                for i in range(count):
                    slide, tile = divmod(i, PAIRS_A_SLIDE)
                    level = slide % len(LEVELS)
                    pair = draw(seed, size_px, BCI_MPP, "membrane", first_slide + slide, tile, "Breast", level)
                    name = f"{i:05d}_{split}_{LEVELS[level]}.png"
                    Image.fromarray(pair.he.image).save(folder / "HE" / split / name)
                    Image.fromarray(pair.ihc.image).save(folder / "IHC" / split / name)
    return Path(root)


def write_pannuke(root: str | Path, per_fold: int, seed: int = 0) -> Path:
    """Write three folds of H&E patches (256 px, 0.25 microns per pixel) as `Fold N/{images,masks}/foldN/*.npy`.

    `images` is float64 (N, 256, 256, 3) in 0-255; `masks` float64 (N, 256, 256, 6): instance ids of the neoplastic,
    inflammatory, connective, dead and epithelial nuclei, starting at 1 in each channel, then a channel that is 1 in the
    background; `types` the tissue names. Arguments, return value and errors as `write_bci`.
    """
    with _complete(root, {"set": "pannuke", "per_fold": per_fold, "seed": seed}) as folder:
        if folder is not None:
            for fold in (1, 2, 3):
                _write_fold(folder, fold, per_fold, seed)
    return Path(root)


def _write_fold(root: Path, fold: int, count: int, seed: int) -> None:
    arrays = {}
    for kind, channels in (("images", 3), ("masks", 6)):
        path = root / f"Fold {fold}" / kind / f"fold{fold}" / f"{kind}.npy"
        path.parent.mkdir(parents=True)
        shape = (count, PANNUKE_PX, PANNUKE_PX, channels)
        arrays[kind] = np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=shape)
    tissues = []
    for i in range(count):
        slide, tile = divmod(i, TILES_A_SLIDE)
        planes, truth, style, noise = prepare(seed, PANNUKE_PX, PANNUKE_MPP, "nuclear", 10_000 * fold + slide, tile)
        tissues.append(style.tissue)
        arrays["images"][i] = render_he(planes, style, PANNUKE_MPP, noise)
        for channel in range(5):
            rank = np.where(truth.types == channel + 1, np.cumsum(truth.types == channel + 1), 0)
            arrays["masks"][i, ..., channel] = np.r_[0, rank][truth.instances]
        arrays["masks"][i, ..., 5] = truth.instances == 0
    for array in arrays.values():
        array.flush()
    np.save(root / f"Fold {fold}" / "images" / f"fold{fold}" / "types.npy", np.array(tissues, dtype=str))


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
    with _complete(root, {"set": "endonuke", "runs": list(runs), "seed": seed}) as folder:
        if folder is not None:
            images, labels = folder / "dataset" / "images", folder / "dataset" / "labels" / "bulk" / "phantom"
            images.mkdir(parents=True)
            labels.mkdir(parents=True)
            for run, count in enumerate(runs):
                for tile in range(count):
                    number = RUN_STEP * (run + 1) + tile
                    image, points = _endonuke_tile(seed, run, tile, tile + sum(runs[:run]))
                    Image.fromarray(image).save(images / f"{number}.png")
                    (labels / f"{number}.txt").write_text("".join(f"{x} {y} {c}\n" for x, y, c in points))
    return Path(root)


def _endonuke_tile(seed: int, run: int, tile: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """RGBA image and integer (K, 3) of x, y, class; `count` is the number of earlier tiles in all runs."""
    size_px, mpp = ENDONUKE_SIZES[count % LARGE_EVERY == LARGE_EVERY // 2]
    planes, truth, style, noise = prepare(seed, size_px, mpp, "nuclear", run, tile, "Uterus")
    image = np.dstack([render_ihc(planes, style, mpp, noise), np.full((size_px, size_px), 255, np.uint8)])
    if count % TORN_EVERY == TORN_EVERY - 1:
        image[round(0.62 * size_px) :] = 0
    xy = np.rint(truth.xy).astype(int).reshape(-1, 2)
    classes = np.array([ENDONUKE_CLASS[t] for t in truth.types], dtype=int)
    seen = image[xy[:, 1], xy[:, 0], 3] > 0
    return image, np.column_stack([xy, classes])[seen]


def write_all(
    root: str | Path,
    per_fold: int = 40,
    runs: Sequence[int] = (10,) * 6,
    pairs: tuple[int, int] = (8, 2),
    bci_px: int = 512,
    seed: int = 0,
) -> dict[str, Path]:
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
