"""Crops around nuclei with the type of the nucleus in the centre."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data.samples import InstanceSample, KeypointSample
from ..imaging import map_points, resample

CROP_PX, CROP_MPP = 32, 0.5  # 16 microns: the nucleus and its close neighbours


@dataclass(frozen=True, slots=True)
class Crops:
    """Nuclei at the centre of small images.

    Attributes:
        images: uint8 (K, 32, 32, 3) at 0.5 microns per pixel.
        labels: int64 (K,), position of the nucleus's type in `types`.
        groups: str (K,), what a split must not tear (slide, patient, image).
        types: names of the types.

    Raises:
        ValueError: shapes disagree, or a label is no position in `types`.
    """

    images: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    types: tuple[str, ...]

    def __post_init__(self) -> None:
        count, size = len(self.labels), (CROP_PX, CROP_PX, 3)
        if self.images.shape != (count, *size) or self.images.dtype != np.uint8:
            raise ValueError(f"Crops: expected uint8 {(count, *size)}, found {self.images.dtype} {self.images.shape}")
        if len(self.groups) != count:
            raise ValueError(f"Crops: expected {count} groups, found {len(self.groups)}")
        if count and not 0 <= self.labels.min() <= self.labels.max() < len(self.types):
            found = f"{self.labels.min()} to {self.labels.max()}"
            raise ValueError(f"Crops: expected labels 0 to {len(self.types) - 1}, found {found}")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def counts(self) -> np.ndarray:
        """Number of crops of each type, int64 (C,)."""
        return np.bincount(self.labels, minlength=len(self.types))

    def take(self, index: np.ndarray) -> "Crops":
        """The crops at some positions, or where a mask holds."""
        return Crops(self.images[index], self.labels[index], self.groups[index], self.types)

    def joined(self, other: "Crops") -> "Crops":
        """These crops, then others of the same types (ValueError if they differ)."""
        if other.types != self.types:
            raise ValueError(f"Crops: expected types {', '.join(self.types)}, found {', '.join(other.types)}")
        names = "images", "labels", "groups"
        images, labels, groups = (np.concatenate([getattr(each, n) for each in (self, other)]) for n in names)
        return Crops(images, labels, groups, self.types)

    def check_complete(self, name: str) -> None:
        """Refuse to train without an example of each type; `name` begins the message.

        Raises:
            ValueError: a type has no crop.
        """
        if missing := [kind for kind, count in zip(self.types, self.counts, strict=True) if not count]:
            raise ValueError(f"{name}: expected crops of every type, found none of {', '.join(missing)}")


def nucleus_crops(
    samples: Sequence[InstanceSample | KeypointSample], types: Mapping[int, str], groups: Sequence[str] | None = None
) -> Crops:
    """Cut a crop around every nucleus whose type is listed.

    Each patch is resampled to 0.5 microns per pixel and mirrored beyond its borders.

    Args:
        samples: patches with outlines (the centre is the centroid) or points, of any scale; each is read once.
        types: name of each type number; nuclei of other types are left out.
        groups: group of each sample; default is its own group, or the name of its patch.

    Raises:
        ValueError: the numbers of groups and samples differ.
    """
    if groups is not None and len(groups) != len(samples):
        raise ValueError(f"nucleus_crops: expected a group for each of {len(samples)} samples, found {len(groups)}")
    place = {number: i for i, number in enumerate(types)}
    images, labels, owners = [np.zeros((0, CROP_PX, CROP_PX, 3), np.uint8)], list[int](), list[str]()
    for i, sample in enumerate(samples):
        scale = sample.patch.mpp / CROP_MPP
        padded = np.pad(resample(sample.patch.image, scale), ((CROP_PX,) * 2, (CROP_PX,) * 2, (0, 0)), "reflect")
        group = groups[i] if groups is not None else getattr(sample, "group", "") or sample.patch.name
        # The centre of 32 pixels lies between pixels 15 and 16.
        corners = np.rint(map_points(sample.xy, scale) + CROP_PX - (CROP_PX - 1) / 2).astype(int)
        for (x, y), kind in zip(corners, sample.types, strict=True):
            if int(kind) in place:
                images.append(padded[None, y : y + CROP_PX, x : x + CROP_PX])
                labels.append(place[int(kind)])
                owners.append(group)
    return Crops(np.concatenate(images), np.array(labels, np.int64), np.array(owners, str), tuple(types.values()))


def to_tensor(images: np.ndarray) -> Tensor:
    """uint8 (N, H, W, 3) to float32 (N, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_images(x: Tensor) -> np.ndarray:
    """Inverse of `to_tensor`, rounded and clipped."""
    scaled = (x.detach().float().cpu().permute(0, 2, 3, 1).numpy() + 1) * 127.5
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def check_size(images: Tensor) -> None:
    """Refuse images that are not (N, 3, 32, 32) (ValueError)."""
    if images.shape[1:] != (3, CROP_PX, CROP_PX):
        raise ValueError(f"expected images (N, 3, {CROP_PX}, {CROP_PX}), found {tuple(images.shape)}")
