"""Seconds and memory of each route with the pretrained weights, relative to `log`, on one field of phantom tissue.

python tests/benchmarks/bench_routes.py [--side 512] [--repeats 3]
"""

import time

import torch
from common import options, peak_mb, seconds

from histolib.data import phantom
from histolib.ensemble import ROUTES, Models

MPP = 0.5


def main() -> None:
    args = options(__doc__, side=512, repeats=3)
    patch, models = phantom.draw(0, args.side, MPP).ihc, Models()
    print(f"{args.side} x {args.side} px at {MPP} microns, {torch.get_num_threads()} threads")
    log = 0.0
    for name, route in ROUTES.items():
        if models.missing(route.needs):
            continue
        count = len(route(patch, "nuclear", models))  # loads the weights
        (cost,) = seconds(
            lambda route=route: route(patch, "nuclear", models), repeats=args.repeats, clock=time.perf_counter
        )
        log = log or cost
        print(f"{name:<11} {cost:7.2f} s {cost / log:6.1f} x log {count:5d} nuclei, peak so far {peak_mb():,.0f} MB")


if __name__ == "__main__":
    main()
