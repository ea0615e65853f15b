"""Response time of each viewer, from a changed control to the bytes of the new picture, compared with `interact`.

python tests/benchmarks/bench_viewers.py [--repeats 15]

Runs the viewer cells of the notebooks on inputs of the sizes of the quick profile. `interact` computes everything again
and shows the figure through IPython. The aim is checked in wall time; the ratio is of CPU times, which depend less on
the load of the machine. Garbage collection causes the worst times.
"""

import ast
import os
import runpy
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
import torch
from common import options
from IPython.core.pylabtools import print_figure

from histolib.ensemble import Models
from histolib.ensemble.routes import DEFAULT_ROUTES
from histolib.viz.translation import figure_before_after

CELLS = runpy.run_path(str(Path(__file__).parent.parent / "browser" / "cells.py"))
AIM_MS = 300
# Viewer, changed control, its values, and the function that `interact` would call.
CHANGES: list[tuple[str, str, Iterable[Any], str]] = [
    ("sets", "tile", cycle((1, 2, 0)), "show"),
    ("sets", "channel", cycle(("second stain", "summed density", "image")), "show"),
    ("sets", "dataset", cycle(("BCI", "PanNuke", "EndoNuke")), "show"),
    ("before_after", "border (%)", cycle(range(0, 101, 7)), "joined"),
    ("before_after", "tile", range(1, 8), "joined"),  # once each, because pairs are cached
    ("thresholds", "np threshold", cycle((0.3, 0.7, 0.5)), "cut"),
    ("thresholds", "edge threshold", cycle((0.1, 0.9, 0.4)), "cut"),
    ("routes", "radius", cycle((1.0, 2.0, 3.0)), "explore"),
    ("routes", "tile", cycle((1, 2, 0)), "explore"),
    ("upload", "µm per pixel", cycle((0.4, 0.5, 0.45)), "find"),
]


def shown(viewer: str) -> tuple[dict[str, Any], Any]:
    """Run the cell of a viewer; returns its names and its box."""
    tree = ast.parse(CELLS["source"](viewer))
    *body, last = tree.body
    names: dict[str, Any] = {}
    if viewer == "upload":  # the routes and weights of the notebook
        body.insert(-3, ast.parse("shipped, DEFAULT_ROUTES = SHIPPED, ROUTES_BY_MARKER").body[0])
        names |= {"SHIPPED": Models(), "ROUTES_BY_MARKER": DEFAULT_ROUTES}
    exec(compile(ast.Module(body, []), viewer, "exec"), names)
    return names, eval(compile(ast.Expression(last.value), viewer, "eval"), names)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds by the clock, and of the CPU."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return 1e3 * (time.perf_counter() - clock), 1e3 * (time.process_time() - cpu)


def plain(names: dict[str, Any], call: str, values: dict[str, Any]) -> bytes:
    """The same picture without any cache."""
    for name in ("pooled", "look"):
        if hasattr(names.get(name), "cache_clear"):
            names[name].cache_clear()
    if call == "joined":
        border = values.pop("border (%)") / 100
        pair = names["before_after"](**values)
        figure = figure_before_after(*([patch] for patch in pair.values()), tuple(pair), border=border)
    elif call == "find":
        example = names["example"]
        figure, _ = names["find_in_upload"](example.read_bytes(), example.name, values.pop("µm per pixel"), **values)
    else:
        figure = names[call](**{name.replace(" ", "_"): value for name, value in values.items()})
    return print_figure(figure, "png")


def rows(repeats: int) -> Iterator[tuple[str, tuple[float, ...], float, float]]:
    """Viewer and control, wall times, median CPU times of the viewer and of `interact`."""
    opened: dict[str, tuple[dict[str, Any], Any]] = {}
    for viewer, name, values, call in CHANGES:
        if viewer not in opened:
            opened[viewer] = shown(viewer)
        names, box = opened[viewer]
        row, picture = box.children[0], next(child for child in box.children if hasattr(child, "format"))
        controls = {control.description: control for control in row.children}
        ours, rival = [], []
        for value in islice(values, repeats + 1):
            before = picture.value
            ours.append(timed(partial(setattr, controls[name], "value", value)))
            assert picture.value != before, f"{viewer}: the picture stayed when {name} became {value}"
            now = {key: control.value for key, control in controls.items() if hasattr(control, "value")}
            now.pop("image", None)
            rival.append(timed(partial(plain, names, call, now)))
        # The first of each loads fonts and weights.
        (clock, cpu), (_, plain_cpu) = (zip(*times[1:], strict=True) for times in (ours, rival))
        yield f"{viewer}: {name}", clock, median(cpu), median(plain_cpu)


def main() -> None:
    repeats = options(__doc__, repeats=15).repeats
    mpl.use("agg")
    torch.set_num_threads(1)
    os.environ.pop("HISTOLIB_HEADLESS", None)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for what, clock, cpu, plain_cpu in rows(repeats):
            kept = "kept" if median(clock) < AIM_MS else "MISSED"
            print(f"{what:<28} {median(clock):5.0f} ms, worst {max(clock):5.0f} ms, aim {AIM_MS} ms {kept}", end="; ")
            print(f"CPU {cpu:5.0f} ms, interact / ours {plain_cpu / cpu:.1f}x", flush=True)


if __name__ == "__main__":
    main()
