"""Numbers for queue IDs, set aside on stable storage ahead of their use, so that none is ever used twice."""

import threading

BLOCK = 10_000
"""How many numbers are set aside at a time; what a process did not use of them is skipped at the next start."""


class Numbers:
    """`durable` is the number up to which (exclusive) numbers are set aside on stable storage; those below are spent.

    Any thread may take numbers; the thread that writes to the store sets more aside.
    """

    def __init__(self, durable: int) -> None:
        self._next = durable
        self._durable = durable
        self._lock = threading.Lock()

    def take(self, count: int) -> int | None:
        """The first of `count` numbers; None when too few are set aside."""
        with self._lock:
            first = self._next
            if first + count > self._durable:
                return None
            self._next = first + count
            return first

    def to_reserve(self, count: int = 0) -> int | None:
        """The limit to write to stable storage next, so that `count` can be taken; None if that is not needed."""
        with self._lock:
            if not count and self._durable - self._next >= BLOCK // 2:
                return None
            return max(self._durable, self._next + count) + BLOCK

    def reserved(self, durable: int | None) -> None:
        """That limit is on stable storage now (None: nothing was written)."""
        if durable is not None:
            with self._lock:
                self._durable = durable
