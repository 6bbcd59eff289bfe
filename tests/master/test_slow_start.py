"""What takes long at a start is told."""

import threading

from gatepost.master.slow_start import told_if_slow


def test_only_what_is_slow_is_told_and_no_thread_stays() -> None:
    told = threading.Event()
    before = threading.active_count()
    with told_if_slow(told.set):
        pass
    assert not told.is_set()
    with told_if_slow(told.set, 0.0):
        assert told.wait(30)
    assert threading.active_count() == before
