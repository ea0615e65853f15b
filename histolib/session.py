"""What every notebook begins with: its checked parameters, its folders, and a place for its figures."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from . import __version__
from .config import Paths, Profile, best_device, profile, seed_everything
from .course import check_injected
from .parameters import check_ranges
from .viz import save_figure

__all__ = ["Session", "begin"]

REAL_DATA = "HISTOLIB_REAL_DATA"


@dataclass(frozen=True, slots=True)
class Session:
    """Folders and size of one run of a notebook.

    Attributes:
        profile: how much work to do.
        seed: of everything random.
        data: folder of data sets.
        output: folder of all that the run makes.
        real: folder of real tiles to compare the phantom with, None where there is none.
    """

    profile: Profile
    seed: int
    data: Path
    output: Path
    real: Path | None

    def folder(self, name: str) -> Path:
        """A folder of the run, made where it is missing."""
        path = self.output / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def keep(self, figure: Figure, name: str, committed: bool = False) -> Figure:
        """Save a figure of the presentation as PNG and PDF, and hand it back to be shown.

        Args:
            figure: to save; below what was made on the quick profile the saved one says so.
            name: `NN_what`, after the notebook.
            committed: it shows committed results, which no profile made.
        """
        source = "committed results" if committed else f"{self.profile.name} profile"
        about = {"profile": "" if committed else self.profile.name, "seed": self.seed, "shows": source}
        note = f"{source}, phantom tissue unless said otherwise" if source == "quick profile" else ""
        save_figure(figure, name, self.output / "figures", about=about, note=note)
        return figure


def begin(parameters: Mapping[str, Any]) -> Session:
    """Start a notebook: seed, find the folders, and report versions and device.

    Args:
        parameters: the notebook's `globals()`, with `profile`, `output_dir`, `seed` and IPython's `In`.

    Raises:
        ValueError: the profile is unknown, papermill injected a parameter that the notebook does not document, or the
            seed or a radius is out of range.
    """
    import torch

    check_injected(parameters.get("In", ()))
    check_ranges(parameters)
    _show_small_pictures()
    size = profile(parameters["profile"])
    paths = Paths.find()
    output = Path(parameters["output_dir"]).expanduser() if parameters["output_dir"] else paths.runs / size.name
    seed_everything(parameters["seed"])
    real = os.environ.get(REAL_DATA)
    print(
        f"histolib {__version__}, Python {platform.python_version()}, torch {torch.__version__.split('+')[0]}, "
        f"device {best_device()}, profile {size.name}, seed {parameters['seed']}"
    )
    return Session(size, parameters["seed"], paths.data, output, Path(real) if real else None)


def _show_small_pictures() -> None:
    """Show figures as JPEG at screen size, so that an executed notebook full of tissue stays small enough to share."""
    from IPython import get_ipython

    if get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("jpeg", dpi=72, pil_kwargs={"quality": 80})
