"""What the benchmarks share: options, alternating timings, and the memory of this process."""

import argparse
import resource
import time
from collections.abc import Callable
from statistics import median


def options(description: str, **defaults: int | float | str) -> argparse.Namespace:
    """Values from the command line, one `--name` for each default; one that is False is a switch."""
    parser = argparse.ArgumentParser(description=description)
    for name, default in defaults.items():
        how = {"action": "store_true"} if default is False else {"type": type(default), "default": default}
        parser.add_argument(f"--{name.replace('_', '-')}", **how)
    return parser.parse_args()


def seconds(*works: Callable[[], object], repeats: int = 1, clock: Callable[[], float] = time.process_time) -> list:
    """Median time of each work, measured alternately; CPU time depends less on the load of the machine."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for work, taken in zip(works, times, strict=True):
            start = clock()
            work()
            taken.append(clock() - start)
    return list(map(median, times))


def peak_mb() -> float:
    """Largest memory of this process so far; it never falls. Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
