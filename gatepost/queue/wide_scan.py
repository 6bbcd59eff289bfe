"""Looking through a whole queue file, several pages of messages at a time.

A message's row is a page of the file away from the next one, content in between. A single reader waits for the disk
some hundred thousand times in a queue of a million; several, each at another place, wait at the same time.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from queue import SimpleQueue

import apsw

READERS = 8
AHEAD = 2 * READERS
"""Pages that are read before they are asked for."""

Row = tuple[object, ...]
Read = Callable[[apsw.Connection, int, int], list[Row]]
"""The rows wanted of those whose numbers are from the first to the last given."""

_NEXT = "SELECT min(id) FROM message WHERE id >= ?"
_LAST = "SELECT max(id) FROM message"


def scan(connect: Callable[[], apsw.Connection], read: Read, numbers: int) -> Iterator[list[Row]]:
    """What `read` finds, in order, `numbers` message numbers at a time. Raises what it raises, and apsw.Error."""
    idle: SimpleQueue[apsw.Connection] = SimpleQueue()

    def page(first: int) -> list[Row]:
        connection = idle.get()
        try:
            return read(connection, first, first + numbers - 1)
        finally:
            idle.put(connection)

    with closing(connect()) as connection:
        last = connection.execute(_LAST).get
        pool = ThreadPoolExecutor(READERS, "scan")
        under_way: deque[Future[list[Row]]] = deque()
        try:
            for _ in range(READERS):
                idle.put(connect())
            following = 0
            while last is not None and following <= last:
                first = connection.execute(_NEXT, (following,)).get
                if first is None:
                    break
                under_way.append(pool.submit(page, first))
                following = first + numbers
                if len(under_way) > AHEAD:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
            with suppress(Exception):
                while not idle.empty():
                    idle.get().close()
