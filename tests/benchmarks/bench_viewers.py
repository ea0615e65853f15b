"""Response time of each viewer, from a changed control to the bytes of the new picture, compared with `interact`.

python tests/benchmarks/bench_viewers.py [--repeats 15]

Runs the viewer cells of the notebooks on inputs of the sizes of the quick profile. `interact` computes everything again
and shows the figure through IPython. The aim is checked in wall time; the ratio is of CPU times, which depend less on
the load of the machine. Garbage collection causes the worst times.
"""

import argparse
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


def rows(repeats: int) -> Iterator[tuple[str, tuple[float, ...], float, float, int]]:
    """Viewer and control, wall times, median CPU times of the viewer and of `interact`, bytes of a picture."""
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
        yield f"{viewer}: {name}", clock, median(cpu), median(plain_cpu), len(picture.value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    mpl.use("agg")
    torch.set_num_threads(1)
    os.environ.pop("HISTOLIB_HEADLESS", None)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        head = "viewer: control", "median ms", "worst ms", "CPU ms", "interact / ours", "kB"
        print("{:<28} {:>9} {:>9} {:>7} {:>13} {:>5}".format(*head), f" aim {AIM_MS} ms")
        for what, clock, cpu, plain_cpu, size in rows(repeats):
            line = f"{what:<28} {median(clock):9.0f} {max(clock):9.0f} {cpu:7.0f} {plain_cpu / cpu:12.1f}x"
            print(line, f"{size / 1e3:5.0f}  {'kept' if median(clock) < AIM_MS else 'MISSED'}", flush=True)


if __name__ == "__main__":
    main()
