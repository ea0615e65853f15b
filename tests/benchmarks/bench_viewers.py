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
from collections.abc import Iterable
from functools import cache, partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
import torch
from common import options, seconds
from IPython.core.pylabtools import print_figure

from histolib.ensemble import ROUTES, Models
from histolib.viz.images import figure_before_after

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


@cache
def shown(viewer: str) -> tuple[dict[str, Any], Any]:
    """Run the cell of a viewer; returns its names and its box."""
    tree = ast.parse(CELLS["source"](viewer))
    *body, last = tree.body
    names: dict[str, Any] = {}
    if viewer == "upload":  # the routes and weights of the notebook
        body.insert(-3, ast.parse("models, ROUTES = SHIPPED, ALL_ROUTES").body[0])
        names |= {"SHIPPED": Models(), "ALL_ROUTES": ROUTES}
    exec(compile(ast.Module(body, []), viewer, "exec"), names)
    return names, eval(compile(ast.Expression(last.value), viewer, "eval"), names)


def plain(names: dict[str, Any], call: str, values: dict[str, Any]) -> bytes:
    """The same picture without any cache."""
    for name in ("pooled", "look"):
        if hasattr(names.get(name), "cache_clear"):
            names[name].cache_clear()
    if call == "joined":
        border = values.pop("border (%)") / 100
        figure = figure_before_after(names["before_after"](**values), border)
    elif call == "find":
        example = names["example"]
        figure, _ = names["find_in_upload"](example.read_bytes(), example.name, values.pop("µm per pixel"), **values)
    else:
        figure = names[call](**{name.replace(" ", "_"): value for name, value in values.items()})
    return print_figure(figure, "png")


def main() -> None:
    repeats = options(__doc__, repeats=15).repeats
    mpl.use("agg")
    torch.set_num_threads(1)
    os.environ.pop("HISTOLIB_HEADLESS", None)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for viewer, name, values, call in CHANGES:
            names, box = shown(viewer)
            row, picture = box.children[0], next(child for child in box.children if hasattr(child, "format"))
            controls = {control.description: control for control in row.children}
            times = []  # by the clock, of the CPU, of `interact`
            for value in islice(values, repeats + 1):
                before, clock, cpu = picture.value, time.perf_counter(), time.process_time()
                controls[name].value = value
                own = time.perf_counter() - clock, time.process_time() - cpu
                assert picture.value != before, f"{viewer}: the picture stayed when {name} became {value}"
                now = {key: control.value for key, control in controls.items() if hasattr(control, "value")}
                now.pop("image", None)
                times.append((*own, *seconds(partial(plain, names, call, now))))
            clocks, cpus, rivals = zip(*times[1:], strict=True)  # the first loads fonts and weights
            usual, worst, cpu = 1e3 * median(clocks), 1e3 * max(clocks), 1e3 * median(cpus)
            aim = f"aim {'kept' if usual < AIM_MS else 'MISSED'}"
            ratio = f"interact / ours {1e3 * median(rivals) / cpu:.1f}x"
            print(f"{viewer}: {name}: {usual:.0f} ms, worst {worst:.0f}, {aim}; CPU {cpu:.0f} ms, {ratio}", flush=True)


if __name__ == "__main__":
    main()
