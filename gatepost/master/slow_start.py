"""A start that takes long says what it waits for."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SLOW = 10.0
"""Seconds."""


@contextmanager
def told_if_slow(tell: Callable[[], object], seconds: float = SLOW) -> Iterator[None]:
    """Call `tell`, in a thread, if what is done here is not done after that many seconds. The thread has ended after
    it, so that nothing hinders a fork.
    """
    timer = threading.Timer(seconds, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
