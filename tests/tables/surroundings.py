"""A table environment whose clocks stand where the test puts them."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables


class Surroundings:
    """Clock, wall clock and the warnings so far."""

    def __init__(self, directory: Path | str = "", environ: Mapping[str, str] | None = None, **more: object) -> None:
        self.now = 1000.0
        self.wall = 0.0  # long before any file was written: only looking twice tells that one stands still
        self.warnings: list[str] = []
        self.env = TableEnvironment(
            clock=lambda: self.now,
            warn=self.warnings.append,
            directory=str(directory),
            environ=environ or {},
            wall_clock=lambda: self.wall,
            **more,  # type: ignore[arg-type]
        )
        self.tables = Tables(self.env)

    def later(self, seconds: float = 1.0) -> None:
        self.now += seconds

    def take_warnings(self) -> list[str]:
        """The warnings since the last call."""
        taken = list(self.warnings)
        self.warnings.clear()
        return taken


def conformance(name: str) -> Path:
    """A file of the conformance cases; the test is skipped aloud where they are absent (and fails in CI)."""
    root = Path(os.environ.get("GATEPOST_CONFORMANCE", Path(__file__).parents[2] / "../shared/conformance"))
    path = root / name
    if not path.exists():
        message = f"no conformance cases at {path}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path
