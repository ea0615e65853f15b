"""Where the weights of the routes lie, loaded once when a route first asks for them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from ..config import best_device
from ..nuclei import HoVerNet, load_hovernet
from ..translation import Generator, StainReference, load_generator
from .fusion import Fusion

__all__ = [
    "FUSION",
    "HE_REFERENCE",
    "HE_TO_IHC",
    "HOVERNET",
    "IHC_REFERENCE",
    "IHC_TO_HE",
    "NETWORKS",
    "SELFTRAINED",
    "SUPERVISED",
    "SYNTHETIC",
    "Models",
]

HOVERNET = "hovernet.safetensors"
ROLES = ("synthetic", "selftrained", "supervised")  # folders of HoVer-Nets that no route takes for the one of H&E
SYNTHETIC, SELFTRAINED, SUPERVISED = (f"{role}/{HOVERNET}" for role in ROLES)
FUSION = "fusion.json"
IHC_TO_HE = "ihc_to_he.safetensors"
HE_TO_IHC = "he_to_ihc.safetensors"
HE_REFERENCE = "he_reference.safetensors"
IHC_REFERENCE = "ihc_reference.safetensors"

# Attribute of `Models` that holds the network, with its card, of each file.
NETWORKS = {
    HOVERNET: "hovernet",
    SYNTHETIC: "synthetic",
    SELFTRAINED: "selftrained",
    SUPERVISED: "supervised",
    IHC_TO_HE: "ihc_to_he",
    HE_TO_IHC: "he_to_ihc",
}

HOW_TO_GET = "make them with `histolib run --only 02,03` (or `histolib train`) and pass --weights with their folder"
SHIPPED = Path(__file__).resolve().parent.parent / "pretrained"


class Models:
    """The weights that routes need, found by file name in a folder or one level below it; on a GPU where there is one.

    Args:
        folders: searched in order; default the weights that ship with the library.
    """

    def __init__(self, *folders: str | Path) -> None:
        self.folders = tuple(Path(folder) for folder in folders) or (SHIPPED,)

    def find(self, name: str) -> Path | None:
        """The first file of that name, or None."""
        for folder in self.folders:
            below = (path for path in sorted(folder.glob(f"*/{name}")) if path.parent.name not in ROLES)
            for path in (folder / name, *below):
                if path.is_file():
                    return path
        return None

    def network(self, name: str) -> tuple[Any, dict[str, Any]]:
        """The network of a file, one of `NETWORKS`, and its card."""
        return getattr(self, NETWORKS[name])

    def card(self, name: str) -> dict[str, Any]:
        """The card of a network's file, one of `NETWORKS`."""
        return self.network(name)[1]

    @property
    def places(self) -> str:
        """The folders, for a message."""
        return ", ".join(str(folder) for folder in self.folders)

    def missing(self, needs: Iterable[str]) -> list[str]:
        """Which of these files are nowhere."""
        return [name for name in needs if self.find(name) is None]

    def require(self, needs: Iterable[str], what: str) -> None:
        """Raise a FileNotFoundError that says what lacks which files, and how to get them, if any is missing."""
        missing = self.missing(needs)
        if missing:
            raise FileNotFoundError(
                f"{what}: expected {', '.join(missing)} in {self.places}, found nothing; {HOW_TO_GET}"
            )

    @classmethod
    def open(cls, folder: Path | None) -> Models:
        """The weights in a folder, or those that ship where none is named.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        if folder is not None and not folder.is_dir():
            raise FileNotFoundError(f"{folder}: expected a folder of weights, found nothing")
        return cls(folder) if folder else cls()

    @cached_property
    def hovernet(self) -> tuple[HoVerNet, dict]:
        """The network that finds nuclei on H&E, and its card."""
        return self._on_device(HOVERNET)

    @cached_property
    def synthetic(self) -> tuple[HoVerNet, dict]:
        """The network that learnt from H&E translated to IHC, and its card."""
        return self._on_device(SYNTHETIC)

    @cached_property
    def selftrained(self) -> tuple[HoVerNet, dict]:
        """The network that went on learning from what the CycleGAN route found on unlabelled IHC, and its card."""
        return self._on_device(SELFTRAINED)

    @cached_property
    def supervised(self) -> tuple[HoVerNet, dict]:
        """The network that learnt from IHC's own labels, and its card."""
        return self._on_device(SUPERVISED)

    @cached_property
    def fusion(self) -> Fusion:
        """How the route `ensemble` merges others."""
        return Fusion.load(self.path(FUSION))

    @cached_property
    def ihc_to_he(self) -> tuple[Generator, dict]:
        """The generator that translates IHC to H&E, and its card."""
        generator, card = load_generator(self.path(IHC_TO_HE))
        return generator.to(best_device()), card

    @cached_property
    def he_to_ihc(self) -> tuple[Generator, dict]:
        """The generator of the way back, and its card."""
        generator, card = load_generator(self.path(HE_TO_IHC))
        return generator.to(best_device()), card

    @cached_property
    def he_reference(self) -> StainReference:
        """Colours of the H&E on which the network was trained."""
        return StainReference.load(self.path(HE_REFERENCE))

    @cached_property
    def ihc_reference(self) -> StainReference:
        """Colours of unlabelled IHC, for the one global gain of the route `od`."""
        return StainReference.load(self.path(IHC_REFERENCE))

    def _on_device(self, name: str) -> tuple[HoVerNet, dict]:
        net, card = load_hovernet(self.path(name))
        return net.to(best_device()), card

    def path(self, name: str) -> Path:
        """The first file of that name, or a FileNotFoundError that says how to get it."""
        path = self.find(name)
        if path is None:
            raise FileNotFoundError(f"{name}: expected these weights in {self.places}, found nothing; {HOW_TO_GET}")
        return path
