from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tables.surroundings import Surroundings


@pytest.fixture
def world(tmp_path: Path) -> Surroundings:
    return Surroundings(tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write a table source; the answer is its path."""

    def write_file(name: str, text: str | bytes, **_: Any) -> str:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write_file
