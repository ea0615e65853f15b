"""Train the pretrained detectors on several data sets at once.

    python -m histolib.experiments.train_detectors NETWORK --consep DIR --brca DIR [--endonuke DIR --split FILE ...]

Networks, each fine-tuned from --start:
  he           H&E of CoNSeP and BRCA-M2C; --teacher outlines the points of BRCA-M2C
  synthetic    the same H&E, mostly painted as nuclear IHC; it sees no IHC
  selftrained  half of the crops are IHC with the nuclei that --teacher finds: EndoNuke's part `train` and other crops
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from ..config import PROFILES, HoverNetSettings, changed
from ..data import BRCAM2C, EndoNuke, InstanceSample, consep_images, read_split
from ..data.instance_tiles import InstanceTiles
from ..data.splits import in_groups, split_ids
from ..imaging import Patch, read_patch
from ..io import Provenance
from ..nuclei import HoVerNet, train_hovernet
from ..nuclei.pseudo_labels import label_by_teacher, outline_points

CONSEP_TYPES = tuple(InstanceTiles.types.values())
AS_CONSEP = np.array([0, 2, 3, 4])  # lymphocyte is inflammatory, tumour is epithelial, stromal is spindle-shaped


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("network", choices=["he", "synthetic", "selftrained"])
    add("--consep", type=Path, required=True)
    add("--brca", type=Path, required=True)
    add("--endonuke", type=Path)
    add("--split", type=Path, help="split of EndoNuke")
    add("--crops", type=Path, help="folder of further nuclear IHC, scale in the file name (0.346mpp)")
    add("--start", type=Path, required=True, help="HoVer-Net weights to fine-tune")
    add("--teacher", type=Path, required=True, help="HoVer-Net for H&E; for selftrained the one for IHC")
    add("--he-teacher", type=Path, help="selftrained: HoVer-Net for H&E")
    add("--output", type=Path, required=True)
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting of the training")
    args = parser.parse_args(argv)
    base = replace(PROFILES["pretrained"].hovernet, ema=0.99, types=CONSEP_TYPES if args.network == "he" else ())
    settings = changed(base, args.set)
    teacher = HoVerNet.load(args.teacher)
    split = read_split(Path("data/splits/consep.json"))
    consep = consep_images(args.consep)
    training, validation = in_groups(consep, split["train"]), in_groups(consep, split["val"])
    he_teacher = HoVerNet.load(args.he_teacher) if args.he_teacher else teacher
    brca, groups = outlined_brca(args.brca, he_teacher)
    seen = [*split["train"], *split["val"], *groups]
    trained_on = "CoNSeP (18 images; validation: 4), BRCA-M2C (train)"
    painted = replace(settings, painted=0.85, recoloured=0.1, affine=0.4, jitter=0.3)
    mixed = replace(settings, painted=0.5, recoloured=0.3, affine=0.25, jitter=0.25)
    sources: list[tuple[Sequence[InstanceSample], HoverNetSettings]]
    if args.network == "he":
        stained = replace(settings, recoloured=0.3, jitter=0.25, affine=0.25)
        sources = [(training, stained), (brca, stained)]
    elif args.network == "synthetic":
        sources = [(training, painted)] * 3 + [(brca, mixed)]
    else:
        tiles, ids = endonuke_by_teacher(args.endonuke, args.split, teacher)
        others = [label_by_teacher(patch, teacher, patch.name) for patch in tqdm(read_crops(args.crops), "crops")]
        seen += [*ids, *(sample.group for sample in others)]
        trained_on += f", EndoNuke without labels ({', '.join(ids)}), Ki-67 crops without labels"
        unlabelled = replace(settings, affine=0.3, jitter=0.25)
        sources = [(tiles, unlabelled), (training, painted), (tiles, unlabelled), (brca, mixed)]
        sources += [(tiles, unlabelled), (training, painted), (others, unlabelled), (brca, mixed)]
    first, *rest = sources
    train_hovernet(
        first[0], first[1], args.output, others=rest, validation=validation, start=args.start, resume=True,
        provenance=Provenance(trained_on, tuple(seen)), mixed_precision="bf16", save_every=100,
    )  # fmt: skip
    return 0


def outlined_brca(root: Path, teacher: HoVerNet) -> tuple[list[InstanceSample], tuple[str, ...]]:
    """BRCA-M2C's part `train` with outlines and CoNSeP's types, without the patients of `val`, and its patients."""
    samples, held_out = BRCAM2C(root, "train"), {*BRCAM2C(root, "val").groups}
    outlined = [
        outline_points(sample, AS_CONSEP[sample.types], teacher, group)
        for sample, group in zip(tqdm(samples, "BRCA-M2C"), samples.groups, strict=True)
        if group not in held_out
    ]
    return outlined, tuple(dict.fromkeys(sample.group for sample in outlined))


def endonuke_by_teacher(root: Path, split: Path, teacher: HoVerNet) -> tuple[list[InstanceSample], tuple[str, ...]]:
    """Tiles of the part `train` with the nuclei that the teacher finds, and the blocks of ids that they belong to."""
    tiles, parts = EndoNuke(root), read_split(split)
    patches = {tiles.ids[at]: tiles[at].patch for at in split_ids(tiles.ids, parts)["train"]}
    return [label_by_teacher(patch, teacher, str(i)) for i, patch in tqdm(patches.items(), "EndoNuke")], parts["train"]


def read_crops(folder: Path) -> list[Patch]:
    """Images of Ki-67 whose file names state their scale."""
    paths = sorted(folder.glob("*Ki67*mpp.*"))
    return [read_patch(path, float(path.stem.rpartition("_")[2].removesuffix("mpp"))) for path in paths]


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    sys.exit(main())
