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
