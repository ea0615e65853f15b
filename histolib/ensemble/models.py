"""Lookup of model weights by role, in the pretrained folder or in folders of your own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch

from ..config import best_device
from ..io import file_digest
from ..nuclei import HoVerNet
from ..translation import Generator, StainReference
from .fusion import Fusion

PRETRAINED = Path(__file__).resolve().parent.parent / "pretrained"
IHC_NETWORKS = ("synthetic", "selftrained", "supervised")  # HoVer-Nets for IHC, each in a folder of its own
LOADERS: dict[str, Callable[[Path], Any]] = {
    **dict.fromkeys(("hovernet", *IHC_NETWORKS), HoVerNet.load),
    **dict.fromkeys(("ihc_to_he", "he_to_ihc"), Generator.load),
    **dict.fromkeys(("he_reference", "ihc_reference"), StainReference.load),
    "fusion": Fusion.load,
}
FILES = {role: f"{role}.safetensors" for role in LOADERS}
FILES |= {role: f"{role}/hovernet.safetensors" for role in IHC_NETWORKS} | {"fusion": "fusion.json"}
HOW_TO_GET = "train them with `histolib run --only 02,03` or `histolib train`, and pass --weights with their folder"


class Models:
    """Model weights by role: networks on the GPU if there is one, stain references, and the fusion.

    Each role has a file name (`FILES`), which is searched in every folder and in its subfolders. Weights are read on
    the first `load` of their role and kept.

    Args:
        folders: searched in order; default: the pretrained weights of the library.
        precision: of HoVer-Nets; default: bfloat16 where the device computes with it, else float32.

    Raises:
        FileNotFoundError: a folder does not exist.
    """

    def __init__(self, *folders: str | Path, precision: torch.dtype | None = None) -> None:
        self.folders = tuple(Path(folder) for folder in folders) or (PRETRAINED,)
        self.precision = precision or best_precision()
        self._loaded: dict[str, Any] = {}
        for folder in self.folders:
            if not folder.is_dir():
                raise FileNotFoundError(f"{folder}: expected a folder of weights, found nothing")

    def load(self, role: str) -> Any:
        """The model of a role.

        Raises:
            FileNotFoundError: its file is missing; the message says how to get it.
            ValueError: its file is damaged or holds something else.
        """
        if role not in self._loaded:
            model = LOADERS[role](self.path(role))
            if isinstance(model, HoVerNet):
                model.precision = self.precision
            self._loaded[role] = model.to(best_device()).eval() if hasattr(model, "parameters") else model
        return self._loaded[role]

    def path(self, role: str) -> Path:
        """The file of a role; raises as `require`."""
        self.require([role], "models")
        return next(self._found(role))

    def missing(self, roles: Iterable[str]) -> list[str]:
        """File names that none of the folders holds."""
        return [FILES[role] for role in roles if next(self._found(role), None) is None]

    def require(self, roles: Iterable[str], what: str) -> None:
        """Check that all files are there.

        Raises:
            FileNotFoundError: `what` lacks files; the message names them and says how to get them.
        """
        missing = self.missing(roles)
        if missing:
            places = ", ".join(str(folder) for folder in self.folders)
            raise FileNotFoundError(f"{what}: expected {', '.join(missing)} in {places}, found nothing; {HOW_TO_GET}")

    def describe(self, roles: Iterable[str]) -> dict[str, dict[str, str]]:
        """For result files: the digest of each role's file, and what a network was trained on."""
        described = {}
        for role in roles:
            described[role] = {"digest": file_digest(self.path(role))}
            if hasattr(self.load(role), "provenance"):
                described[role]["trained_on"] = self.load(role).provenance.trained_on
        return described

    def _found(self, role: str) -> Iterator[Path]:
        name = FILES[role]
        for folder in self.folders:
            below = (path for path in sorted(folder.glob(f"*/{name}")) if path.parent.name not in IHC_NETWORKS)
            yield from (path for path in (folder / name, *below) if path.is_file())


def best_precision() -> torch.dtype:
    """Bfloat16 where the GPU or the processor (AMX or AVX512-BF16) computes with it, else float32."""
    if best_device() == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:
        found: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.10 and newer
        fast = found.get("amx_bf16", False) or found.get("avx512_bf16", False)
    return torch.bfloat16 if fast else torch.float32


@cache
def pretrained_models() -> Models:
    """The pretrained weights, the same object on every call, so that no file is read twice."""
    return Models()
