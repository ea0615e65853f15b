"""Nucleus types on real tissue: training sets with and without synthetic crops, GAN quality, claims about GANs.

    python -m histolib.experiments.nucleus_types --brca DIR --consep DIR --endonuke DIR --work runs/nucleus_types

Every finished unit (a GAN with its quality, a classifier with its probabilities) has its own JSON in --work, so the
same command continues after an interruption. The part `val` selects the GAN family, the part `test` gives all scores.
The results hold no pixel of a data set. Sets without a folder are left out.
"""

import argparse
import hashlib
import json
import logging
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import t as student

from ..config import Paths
from ..data import BRCAM2C, EndoNuke, InstanceTiles
from ..data.instance_tiles import consep_images
from ..data.splits import in_groups, read_split, split_ids
from ..ensemble import Models, tile_blocks
from ..imaging import Patch
from ..io import file_digest, write_json
from ..metrics import frechet_distance, kernel_distance
from ..metrics.distribution import feature_spread, half_size, inception_features, inception_network
from ..nuclei import HoVerNet, encoder_features
from ..synthesis import ARMS, CropGenerator, classification_scores, nucleus_crops, train_classifier, train_gan
from ..synthesis.classifier import classify, training_set
from ..synthesis.crops import CROP_MPP, CROP_PX, Crops
from ..synthesis.evaluation import nearest, pooled, precision_recall
from ..synthesis.gans import FAMILIES
from ..synthesis.settings import CLASSIFIERS, GANS, ClassifierSettings, GANSettings
from ..synthesis.training import WEIGHTS
from .train_pretrained import brca_points

logger = logging.getLogger(__name__)
Parts = Mapping[str, Crops]
REFERENCE = "sampler and augmentation"
COUNT = 500  # crops that are compared with as many others
ASKED = 100  # drawings of each type that a classifier names
CLAIMS: dict[str, dict[str, Any]] = {
    "base": {},
    "batch of 64 instead of 32": {"batch_size": 64},
    "twice the steps": {},
    "latent vector of 128 instead of 32": {"latent": 128},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "spectral normalisation": {"spectral_norm": True},
    "discriminator at twice the rate": {"lr_discriminator": 2 * GANS["quick"].lr_generator},
    "ACGAN": {"family": "acgan"},
    "WGAN-GP": {"family": "wgan"},
    "SNGAN": {"family": "sngan"},
}
RULE = (
    "held: the 95 % t interval of the paired change over seeds lies on the better side of 0 (KID lower, macro-F1 "
    "higher); did not hold: on the worse side; undecided: it contains 0"
)


@dataclass(frozen=True)
class Study:
    """What all units of a run share."""

    work: Path
    gan: GANSettings
    classifier: ClassifierSettings
    seeds: range
    extractors: Mapping[str, Callable[[Crops], np.ndarray]]  # image features by name

    def folder(self, name: str, settings: Any) -> Path:
        """Folder of a unit or a training; its name depends on the settings."""
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
        return self.work / f"{name.replace(' ', '-')}-{digest}"

    def unit(self, name: str, settings: Any, compute: Callable[[Path], Any]) -> Any:
        """Result of `compute(folder)`, which is stored in the folder."""
        folder = self.folder(name, settings)
        file, start = folder / "unit.json", time.process_time()
        if not file.is_file():
            write_json(file, {"result": compute(folder), "seconds": time.process_time() - start})
            logger.info("%s: %.0f s of CPU", folder.name, time.process_time() - start)
        return json.loads(file.read_text())["result"]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    for name in READERS:
        add(f"--{name}", type=Path, metavar="FOLDER", help="folder in the layout of the reader")
    add("--work", type=Path, required=True, help="folder of the units")
    add("--output", type=Path, default=Path("data/results/nucleus_types.json"))
    add("--claims-on", choices=READERS, default="consep", help="set of the claims (default: %(default)s)")
    add("--seeds", type=int, default=3)
    add("--gan-steps", type=int, default=1000, help="a quarter of them for the claims (default: %(default)s)")
    add("--classifier-steps", type=int, default=300)
    args = vars(parser.parse_args(argv))
    revision = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Paths.find().root, capture_output=True, text=True)
    torch.set_num_threads(1)  # the results do not depend on the number of cores
    weights = Models().path("hovernet")
    net = HoVerNet.load(weights)

    @lru_cache(maxsize=4)  # the same real crops are compared with every GAN
    def encoded(pixels: bytes) -> np.ndarray:
        images = np.frombuffer(pixels, np.uint8).reshape(-1, CROP_PX, CROP_PX, 3)
        return encoder_features([Patch(image, CROP_MPP, "") for image in images], net, batch_size=64)

    extractors: dict[str, Callable[[Crops], np.ndarray]] = {"encoder": lambda crops: encoded(crops.images.tobytes())}
    try:
        inception_network()
        extractors["inception"] = lambda crops: inception_features(list(crops.images))
    except (ValueError, FileNotFoundError) as error:
        logger.warning("KID and FID by the encoder only: %s", error)
    gan = replace(GANS["quick"], steps=args["gan_steps"])
    classifier = replace(CLASSIFIERS["quick"], steps=args["classifier_steps"])
    study = Study(args["work"], gan, classifier, range(args["seeds"]), extractors)
    data = {name: READERS[name](args[name]) for name in READERS if args[name]}
    results: dict[str, Any] = {"sets": {name: compare(study, name, parts) for name, parts in data.items()}}
    if args["claims_on"] in data:
        results["claims"] = claims(study, args["claims_on"], data[args["claims_on"]])
    seconds = [json.loads(file.read_text())["seconds"] for file in study.work.glob("*/unit.json")]
    results["protocol"] = {
        "commit": revision.stdout.strip() or None, "seeds": list(study.seeds), "gan": asdict(gan),
        "classifier": asdict(classifier), "encoder": {"file": weights.name, "sha256": file_digest(weights)},
        "features": list(extractors), "crops_compared": COUNT, "cpu_minutes": sum(seconds) / 60,
        "scale": "features of the encoder are centred and divided by their spread over the real crops",
        "intervals": "95 %, over blocks of the test part (patients, images, ten neighbouring tiles) and seeds",
        "differences": f"paired by nucleus and seed, minus those of {REFERENCE!r} and 'plain'",
        "family": "lowest KID between drawings and the part val, one seed",
    }  # fmt: skip
    write_json(args["output"], results)


def read_brca(root: Path) -> Parts:
    """The published val is test; of the published train without its patients, every fifth patient is val."""
    (samples, patients), test = brca_points(root), BRCAM2C(root, "val")
    crops = nucleus_crops(samples, BRCAM2C.types, patients)
    val = np.isin(crops.groups, sorted(set(patients))[::5])
    tested = nucleus_crops(test, BRCAM2C.types, test.groups)
    return {"train": crops.take(~val), "val": crops.take(val), "test": tested}


def read_consep(root: Path) -> Parts:
    """The split of all other results on CoNSeP, by image."""
    images, parts = consep_images(root), read_split(Paths.find().data / "splits" / "consep.json")
    return {part: nucleus_crops(in_groups(images, groups), InstanceTiles.types) for part, groups in parts.items()}


def read_endonuke(root: Path) -> Parts:
    """Training on the first run of ids, its last block as val, the other runs as test; groups are ten neighbours."""
    tiles = EndoNuke(root)
    parts, blocks = read_split(Paths.find().data / "splits" / "endonuke_1.json"), tile_blocks(tiles.ids)
    return {
        part: nucleus_crops([tiles[i] for i in at], EndoNuke.types, [blocks[i] for i in at])
        for part, at in split_ids(tiles.ids, parts).items()
    }


READERS: dict[str, Callable[[Path], Parts]] = {"brca": read_brca, "consep": read_consep, "endonuke": read_endonuke}


def compare(study: Study, name: str, parts: Parts) -> dict[str, Any]:
    """All arms on one data set, and the quality of the selected GAN."""
    types, families = parts["test"].types, {f: replace(study.gan, family=f) for f in FAMILIES}
    selection = {f: draw(study, name, parts, "val", gan)["encoder"]["kid"] for f, gan in families.items()}
    family = min(selection, key=lambda each: selection[each])
    gans = [replace(families[family], seed=seed) for seed in study.seeds]
    quality = [draw(study, name, parts, "test", gan) for gan in gans]
    runs = {arm: [train(study, name, parts, arm, gan) for gan in gans] for arm in ARMS}
    scores = {arm: [score(parts["test"], run) for run in each] for arm, each in runs.items()}
    measures = "macro_f1", "balanced_accuracy", "calibration_error", *(f"recall of {kind}" for kind in types)
    arms = {
        arm: {measure: pooled(each, measure) for measure in measures}
        | {"confusion": sum(one["confusion"] for one in each).tolist()}
        | {f"minus {other}": {m: pooled(each, m, scores[other]) for m in measures} for other in (REFERENCE, "plain")}
        for arm, each in scores.items()
    }
    named = np.sum([run["drawings"] for run in runs[REFERENCE]], axis=0).tolist()
    split = {
        part: {"groups": sorted(set(crops.groups.tolist())), "nuclei": dict(zip(types, crops.counts, strict=True))}
        for part, crops in parts.items()
    }
    about = {"family": family, "selection_kid": selection, "quality": quality, "drawings_named": named}
    return {"split": split, "types": types, "arms": arms, "gan": about | {"references": references(study, name, parts)}}


def draw(study: Study, name: str, parts: Parts, part: str, gan: GANSettings) -> dict[str, Any]:
    """Quality of the drawings of a GAN against real crops that it has not seen."""

    def compute(folder: Path) -> dict[str, Any]:
        shown = some(parts[part])
        made = generator(study, name, parts, gan).generate(np.sort(shown.labels), gan.seed)
        return quality(study, replace(made, groups=np.arange(len(made)).astype(str)), shown, parts, made.images)

    return study.unit(f"{name} drawings {part} {gan.family} {gan.seed}", [asdict(gan), part, described(parts)], compute)


def references(study: Study, name: str, parts: Parts) -> dict[str, Any]:
    """The same numbers for real training crops of the same types, and for crops of one colour.

    Nearest neighbours are those of the test crops in both.
    """
    shown = some(parts["test"])
    real = some(parts["train"], shown.counts)
    colour = replace(real, images=np.full_like(real.images, shown.images.mean((0, 1, 2)).astype(np.uint8)))

    def compared(kind: str, crops: Crops) -> Any:
        return study.unit(
            f"{name} {kind}", described(parts), lambda folder: quality(study, crops, shown, parts, shown.images)
        )

    return {"training crops": compared("training crops", real), "one colour": compared("one colour", colour)}


def quality(study: Study, crops: Crops, shown: Crops, parts: Parts, images: np.ndarray) -> dict[str, Any]:
    """KID, FID, precision and recall of crops against `shown`, and the distance of images to the training crops.

    Features of the encoder are centred and divided by their spread over `shown`: as they are, they vary so little that
    the kernel does not tell noise from crops.
    """
    position, distance = nearest(images, parts["train"].images)
    results: dict[str, Any] = {
        "nearest": {"median": float(np.median(distance)), "p5": float(np.percentile(distance, 5)),
                    "smallest": float(distance.min()), "distinct": len(np.unique(position)), "crops": len(images)},
    }  # fmt: skip
    groups = crops.groups.tolist(), shown.groups.tolist()
    size = half_size(some(parts["train"], shown.counts).groups.tolist(), groups[1])
    for name, extract in study.extractors.items():
        real, other = extract(shown), extract(crops)
        if name == "encoder":
            centre, spread = real.mean(0), np.sqrt(real.var(0).mean())
            real, other = (real - centre) / spread, (other - centre) / spread
        halves = feature_spread([other, real], groups, kernel_distance, size)
        precision, recall = precision_recall(real, other)
        results[name] = {"kid": kernel_distance(other, real), "kid_ci95": halves["ci95"],
                         "fid": frechet_distance(other, real), "precision": precision, "recall": recall}  # fmt: skip
    return results


def train(study: Study, name: str, parts: Parts, arm: str, gan: GANSettings) -> dict[str, Any]:
    """Probabilities of the test crops by a classifier, and the types that it sees in drawings."""
    settings = replace(study.classifier, seed=gan.seed)

    def compute(folder: Path) -> dict[str, Any]:
        drawer = generator(study, name, parts, gan)
        crops = training_set(parts["train"], ARMS[arm], lambda labels: drawer.generate(labels, gan.seed))
        net = train_classifier(crops, ARMS[arm], settings, folder, resume=True, progress=False)
        asked = np.repeat(np.arange(len(crops.types)), ASKED)
        called = classify(net, drawer.generate(asked, gan.seed + 1000)).argmax(1)
        named = [np.bincount(called[asked == i], minlength=len(crops.types)).tolist() for i in np.unique(asked)]
        return {"test": classify(net, parts["test"]).tolist(), "drawings": named}

    return study.unit(f"{name} {arm} {gan.seed}", [arm, asdict(settings), asdict(gan), described(parts)], compute)


def claims(study: Study, name: str, parts: Parts) -> dict[str, Any]:
    """Effect of single changes to a DCGAN on KID and on the macro-F1 of the arm "balanced by synthetic".

    "minus plain" is the paired difference in macro-F1 from the arm "plain", over blocks and seeds.
    """
    steps = study.gan.steps // 4
    base = replace(study.gan, family="dcgan", steps=steps, lr_discriminator=study.gan.lr_generator)

    def scored(arm: str, gans: Sequence[GANSettings]) -> list[dict[str, Any]]:
        return [score(parts["test"], train(study, name, parts, arm, gan)) for gan in gans]

    plain, table = scored("plain", [replace(base, seed=seed) for seed in study.seeds]), dict[str, dict[str, Any]]()
    for claim, change in CLAIMS.items():
        if claim == "twice the steps":
            change = {"steps": 2 * steps}
        gans = [replace(base, **change, seed=seed) for seed in study.seeds]
        runs = scored("balanced by synthetic", gans)
        kid = [draw(study, name, parts, "test", gan)["encoder"]["kid"] for gan in gans]
        table[claim] = {"minus plain": pooled(runs, "macro_f1", plain)}
        for key, values in {"kid": kid, "macro_f1": [one["macro_f1"][0] for one in runs]}.items():
            table[claim][key] = {"mean": np.mean(values), "low": min(values), "high": max(values), "seeds": values}
            if claim != "base":
                table[claim][key] |= changed(values, table["base"][key]["seeds"], key == "kid")
    return {"set": name, "base": asdict(base), "rule": RULE, "table": table}


def changed(values: Sequence[float], base: Sequence[float], lower_is_better: bool) -> dict[str, Any]:
    """Mean paired change over seeds with its 95 % t interval, and the verdict by `RULE`."""
    change = np.subtract(values, base)
    half = student.ppf(0.975, len(change) - 1) * change.std(ddof=1) / np.sqrt(len(change))
    low, high = change.mean() - half, change.mean() + half
    better, worse = (high < 0, low > 0) if lower_is_better else (low > 0, high < 0)
    verdict = "held" if better else "did not hold" if worse else "undecided"
    return {"change": [change.mean(), low, high], "verdict": verdict}


def generator(study: Study, name: str, parts: Parts, gan: GANSettings) -> CropGenerator:
    """The trained generator, trained if it is missing."""
    folder = study.folder(f"{name} gan {gan.family} {gan.seed}", [asdict(gan), described(parts)])
    if not (folder / WEIGHTS).is_file():
        train_gan(parts["train"], gan, folder, resume=True, progress=False)
    return CropGenerator.load(folder / WEIGHTS)


def some(crops: Crops, counts: np.ndarray | None = None) -> Crops:
    """`COUNT` random crops, or as many of each type as `counts` says and there are."""
    order = np.random.default_rng(0).permutation(len(crops))
    if counts is not None:
        order = np.concatenate([order[crops.labels[order] == i][:n] for i, n in enumerate(counts)])
    return crops.take(order[:COUNT])


def score(test: Crops, run: Mapping[str, Any]) -> dict[str, Any]:
    """Scores of one classifier on the test part."""
    return classification_scores(np.array(run["test"]), test.labels, test.groups.tolist(), test.types)


def described(parts: Parts) -> list[list[int]]:
    """Numbers of crops of each type and part, which tell data sets apart."""
    return [crops.counts.tolist() for crops in parts.values()]


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    main()
