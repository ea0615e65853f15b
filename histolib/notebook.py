"""First cell of every notebook: checked parameters, folders, data sets, and saved figures."""

import ast
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from . import __version__, viz
from .config import Paths, Profile, best_device, check_parameters, phantom_folder, profile
from .data import BCI, EndoNuke, PanNuke, phantom

REAL, PHANTOM = "real folder", "PHANTOM"  # where a data set comes from
INJECTED_HEAD = "# Parameters\n"  # first line of the cell that papermill injects


@dataclass(frozen=True, slots=True)
class Datasets:
    """The three data sets of the course.

    Attributes:
        bci, pannuke, endonuke: readers of the real data or of its phantom.
        sources: name of a set -> `REAL` or `PHANTOM`.
    """

    bci: BCI
    pannuke: PanNuke
    endonuke: EndoNuke
    sources: Mapping[str, str]

    @property
    def phantom(self) -> bool:
        """Whether at least one of the sets is a phantom."""
        return PHANTOM in self.sources.values()


@dataclass(frozen=True, slots=True)
class Session:
    """Profile and folders of one run of a notebook.

    Attributes:
        profile: amount of work.
        seed: random seed.
        data: folder of the data sets.
        output: folder of all results of the run.
    """

    profile: Profile
    seed: int
    data: Path
    output: Path

    def folder(self, name: str) -> Path:
        """A folder below `output`, created if needed."""
        path = self.output / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def save_figure(self, figure: Figure, name: str, committed: bool = False) -> Figure:
        """Save a figure as PNG and PDF in `output/figures`, and return it for display.

        Args:
            figure: figure to save; on the quick profile the saved PNG carries a note.
            name: `NN_name`, where NN is the number of the notebook.
            committed: the figure shows committed results, which do not depend on the profile.
        """
        source = "committed results" if committed else f"{self.profile.name} profile"
        about = {"profile": "" if committed else self.profile.name, "seed": self.seed, "shows": source}
        note = f"{source}, phantom tissue unless said otherwise" if source == "quick profile" else ""
        viz.save_figure(figure, name, self.output / "figures", about=about, note=note)
        return figure


def start(parameters: Mapping[str, Any]) -> Session:
    """Start a notebook: check parameters, set the random seed, find the folders, print versions and device.

    Args:
        parameters: the notebook's `globals()`, with `profile`, `output_dir`, `seed` and IPython's `In`.

    Raises:
        ValueError: the profile is unknown, papermill injected an undocumented parameter, or the seed or a radius is
            out of range.
    """
    import torch
    from accelerate.utils import set_seed

    check_injected(parameters.get("In", ()))
    ranged = {name: parameters[name] for name in ("seed", "radius_um") if name in parameters}
    check_parameters(ranged, ranged)
    _show_small_figures()
    size, paths = profile(parameters["profile"]), Paths.find()
    output = Path(parameters["output_dir"]).expanduser() if parameters["output_dir"] else paths.runs / size.name
    set_seed(parameters["seed"] % 2**32)  # NumPy's old generator takes no larger one
    versions = f"histolib {__version__}, Python {platform.python_version()}, torch {torch.__version__.split('+')[0]}"
    print(f"{versions}, device {best_device()}, profile {size.name}, seed {parameters['seed']}")
    return Session(size, parameters["seed"], paths.data, output)


def open_datasets(data: str | Path, size: Profile, data_dir: str = "", seed: int = 0) -> Datasets:
    """Open `bci`, `pannuke` and `endonuke` in `data_dir`; a phantom stands in for each set that is missing there.

    Args:
        data: data folder of the course; phantoms go to `data/phantom/<profile>`.
        size: profile with the number of phantom patches.
        data_dir: folder of the real data sets in their official layouts; empty for phantoms only.
        seed: random seed of the phantom; each seed has its own folder.

    Raises:
        FileNotFoundError: `data_dir` holds none of the three sets, or a set is incomplete.
        ValueError: a reader cannot read its data set.
    """
    real, drawn = Path(data_dir).expanduser(), phantom_folder(data, size, seed)
    sets: dict[str, tuple[Any, Callable[[Path], Path]]] = {
        "bci": (BCI, lambda root: phantom.write_bci(root, *size.bci_pairs, size.bci_px, seed)),
        "pannuke": (PanNuke, lambda root: phantom.write_pannuke(root, size.pannuke_per_fold, seed)),
        "endonuke": (EndoNuke, lambda root: phantom.write_endonuke(root, size.endonuke_runs, seed)),
    }
    found = [name for name in sets if data_dir and (real / name).is_dir()]
    if data_dir and not found:
        raise FileNotFoundError(f"{real}: expected a folder with {', '.join(sets)} or some of them, found none")
    opened = {n: read(real / n if n in found else write(drawn / n)) for n, (read, write) in sets.items()}
    return Datasets(**opened, sources={name: REAL if name in found else PHANTOM for name in sets})


def check_injected(history: Sequence[str]) -> None:
    """Refuse misspelt or wrongly typed parameters inside a notebook; papermill itself only warns.

    papermill injects its cell right after the parameters cell, so the last cell before it that contains only literal
    assignments has the known names. Without an injected cell (Jupyter, Colab) nothing is checked.

    Args:
        history: the notebook's `In`, sources of the executed cells.

    Raises:
        ValueError: papermill injected an unknown name or a value of another type.
    """
    known: dict[str, Any] = {}
    for source in history:
        if source.startswith(INJECTED_HEAD):
            check_parameters(_literals(source), known, "papermill")
        else:
            known = _literals(source) or known


def _literals(source: str) -> dict[str, Any]:
    """Values by name if a cell has only `name = literal` lines, else nothing."""
    try:
        lines: list[Any] = ast.parse(source).body
        return {line.targets[0].id: ast.literal_eval(line.value) for line in lines}
    except (SyntaxError, ValueError, TypeError, AttributeError):  # only an assignment to a name has all attributes
        return {}


def _show_small_figures() -> None:
    """Show figures as JPEG at screen size, so that executed notebooks stay small."""
    from IPython import get_ipython

    if get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        # The margin of `add_legend`: with a smaller one, cropping moves the legend into the label of the axis.
        set_matplotlib_formats("jpeg", dpi=72, pad_inches=0.34, pil_kwargs={"quality": 80})
