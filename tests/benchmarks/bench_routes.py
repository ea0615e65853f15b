"""Seconds and memory of each route with the pretrained weights, relative to `log`, on one field of phantom tissue.

python tests/benchmarks/bench_routes.py [--side 512] [--repeats 3]
"""

import argparse
import resource
import time

import torch

from histolib.data import phantom
from histolib.ensemble import ROUTES, Models

MPP = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=512, help="pixels, at 0.5 microns each")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    patch, models = phantom.draw(0, args.side, MPP).ihc, Models()
    print(f"{args.side} x {args.side} px at {MPP} microns, {torch.get_num_threads()} threads, best of {args.repeats}")
    seconds = {}
    for name, route in ROUTES.items():
        if models.missing(route.needs):
            continue
        runs = []
        for _ in range(args.repeats):
            start = time.perf_counter()
            found = route(patch, "nuclear", models)
            runs.append(time.perf_counter() - start)
        seconds[name] = min(runs)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{name:<10} {seconds[name]:7.2f} s  {seconds[name] / seconds['log']:7.1f} x log  {len(found):5d} nuclei  "
            f"peak so far {peak:,.0f} MB"
        )


if __name__ == "__main__":
    main()
