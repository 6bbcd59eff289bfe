"""That the benchmark starts; what it measures is not for a test run."""

import subprocess
import sys
from pathlib import Path

VERSUS = Path(__file__).resolve().parents[1] / "bench" / "versus.py"


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, str(VERSUS), *arguments], capture_output=True, text=True, check=False)


def test_its_rows_can_be_chosen() -> None:
    told = run("--help").stdout
    (rows,) = [line for line in told.splitlines() if line.startswith("rows: ")]
    assert {"start", "rest", "50", "latency", "64k", "1m", "idle", "deferred", "record"} <= set(rows.split()[1:])


def test_an_unknown_row_is_refused() -> None:
    done = run("--rows", "start,nosuch")
    assert done.returncode == 2 and "nosuch: no such row" in done.stderr
