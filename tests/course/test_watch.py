"""Memory and processor time of what a block starts, on processes whose needs are known."""

import subprocess
import sys
from contextlib import contextmanager
from threading import Event

import pytest

from histolib.course.watch import Watch

MB = 10**6


class Looks:
    """Notes the looks of a watch, and lets a test wait for the next ones."""

    def __init__(self):
        self.seconds, self.more = [], Event()

    def __call__(self, seconds):
        self.seconds.append(seconds)
        self.more.set()

    def wait(self, count):
        for _ in range(count):
            self.more.clear()
            assert self.more.wait(60)


def ready(code):
    """Code of a program that does something, says that it has, and stays until its input ends."""
    return f"import subprocess, sys, time\n{code}\nprint(flush=True)\nsys.stdin.read()"


@contextmanager
def program(code):
    """A program at the point where it has done its work."""
    command = [sys.executable, "-c", ready(code)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        yield
        process.stdin.close()


def takes(megabytes):
    """Code that writes to that much memory and gives it back."""
    return f"block = bytearray({megabytes * MB}); block[::4096] = block[::4096]; del block"


def watched(code):
    """The watch of a block that waits for a program."""
    looks = Looks()
    with Watch(looks) as watch, program(code):
        looks.wait(3)
    return watch


def test_memory_that_was_given_back_counts_and_is_of_its_own_block_alone():
    large, none, small = (watched(takes(megabytes)).memory_mb for megabytes in (200, 0, 80))
    assert 0 < none < 60
    assert large - none == pytest.approx(200, abs=20)
    assert small - none == pytest.approx(80, abs=20)


def test_processes_of_processes_count_and_earlier_ones_do_not():
    with program(takes(150)):
        assert watched("").memory_mb < 100
    inner = ready(takes(150))
    start = f"child = subprocess.Popen([sys.executable, '-c', {inner!r}], stdout=subprocess.PIPE)"
    assert watched(f"{start}; child.stdout.readline()").memory_mb > 150


def test_processor_time_is_that_of_the_work():
    busy, idle = watched("while time.process_time() < 1: pass"), watched("")
    assert busy.cpu_seconds > 0.9 > idle.cpu_seconds


def test_without_a_process_nothing_is_known_but_the_time():
    looks = Looks()
    with Watch(looks) as watch:
        looks.wait(2)
    assert (watch.memory_mb, watch.cpu_seconds) == (None, None)
    assert 0 < looks.seconds[0] < looks.seconds[1] <= watch.seconds


def test_an_error_inside_passes_through_and_ends_the_watch():
    with pytest.raises(ZeroDivisionError), Watch() as watch:
        1 / 0  # noqa: B018
    assert not watch._thread.is_alive()
