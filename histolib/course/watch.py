"""A look at a kernel from outside while it works: how much memory and processor time it took, and for how long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import psutil

__all__ = ["Watch"]

PERIOD_S = 0.25


class Watch:
    """Follows the processes that this one starts inside a `with` block, from a thread of its own.

    Attributes:
        seconds: how long the block took.
        memory_mb: the most that one of these processes had in memory at once, in 10^6 bytes; None where none was seen.
            On Linux the system keeps this maximum itself, so that none falls between two looks.
        cpu_seconds: processor time of all of them up to the last look; None where none was seen.

    Args:
        tell: called at each look with the seconds since the block began.
    """

    def __init__(self, tell: Callable[[float], None] = lambda seconds: None) -> None:
        self.tell = tell
        self.seconds = 0.0
        self._peaks: dict[int, float] = {}
        self._cpu: dict[int, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    @property
    def memory_mb(self) -> float | None:
        return max(self._peaks.values(), default=None)

    @property
    def cpu_seconds(self) -> float | None:
        return sum(self._cpu.values()) if self._cpu else None

    def __enter__(self) -> Watch:
        self._before = {child.pid for child in psutil.Process().children(recursive=True)}
        self._start = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.seconds = time.monotonic() - self._start
        self._over.set()
        self._thread.join()

    def _follow(self) -> None:
        known: set[int] = set()
        while not self._over.wait(PERIOD_S):
            children = {child.pid: child for child in psutil.Process().children(recursive=True)}
            for pid in known & children.keys():  # a process that only began may still be a copy of its parent
                self._look(children[pid])
            known = children.keys() - self._before
            self.tell(time.monotonic() - self._start)

    def _look(self, process: psutil.Process) -> None:
        try:
            peak, times = _peak_mb(process), process.cpu_times()
        except (psutil.Error, OSError):  # it ended meanwhile
            return
        self._peaks[process.pid] = max(peak, self._peaks.get(process.pid, 0.0))
        self._cpu[process.pid] = times.user + times.system


def _peak_mb(process: psutil.Process) -> float:
    """The most that a process had in memory so far where the system tells it, else what it has now."""
    status = Path(f"/proc/{process.pid}/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    kibibytes = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return kibibytes[0] * 1024 / 1e6 if kibibytes else process.memory_info().rss / 1e6
