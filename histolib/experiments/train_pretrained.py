"""Train the networks that ship on several data sets at once.

    python -m histolib.experiments.train_pretrained NETWORK --consep DIR --brca DIR --detector FILE --output DIR ...

Networks:
  hovernet     H&E of CoNSeP and, a third of the crops, BRCA-M2C, whose points --detector outlines; fine-tuned from
               --start
  synthetic    the same H&E, mostly painted as nuclear IHC; it sees no IHC; fine-tuned from --start
  selftrained  half of the crops are IHC (EndoNuke's part `train` of --split, and --crops) with discs on the nuclei on
               which --teacher and, after recolouring, --detector agree; the others are those of `synthetic`, with
               discs for BRCA-M2C; fine-tuned from --start and averaged with it
  cyclegan     IHC as for `selftrained`, with random stain changes, to the H&E of both sets; --detector must find the
               same nuclei on the translation as --teacher finds on the IHC
"""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..config import PROFILES, HoverNetSettings, best_device, changed
from ..data import BRCAM2C, EndoNuke, InstanceSample, InstanceTiles, Patches
from ..data.endonuke import disc_sample
from ..data.instance_tiles import consep_images
from ..data.samples import KeypointSample
from ..data.splits import in_groups, read_split, split_ids
from ..imaging import Patch, read_patch
from ..io import Provenance
from ..nuclei import HoVerNet, train_hovernet
from ..nuclei.augmentation import restain
from ..nuclei.postprocess import published_thresholds
from ..nuclei.pseudo_labels import label_by_teachers, outline_points
from ..nuclei.training import WEIGHTS
from ..translation import TRANSLATIONS, StainReference, train_cyclegan
from ..translation.consistency import nuclei_consistency

STAIN_JITTER = 0.3  # of the IHC of the CycleGAN, see `restain`
MARKER_UM2 = 2.5  # on Ki-67 of other laboratories (validation), nuclei with smaller markers are mostly fragments
CROP_REPEATS = 20  # a crop of a slide is many times larger than a tile of EndoNuke
LEARNED = 0.7  # share of the trained weights in `selftrained`; chosen on Ki-67 and on the labels of its training tiles
AS_CONSEP = np.array([0, 2, 3, 4])  # lymphocyte is inflammatory, tumour is epithelial, stromal is spindle-shaped


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("network", choices=["hovernet", "synthetic", "selftrained", "cyclegan"])
    add("--consep", type=Path, required=True)
    add("--brca", type=Path, required=True)
    add("--endonuke", type=Path)
    add("--split", type=Path, help="split of EndoNuke")
    add("--crops", type=Path, help="folder of further nuclear IHC, scale in the file name (0.346mpp)")
    add("--detector", type=Path, required=True, help="HoVer-Net for H&E")
    add("--teacher", type=Path, help="HoVer-Net for IHC")
    add("--start", type=Path, help="HoVer-Net weights to fine-tune")
    add("--output", type=Path, required=True)
    add("--workers", type=int, default=0, help="processes that prepare crops for a GPU")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting of the training")
    args = parser.parse_args(argv)
    device = best_device()
    detector, teacher = (HoVerNet.load(path).to(device) for path in (args.detector, args.teacher or args.detector))
    consep, split = consep_images(args.consep), read_split("data/splits/consep.json")
    training, validation = in_groups(consep, split["train"]), in_groups(consep, split["val"])
    points, patients = brca_points(args.brca)
    seen = [*split["train"], *split["val"], *dict.fromkeys(patients)]
    described = "CoNSeP (18 images; validation: 4), BRCA-M2C (train)"
    patches, crops = list[Patch](), list[Patch]()
    if args.network in ("selftrained", "cyclegan"):
        patches, ids = endonuke_patches(args.endonuke, args.split)
        crops = read_crops(args.crops)
        seen += [*ids, *(crop.name for crop in crops)]
        described += f", EndoNuke without labels ({', '.join(ids)}), Ki-67 crops without labels"
    provenance = Provenance(described, tuple(seen))
    how: dict[str, Any] = {"provenance": provenance, "resume": True, "save_every": 100, "workers": args.workers}
    if args.network == "cyclegan":
        settings = changed(PROFILES["pretrained"].cyclegan, args.set)
        he = [sample.patch for sample in (*training, *points)]
        for net in (detector, teacher):
            net.eval().requires_grad_(False)
        how["consistency"] = nuclei_consistency(detector.same_size_maps, teacher.same_size_maps)
        how["restain"] = lambda image, rng: restain(image, STAIN_JITTER, rng)
        train_cyclegan(patches + crops * CROP_REPEATS, he, settings, args.output, **how)
        return
    pairs = zip(tqdm(points, "BRCA-M2C"), patients, strict=True)
    if args.network == "selftrained":
        brca = [disc_sample(one.patch, one.xy, AS_CONSEP[one.types], group) for one, group in pairs]
    else:
        brca = [outline_points(one, AS_CONSEP[one.types], detector, group) for one, group in pairs]
    types = tuple(InstanceTiles.types.values()) if args.network == "hovernet" else ()
    base = changed(replace(PROFILES["pretrained"].hovernet, ema=0.99, types=types), args.set)
    painted = (training, replace(base, painted=0.85, recoloured=0.1, affine=0.4, jitter=0.3))
    breast = (brca, replace(base, painted=0.5, recoloured=0.3, affine=0.25, jitter=0.25))
    sources: list[tuple[Sequence[InstanceSample], HoverNetSettings]] = [painted, painted, painted, breast]
    if args.network == "hovernet":
        stained = replace(base, recoloured=0.3, jitter=0.25, affine=0.25)
        sources = [(training, stained), (training, stained), (brca, stained)]
    if args.network == "selftrained":
        he_reference = StainReference.load(args.detector.parent / "he_reference.safetensors")
        tiles, others = (label_by_agreement(each, teacher, detector, he_reference) for each in (patches, crops))
        unlabelled = replace(base, affine=0.3, jitter=0.25)
        sources = [(tiles, unlabelled), painted] * 3 + [(others, unlabelled), breast]
    first, *rest = sources
    how |= {"validation": validation, "start": args.start, "mixed_precision": "bf16", "others": rest}
    if args.network != "hovernet":
        how["thresholds"] = published_thresholds(base.mpp) | {"min_area_px": round(MARKER_UM2 / base.mpp**2)}
    train_hovernet(*first, args.output, **how)
    if args.network == "selftrained":
        average_with_start(args.output / WEIGHTS, args.start)
    if args.network == "hovernet":
        StainReference.fit(Patches(training), "he").save(args.output / "he_reference.safetensors")


def brca_points(root: Path) -> tuple[list[KeypointSample], list[str]]:
    """BRCA-M2C's part `train` without the patients of `val`, and the patient of each sample."""
    samples, held_out = BRCAM2C(root, "train"), {*BRCAM2C(root, "val").groups}
    kept = [i for i, group in enumerate(samples.groups) if group not in held_out]
    return [samples[i] for i in kept], [samples.groups[i] for i in kept]


def label_by_agreement(
    patches: Sequence[Patch], teacher: HoVerNet, detector: HoVerNet, he_reference: StainReference
) -> list[InstanceSample]:
    """Label IHC by three teachers: one for IHC (weight 2), and one for H&E after `od` and after `macenko` (1 each)."""
    references = {"he_reference": he_reference, "ihc_reference": StainReference.fit(patches, "ihc")}
    labelled = []
    for patch in tqdm(patches, "IHC"):
        recoloured = [TRANSLATIONS[name].run(patch, "nuclear", references.__getitem__) for name in ("od", "macenko")]
        views = [(patch, teacher, 2.0), *((view, detector, 1.0) for view in recoloured)]
        labelled.append(label_by_teachers(patch, views, patch.name))
    return labelled


def average_with_start(path: Path, start: Path) -> None:
    """Average trained weights with those before, for other domains (Wortsman et al. 2022, arXiv:2109.01903)."""
    net, before = HoVerNet.load(path), HoVerNet.load(start).state_dict()
    state = net.state_dict().items()
    net.load_state_dict({n: before[n].lerp(v, LEARNED) if v.is_floating_point() else v for n, v in state})
    details = {**net.provenance.details, "share_of_trained_weights": LEARNED}
    net.provenance = replace(net.provenance, details=details)
    net.save(path)


def endonuke_patches(root: Path, split: Path) -> tuple[list[Patch], tuple[str, ...]]:
    """Tiles of the part `train`, and the blocks of ids that they belong to."""
    tiles, parts = EndoNuke(root), read_split(split)
    patches = {tiles.ids[at]: tiles[at].patch for at in split_ids(tiles.ids, parts)["train"]}
    return list(patches.values()), parts["train"]


def read_crops(folder: Path) -> list[Patch]:
    """Images of Ki-67 whose file names state their scale."""
    paths = sorted(folder.glob("*Ki67*mpp.*"))
    return [read_patch(path, float(path.stem.rpartition("_")[2].removesuffix("mpp"))) for path in paths]


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    main()
