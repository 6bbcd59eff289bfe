"""That the benchmarks start; what they measure is not for a test run."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"


def run(*arguments: str, program: str = "versus.py") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(BENCH / program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_its_rows_can_be_chosen() -> None:
    told = run("--help").stdout
    (rows,) = [line for line in told.splitlines() if line.startswith("rows: ")]
    assert {"start", "rest", "50", "latency", "64k", "1m", "idle", "deferred", "record"} <= set(rows.split()[1:])


def test_an_unknown_row_is_refused() -> None:
    done = run("--rows", "start,nosuch")
    assert done.returncode == 2 and "nosuch: no such row" in done.stderr


@pytest.mark.parametrize("program", ["session_bench.py", "queue_bench.py", "delivery_bench.py"])
def test_parts_are_measured_by_themselves(program: str) -> None:
    """These use the parts that they measure as the product does, and have to follow them."""
    done = run("40", program=program)
    assert done.returncode == 0, done.stderr
    assert " us " in done.stdout
