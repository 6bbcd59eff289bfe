"""The queue manager's process: what makes each start of it another one."""

import os
from pathlib import Path

from gatepost.master.worker_queue import new_epoch


def test_no_two_queue_managers_have_the_same_epoch(tmp_path: Path) -> None:
    lock = os.open(tmp_path / "store.lock", os.O_RDWR | os.O_CREAT)
    assert new_epoch(lock, 1000.5) == 1000
    assert new_epoch(lock, 1000.9) == 1001  # started again within the second
    assert new_epoch(lock, 400.0) == 1002  # the clock was set back
    assert new_epoch(lock, 5000.0) == 5000
    os.close(lock)


def test_a_damaged_lock_file_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "store.lock").write_bytes(b"\xff nonsense")
    lock = os.open(tmp_path / "store.lock", os.O_RDWR)
    assert new_epoch(lock, 7.0) == 7
    assert new_epoch(lock, 7.0) == 8
    os.close(lock)
