"""Nucleus types on real tissue: training sets with and without synthetic crops, GAN quality, claims about GANs.

    python -m histolib.experiments.nucleus_types --brca DIR --consep DIR --endonuke DIR --work runs/nucleus_types

Every finished unit (a GAN, a classifier) has its own JSON in --work, so the same command continues after an
interruption. The part `val` selects the GAN family, the part `test` gives all scores. No pixel is stored.
"""

import argparse
import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
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
from ..io import commit_of, file_digest, write_json
from ..metrics import frechet_distance, kernel_distance
from ..metrics.distribution import feature_spread, half_size, inception_features, inception_network
from ..nuclei import HoVerNet, encoder_features
from ..synthesis import ARMS, CropGenerator, classification_scores, nucleus_crops, train_classifier, train_gan
from ..synthesis.classifier import classify, training_set
from ..synthesis.crops import CROP_MPP, Crops
from ..synthesis.evaluation import nearest, pooled, precision_recall
from ..synthesis.gans import FAMILIES
from ..synthesis.settings import CLASSIFIERS, GANS, ClassifierSettings, GANSettings
from ..synthesis.training import WEIGHTS
from .train_pretrained import brca_points

logger = logging.getLogger(__name__)
Parts = Mapping[str, Crops]
REFERENCE = "sampler and augmentation"
COUNT, ASKED = 500, 100  # crops compared with as many others; drawings of each type that a classifier names
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
RULE = "held: the 95 % t interval of the paired change is on the better side of 0; did not hold: on the worse side"


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

    def unit(self, name: str, settings: Any, compute: Callable[[], Any]) -> Any:
        """Result of `compute()`, which is stored in the folder."""
        folder = self.folder(name, settings)
        file, start = folder / "unit.json", time.process_time()
        if not file.is_file():
            write_json(file, {"result": compute(), "seconds": time.process_time() - start})
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
    torch.set_num_threads(1)  # the results do not depend on the number of cores
    weights = Models().path("hovernet")
    net = HoVerNet.load(weights)
    extractors: dict[str, Callable[[Crops], np.ndarray]] = {
        "encoder": lambda crops: encoder_features([Patch(x, CROP_MPP, "") for x in crops.images], net, batch_size=64)
    }
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
        "commit": commit_of(Paths.find().root), "seeds": list(study.seeds), "gan": asdict(gan),
        "classifier": asdict(classifier), "encoder": {"file": weights.name, "sha256": file_digest(weights)},
        "features": list(extractors), "crops_compared": COUNT, "cpu_minutes": sum(seconds) / 60,
        "scale": "features of the encoder are centred and divided by their spread over the real crops",
        "intervals": "95 %, over blocks of the test part (patients, images, ten neighbouring tiles) and seeds",
        "family": "lowest KID between drawings and the part val, one seed",
    }  # fmt: skip
    write_json(args["output"], results)


def read_brca(root: Path) -> Parts:
    """The published val is test; of the published train without its patients, every fifth patient is val."""
    (samples, patients), test = brca_points(root), BRCAM2C(root, "val")
    crops = nucleus_crops(samples, BRCAM2C.types, patients)
    val = np.isin(crops.groups, sorted(set(patients))[::5])
    return {"train": crops.take(~val), "val": crops.take(val), "test": nucleus_crops(test, BRCAM2C.types, test.groups)}


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
    scores = {arm: [train(study, name, parts, arm, gan) for gan in gans] for arm in ARMS}
    measures = "macro_f1", "balanced_accuracy", "calibration_error", *(f"recall of {kind}" for kind in types)
    arms = {
        arm: {measure: pooled(each, measure) for measure in measures}
        | {"confusion": sum(one["confusion"] for one in each).tolist()}
        | {f"minus {other}": {m: pooled(each, m, scores[other]) for m in measures} for other in (REFERENCE, "plain")}
        for arm, each in scores.items()
    }
    split = {
        part: {"groups": sorted(set(crops.groups.tolist())), "nuclei": dict(zip(types, crops.counts, strict=True))}
        for part, crops in parts.items()
    }
    about = {
        "family": family, "selection_kid": selection, "references": references(study, name, parts),
        "quality": [draw(study, name, parts, "test", gan) for gan in gans],
        "drawings_named": np.sum([one["drawings"] for one in scores[REFERENCE]], axis=0).tolist(),
    }  # fmt: skip
    return {"split": split, "types": types, "arms": arms, "gan": about}


def draw(study: Study, name: str, parts: Parts, part: str, gan: GANSettings) -> dict[str, Any]:
    """Quality of the drawings of a GAN against real crops that it has not seen."""

    def compute() -> dict[str, Any]:
        shown = some(parts[part])
        made = generator(study, name, parts, gan).generate(np.sort(shown.labels), gan.seed)
        return quality(study, replace(made, groups=np.arange(len(made)).astype(str)), shown, parts, made.images)

    return study.unit(f"{name} drawings {part} {gan.family} {gan.seed}", [asdict(gan), part, described(parts)], compute)


def references(study: Study, name: str, parts: Parts) -> dict[str, Any]:
    """The same numbers for training crops and crops of one colour; the nearest neighbours are those of test crops."""
    shown = some(parts["test"])
    real = some(parts["train"], shown.counts)
    colour = replace(real, images=np.full_like(real.images, shown.images.mean((0, 1, 2)).astype(np.uint8)))
    return {
        kind: study.unit(f"{name} {kind}", described(parts), partial(quality, study, crops, shown, parts, shown.images))
        for kind, crops in {"training crops": real, "one colour": colour}.items()
    }


def quality(study: Study, crops: Crops, shown: Crops, parts: Parts, images: np.ndarray) -> dict[str, Any]:
    """KID, FID, precision and recall of crops against `shown`, and the distance of images to the training crops.

    Features of the encoder are centred and divided by their spread over `shown`; otherwise KID hardly detects noise.
    """
    position, distance = nearest(images, parts["train"].images)
    near = dict(zip(("smallest", "p5", "median"), np.percentile(distance, (0, 5, 50)), strict=True))
    results: dict[str, Any] = {"nearest": near | {"distinct": len(np.unique(position)), "crops": len(images)}}
    groups = crops.groups.tolist(), shown.groups.tolist()
    size = half_size(some(parts["train"], shown.counts).groups.tolist(), groups[1])
    for name, extract in study.extractors.items():
        real, other = extract(shown), extract(crops)
        if name == "encoder":
            centre, spread = real.mean(0), np.sqrt(real.var(0).mean())
            real, other = (real - centre) / spread, (other - centre) / spread
        precision, recall = precision_recall(real, other)
        results[name] = {
            "kid": kernel_distance(other, real), "fid": frechet_distance(other, real), "precision": precision,
            "kid_ci95": feature_spread([other, real], groups, kernel_distance, size)["ci95"], "recall": recall,
        }  # fmt: skip
    return results


def train(study: Study, name: str, parts: Parts, arm: str, gan: GANSettings) -> dict[str, Any]:
    """Scores of a classifier on the part test, and "drawings": the types that it sees in them, asked by named type."""
    settings, test = replace(study.classifier, seed=gan.seed), parts["test"]
    unit = f"{name} {arm} {gan.seed}", [arm, asdict(settings), asdict(gan), described(parts)]

    def compute() -> dict[str, Any]:
        drawer = generator(study, name, parts, gan)
        crops = training_set(parts["train"], ARMS[arm], lambda labels: drawer.generate(labels, gan.seed))
        net = train_classifier(crops, ARMS[arm], settings, study.folder(*unit), resume=True, progress=False)
        asked = np.repeat(np.arange(len(crops.types)), ASKED)
        called = classify(net, drawer.generate(asked, gan.seed + 1000)).argmax(1)
        named = [np.bincount(called[asked == i], minlength=len(crops.types)).tolist() for i in np.unique(asked)]
        return {"test": classify(net, test).tolist(), "drawings": named}

    run = study.unit(*unit, compute)
    scores = classification_scores(np.array(run["test"]), test.labels, test.groups.tolist(), test.types)
    return scores | {"drawings": run["drawings"]}


def claims(study: Study, name: str, parts: Parts) -> dict[str, Any]:
    """Effect of single changes to a DCGAN on KID and macro-F1 ("balanced by synthetic", also paired minus "plain")."""
    steps = study.gan.steps // 4
    base = replace(study.gan, family="dcgan", steps=steps, lr_discriminator=study.gan.lr_generator)
    plain = [train(study, name, parts, "plain", replace(base, seed=seed)) for seed in study.seeds]
    table: dict[str, dict[str, Any]] = {}
    for claim, change in CLAIMS.items():
        longer = {"steps": 2 * steps} if claim == "twice the steps" else {}
        gans = [replace(base, **{**change, **longer, "seed": seed}) for seed in study.seeds]
        runs = [train(study, name, parts, "balanced by synthetic", gan) for gan in gans]
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
    verdict = "undecided" if not (low > 0 or high < 0) else "held" if (high < 0) == lower_is_better else "did not hold"
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


def described(parts: Parts) -> list[list[int]]:
    """Numbers of crops of each type and part, which tell data sets apart."""
    return [crops.counts.tolist() for crops in parts.values()]


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    main()
