import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.stopped_queue import StoppedQueue


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def stopped(tmp_path: Path, utc: None) -> StoppedQueue:
    return StoppedQueue(tmp_path)
