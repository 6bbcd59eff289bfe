"""Damaged files that are kept do not fill the disk, however often the queue file is damaged."""

import os
import time
from pathlib import Path

import pytest

from gatepost.queue import mending
from gatepost.queue.mending import open_mended
from gatepost.queue.queue_file import COPIES, SUSPECT, check_queue_file
from gatepost.queue.schema import NotAQueueFile
from gatepost.queue.store import StoreFailure, StoreFull
from tests.queue.damage import damage, everything, sample, zeros
from tests.queue.test_mending import beside, opened


@pytest.mark.parametrize("large", [True, False])
def test_some_space_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    """For what goes on beside it, and for the log. What is in the way is named."""
    folder = tmp_path / "queue"
    file = sample().copy(folder)
    (folder / "queue.db.damaged-20200101-000000").write_text("of before")
    (folder / "queue.db.damaged-20200101-000000-wal").write_text("its log")
    damage(file, 1, zeros)
    size = file.stat().st_size
    left = mending.SPACE_LEFT if large else size
    real = os.statvfs

    def with_free(octets: int) -> None:
        def statvfs(path: str) -> os.statvfs_result:
            found = list(real(path))
            found[1], found[4] = 4096, octets // 4096  # f_frsize, f_bavail
            found[2] = (1 << 40 if large else size * 20) // 4096  # f_blocks
            return os.statvfs_result(found)

        monkeypatch.setattr(os, "statvfs", statvfs)

    with_free(left + size // 2)
    with pytest.raises(StoreFull, match=r"take space, too: queue.db.damaged-20200101-000000$"):
        opened(folder)
    with_free(left // 2)
    with pytest.raises(StoreFull):
        opened(folder)
    assert not list(folder.glob("*salvag*"))
    with_free(left + size + 4096)
    store = opened(folder)
    assert everything(store) == sample().messages
    store.close()


def test_damage_again_and_again(tmp_path: Path) -> None:
    """Each time a copy, until it is clear that the disk fails; then all waits for somebody to look; nothing is lost."""
    folder = tmp_path / "queue"
    file = sample().copy(folder)
    for _ in range(COPIES):
        damage(file, 1, zeros)
        opened(folder).close()
    assert len(list(folder.glob("queue.db.damaged-*[0-9+]"))) == COPIES
    damage(file, 1, zeros)
    before, damaged = beside(folder), file.read_bytes()
    told: list[str] = []
    said = "queue.db is damaged, and was replaced 3 times within a week.*move away queue.db.damaged-.*, .*, .*"
    for attempt in range(3):
        with pytest.raises(StoreFailure, match=said):
            opened(folder, told)
        assert len(told) == 1, "it is looked through once"
        with pytest.raises(NotAQueueFile, match=said):
            check_queue_file(folder, lambda: 0)
        assert beside(folder) == before | {SUSPECT} and file.read_bytes() == damaged, attempt
    (folder / "queue.db.damaged-19700101-000000").rename(tmp_path / "away")
    assert check_queue_file(folder, lambda: 0).startswith(f"{file}: ")
    told.clear()
    store = opened(folder, told)
    assert "file is not a database: looking through" in told[0]
    assert everything(store) == sample().messages
    store.close()
    assert not (folder / SUSPECT).exists()


def test_what_was_damaged_long_ago_does_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "queue"
    file = sample().copy(folder)
    for number in range(COPIES):
        (folder / f"queue.db.damaged-2020010{number}-000000").write_text("of before")
    damage(file, 1, zeros)
    later = time.time() + 8 * 86400
    store = open_mended(folder, lambda text: None, on_failure=lambda failure: None, clock=lambda: later)
    assert everything(store) == sample().messages
    store.close()
