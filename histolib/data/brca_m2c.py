"""Reader of BRCA-M2C: H&E of breast cancer with one point per nucleus."""

import re
from pathlib import Path

import numpy as np

from ..imaging import Patch, read_rgb
from .samples import KeypointSample, Reader, list_files, locate

MPP = 0.5
PATIENT = re.compile(r"TCGA-\w\w-\w{4}")  # the first three parts of a TCGA barcode


class BRCAM2C(Reader[KeypointSample]):
    """Labelled images, sorted by name; the group of an image is its patient.

    Images have about 330 to 505 px at 0.5 microns per pixel (TCGA, 20x). Some nuclei are not annotated, so recall means
    more than precision. Abousamra et al., Multi-Class Cell Detection Using Spatial Context Representation, ICCV 2021,
    arXiv:2110.04886.

    Args:
        root: folder that holds `images/NAME.png`, `labels/NAME_gt_class_coords.txt` and `brca_ds_PART.txt`.
        part: train or val, the published split, whose parts share two patients; None for all images.

    Raises:
        FileNotFoundError: a folder, the list of the part, or the labels of an image are missing.
        ValueError: (on access) an image or a label file is damaged.
    """

    types = {1: "lymphocyte", 2: "tumour or epithelial", 3: "stromal"}  # noqa: RUF012 - a constant of the data set

    def __init__(self, root: str | Path, part: str | None = None) -> None:
        self.root = locate(root, ("images", "labels"))
        images = list_files(self.root / "images", ".png")
        if part is not None:
            listing = self.root / f"brca_ds_{part}.txt"
            if not listing.is_file():
                raise FileNotFoundError(f"{listing}: expected the list of the images of part {part!r}, found nothing")
            listed = {Path(line.strip()).name for line in listing.read_text("utf-8").splitlines()}
            images = {name: path for name, path in images.items() if path.name in listed}
        pairs = [(path, self.root / "labels" / f"{name}_gt_class_coords.txt") for name, path in images.items()]
        for image, labels in pairs:
            if not labels.is_file():
                raise FileNotFoundError(f"{labels}: expected the labels of {image.name}, found nothing")
        super().__init__(pairs)
        self.groups = tuple(found.group() if (found := PATIENT.match(name)) else name for name in images)

    def _read(self, key: tuple[Path, Path]) -> KeypointSample:
        path, labels = key
        patch = Patch(read_rgb(path), MPP, path.stem)
        try:
            table = np.array([line.split() for line in labels.read_text("utf-8").splitlines()], np.int64).reshape(-1, 3)
        except ValueError as error:
            raise ValueError(f"{labels}: expected lines of three integers `y x class`, found {error}") from None
        xy, types = table[:, 1::-1].astype(np.float64), table[:, 2]
        height, width = patch.image.shape[:2]
        inside = (xy >= 0) & (xy < (width, height))
        if not (inside.all() and np.isin(types, list(self.types)).all()):
            raise ValueError(f"{labels}: expected points within {width} x {height} px of classes 1 to 3, found others")
        return KeypointSample(patch, xy, types)
