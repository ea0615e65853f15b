"""Reader of BCI: registered H&E and HER2 pairs, matched by file name."""

import re
from pathlib import Path

from ..imaging import Patch, read_rgb
from .samples import PairSample, Reader, list_files, locate, shorten


class BCI(Reader[PairSample]):
    """Pairs of `{HE,IHC}/{train,test}/00000_train_1+.png`, sorted by name.

    Liu et al., BCI: Breast Cancer Immunohistochemical Image Generation through Pyramid Pix2pix, CVPRW 2022.

    Args:
        root: folder with `HE` and `IHC`, or its parent if the folder is named `BCI_dataset`, as in the archive.
        split: train or test; None for all that exist.

    Raises:
        FileNotFoundError: a folder or one image of a pair is missing.
        ValueError: a name lacks split or HER2 level, or (on access) an image is damaged or a pair differs in size.

    >>> from tempfile import TemporaryDirectory
    >>> from histolib.data import phantom
    >>> with TemporaryDirectory() as folder:
    ...     pairs = BCI(phantom.write_bci(f"{folder}/bci", train=2, test=1, size_px=64), split="test")
    ...     print(len(pairs), pairs[0].level, pairs[0].he.image.shape == pairs[0].ihc.image.shape)
    1 0 True
    """

    mpp = 0.46
    marker = "membrane"
    splits = ("train", "test")
    levels = ("0", "1+", "2+", "3+")

    def __init__(self, root: str | Path, split: str | None = None) -> None:
        self.root = locate(root, ("HE", "IHC"), "BCI_dataset")
        parts = [split] if split else [name for name in self.splits if any(self.root.glob(f"*/{name}"))]
        if not parts:
            raise FileNotFoundError(f"{self.root / 'HE'}: expected a folder train or test, found neither")
        pairs = []
        for part in parts:
            he, ihc = (list_files(self.root / stain / part, ".png") for stain in ("HE", "IHC"))
            single = [f"{'IHC' if name in he else 'HE'}/{part}/{name}.png" for name in sorted(he.keys() ^ ihc.keys())]
            if single:
                raise FileNotFoundError(f"{self.root}: expected every image in both stains, missing {shorten(single)}")
            for name, path in he.items():
                if not re.fullmatch(rf"\d+_{part}_(0|[123]\+)", name):
                    wanted = f"a name like 00000_{part}_1+.png, level {', '.join(self.levels)}"
                    raise ValueError(f"{path}: expected {wanted}, found {path.name}")
                pairs.append((path, ihc[name]))
        super().__init__(pairs)
        self.names = tuple(he.stem for he, _ in pairs)

    def _read(self, key: tuple[Path, Path]) -> PairSample:
        name = key[0].stem
        he, ihc = (Patch(read_rgb(path), self.mpp, name) for path in key)
        if he.image.shape != ihc.image.shape:
            wanted, found = (f"{patch.image.shape[1]} x {patch.image.shape[0]}" for patch in (he, ihc))
            raise ValueError(f"{key[1]}: expected {wanted} px like its H&E image, found {found}")
        return PairSample(name, he, ihc, level=name.rsplit("_", 1)[1])
