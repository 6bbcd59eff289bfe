"""Freed memory is not faulted in again each time."""

import platform
import resource
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from gatepost.net.allocation import keep_freed_memory
keep_freed_memory()
def several():
    return [bytearray(1 << 20) for _ in range(3)]
several()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    several()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's malloc only")
def test_three_blocks_of_a_mebibyte_are_kept() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    pages_each = (1 << 20) // resource.getpagesize()
    assert int(done.stdout) < 15 * pages_each  # of 150


COLLECTIONS = """
import gc
from gatepost.net.allocation import collect_rarely
def collections(count):
    before = gc.get_stats()[0]["collections"]
    kept = [[] for _ in range(count)]
    return gc.get_stats()[0]["collections"] - before
often = collections(9000)
collect_rarely()
print(often, collections(9000), collections(60000))
"""


def test_what_is_under_way_is_rarely_walked() -> None:
    done = subprocess.run([sys.executable, "-c", COLLECTIONS], check=True, capture_output=True, text=True)
    often, rarely, more = map(int, done.stdout.split())
    assert often >= 9
    assert rarely <= 1
    assert more >= 2  # and yet it is
