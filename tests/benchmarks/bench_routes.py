"""Seconds per mm² and memory of routes with the pretrained weights, relative to `log`, on one field of phantom tissue.

python tests/benchmarks/bench_routes.py [--side 2048] [--routes log,watershed,selftrained] [--repeats 1]

Each route runs in bfloat16, where the processor has it, and in float32, after one run on a small field.
"""

import time
from functools import partial

import torch
from common import options, peak_mb, seconds

from histolib.data import phantom
from histolib.ensemble import ROUTES, Models
from histolib.ensemble.models import best_precision
from histolib.imaging import Patch
from histolib.nuclei.inference import keep_memory

MPP = 0.5


def main() -> None:
    args = options(__doc__, side=512, routes=",".join(ROUTES), repeats=3)
    keep_memory()  # as `histolib detect` does
    patch = phantom.draw(0, args.side, MPP).ihc
    small = Patch(patch.image[:256, :256], MPP)
    print(f"{args.side} x {args.side} px at {MPP} microns, {torch.get_num_threads()} threads, best of {args.repeats}")
    reference = None
    for name in args.routes.split(","):
        for precision in dict.fromkeys([best_precision(), torch.float32]):
            models = Models(precision=precision)
            if models.missing(ROUTES[name].needs):
                continue
            ROUTES[name](small, "nuclear", models)
            run = partial(ROUTES[name], patch, "nuclear", models)
            cost = min(seconds(*[run] * args.repeats, clock=time.perf_counter)) / patch.area_mm2
            reference = reference or cost
            print(f"{name:<12} {str(precision).removeprefix('torch.'):<9} {cost:7.2f} s per mm²", end="  ")
            print(f"{cost / reference:7.1f} x  {len(run()):6d} nuclei  peak so far {peak_mb():,.0f} MB", flush=True)
            if not ROUTES[name].needs:
                break


if __name__ == "__main__":
    main()
