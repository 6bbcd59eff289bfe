"""Reading the queue file: its own connection, used from one thread, in short transactions.

A long reader would keep the write-ahead log from starting over, so listings are read a page at a time.
"""

import contextlib
import os
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import cast

import apsw
import msgspec

from gatepost.mail.envelope import Recipient
from gatepost.mail.queue_id import queue_id_number
from gatepost.queue.chunks import CHUNK
from gatepost.queue.content_file import content_path
from gatepost.queue.listing import ListedRow, listed_damaged, listed_short, listed_stored
from gatepost.queue.rows import COLUMNS, FROM, Damaged, chunk_recipients, json_text, message_row, stored
from gatepost.queue.schema import BUSY_MILLISECONDS, EXPIRE, FILE_NAME, SLOT, SLOT_SECONDS, check_file
from gatepost.queue.selection import Selection
from gatepost.queue.store import Listed, QueueName, Stored, in_turn

_WITH_CONTENT = "SELECT " + COLUMNS.format(content="m.content") + FROM
_WITHOUT_CONTENT = "SELECT " + COLUMNS.format(content="NULL") + FROM
_CHUNKS = "SELECT number, recipients FROM recipient_chunk WHERE id = ? AND number BETWEEN ? AND ?"
_BY_NUMBER = "WHERE m.id = ?"
_BY_NUMBERS = "WHERE m.id IN (SELECT value FROM json_each(?))"
_LISTED = "SELECT m.id, " + COLUMNS.format(content="NULL") + FROM
_LISTING = _LISTED + "WHERE m.id > ? AND w.queue IS NOT 'saved' ORDER BY m.id LIMIT ?"
_BETWEEN = _LISTED + "WHERE m.id BETWEEN ? AND ? AND w.queue IS NOT 'saved' AND ({condition}) ORDER BY m.id"
# Every message has a row in one of these, whose rows are smaller.
_QUEUE_IDS = """
SELECT id, queue_id, 'incoming' FROM fresh WHERE id > ?
UNION ALL SELECT id, queue_id, queue FROM waiting WHERE id > ? ORDER BY 1 LIMIT ?
"""

_QUEUES_OF = f"""
SELECT f.queue_id, 'incoming', 0 FROM json_each(?1) AS named CROSS JOIN fresh AS f ON f.id = named.value
UNION ALL SELECT w.queue_id, w.queue, w.flags & {EXPIRE}
FROM json_each(?1) AS named CROSS JOIN waiting AS w ON w.id = named.value
"""

_FLUSH_LIST = """
SELECT f.id, w.queue_id FROM flush_list AS f LEFT JOIN waiting AS w ON w.id = f.id AND w.queue = 'deferred'
WHERE f.domain = ? AND f.id > ? ORDER BY f.id LIMIT ?
"""
# From one domain to the next, whatever is listed under it.
_FLUSH_DOMAINS = """
WITH RECURSIVE one(domain) AS (
    SELECT min(domain) FROM flush_list
    UNION ALL SELECT (SELECT min(domain) FROM flush_list WHERE domain > one.domain) FROM one WHERE domain IS NOT NULL
)
SELECT domain FROM one WHERE domain IS NOT NULL
"""

_COUNT = """
SELECT queue, count(*), max(id) FROM (SELECT id, queue FROM waiting WHERE id > ? ORDER BY id LIMIT ?) GROUP BY queue
"""

# One statement per page of candidates: stepping through rows gives up the GIL at each.
_FRESH = """
SELECT json_group_array(json_array(arrival, id, queue_id))
FROM (SELECT * FROM fresh WHERE id > ? ORDER BY id LIMIT ?)
"""
# What is compared to (slot, id) as a whole is not looked up in an index of expressions, and a slot may have a million
# rows: so the rest of a slot is asked for, and then those behind it.
_WAITING = """
SELECT json_group_array(json_array(next_attempt, id, queue_id)) FROM (
    SELECT next_attempt, id, queue_id FROM waiting WHERE {} AND next_attempt <= ? ORDER BY {} LIMIT ?)
"""
_WAITING_IN_SLOT = _WAITING.format(f"{SLOT} = ? AND id > ?", "id")
_WAITING_BEHIND = _WAITING.format(f"{SLOT} > ? AND {SLOT} <= ?", f"{SLOT}, id")
LISTING_PAGE = 500
SELECTION_PAGE = 2000
QUEUE_IDS_PAGE = 5000
COUNT_PAGE = 20_000
RECIPIENTS_AT_A_TIME = 100_000
"""Messages that are due are read until they have so many recipients; the others the next time."""
NEXT_DUE_OF = 10_000
"""Of so many messages of the first slot the earliest attempt is looked for; there may be more."""
_FOREVER = 1e18

Candidate = tuple[float, int, str]
"""Next attempt, number, queue ID."""
_candidates = msgspec.json.Decoder(list[Candidate])


def _slot(moment: float) -> int:
    """As the index has it (schema.SLOT)."""
    return int(moment / SLOT_SECONDS)


def open_reader(folder: Path) -> "Reader":
    """To read the queue of a running system beside it. Raises apsw.Error, NotAQueueFile."""
    connection = _read_only(folder)
    check_file(connection)
    return Reader(connection, folder, lambda damage: None)


def _read_only(folder: Path) -> apsw.Connection:
    connection = apsw.Connection(str(folder / FILE_NAME), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    return connection


class Reader:
    """Messages read back and checked. Damaged ones are remembered until the writer takes them (`take_damaged`)."""

    def __init__(self, connection: apsw.Connection, folder: Path, warn: Callable[[str], None]) -> None:
        self._connection = connection
        self._folder = folder
        self._warn = warn
        self._damaged: dict[str, None] = {}
        self._to_move: deque[str] = deque()

    def load(self, queue_id: str, content: bool) -> Stored | None:
        number = queue_id_number(queue_id)
        if number is None or queue_id in self._damaged:
            return None
        try:
            columns = self._connection.execute(
                (_WITH_CONTENT if content else _WITHOUT_CONTENT) + _BY_NUMBER, (number,)
            ).fetchone()
            if columns is None or columns[0] != queue_id:
                return None
            message = self._stored(columns, number, check_content=content)
            if content and message.message.content_file:
                self._check_file(message)
            return message
        except Damaged as damage:
            self._found_damaged(queue_id, str(damage))
        except (apsw.CorruptError, apsw.IOError) as error:
            # Is it this message's content only, or what leads to others as well? Then nobody can tell what is lost.
            if not content:
                raise
            if self.load(queue_id, False) is not None:
                self._found_damaged(queue_id, str(error))
        return None

    def recipients(self, queue_id: str, indexes: Sequence[int]) -> dict[int, Recipient]:
        number = queue_id_number(queue_id)
        if number is None or queue_id in self._damaged or not indexes:
            return {}
        wanted = set(indexes)
        found: dict[int, Recipient] = {}
        try:
            for chunk, text in self._connection.execute(_CHUNKS, (number, min(wanted) // CHUNK, max(wanted) // CHUNK)):
                start = int(cast(int, chunk)) * CHUNK
                if not wanted.isdisjoint(range(start, start + CHUNK)):
                    some = enumerate(chunk_recipients(cast(str, text)), start)
                    found.update((index, recipient) for index, recipient in some if index in wanted)
            if min(wanted) < CHUNK and (message := self.load(queue_id, False)) is not None:
                found.update((index, message.message.recipients[index]) for index in indexes if index < CHUNK)
        except (Damaged, UnicodeDecodeError, apsw.CorruptError, apsw.IOError) as error:
            self._found_damaged(queue_id, str(error))
            return {}
        return found

    def due(self, now: float, limit: int, exclude: Container[str]) -> list[Stored]:
        if limit <= 0:
            return []
        fresh = self._first(self._fresh_candidates(limit), limit, exclude)
        waiting = self._first(self._waiting_candidates(now, limit), limit, exclude)
        chosen = in_turn(*(sorted(one for one in those if one[0] <= now) for those in (fresh, waiting)))[:limit]
        rows = {
            columns[0]: columns
            for columns in self._connection.execute(
                _WITHOUT_CONTENT + _BY_NUMBERS, (json_text([number for _, number, _ in chosen]),)
            )
        }
        found: list[Stored] = []
        recipients = 0
        for _, number, queue_id in chosen:
            if columns := rows.get(queue_id):
                recipients += message_row(columns).recipients
                if recipients > RECIPIENTS_AT_A_TIME and found:
                    break
                try:
                    found.append(self._stored(columns, number, check_content=False))
                except Damaged as damage:
                    self._found_damaged(queue_id, str(damage))
        return found

    def next_due(self, exclude: Container[str]) -> float | None:
        first = [one[0] for one in self._first(self._fresh_candidates(16), 1, exclude)]
        first += self._first_slot(exclude)
        return min(first, default=None)

    def listing(self, selection: Selection | None = None) -> Iterator[Listed]:
        if selection is not None:
            yield from self._selected(selection)
            return
        last = -1
        while page := cast(list[ListedRow], self._connection.execute(_LISTING, (last, LISTING_PAGE)).fetchall()):
            for row in page:
                item = listed_short(row)
                yield self._listed(row) if item is None else item
            last = page[-1][0]

    def _selected(self, selection: Selection) -> Iterator[Listed]:
        """Those that pass its condition; to be looked at again."""
        # Its threads' modules take 9 ms to import, which every other command would wait for.
        from gatepost.queue.wide_scan import scan

        condition, arguments = selection.narrowed()
        query = _BETWEEN.format(condition=condition or "true")

        def read(connection: apsw.Connection, first: int, last: int) -> list[tuple[object, ...]]:
            try:
                return connection.execute(query, (first, last, *arguments)).fetchall()
            except apsw.SQLError:  # one of these envelopes is damaged
                return connection.execute(_BETWEEN.format(condition="true"), (first, last)).fetchall()

        for page in scan(lambda: _read_only(self._folder), read, SELECTION_PAGE):
            for row in cast(list[ListedRow], page):
                yield listed_short(row) or self._listed(row)

    def queues_of(self, queue_ids: Iterable[str]) -> list[tuple[str, QueueName, bool]]:
        wanted = dict.fromkeys(queue_ids)
        numbers = [number for number in map(queue_id_number, wanted) if number is not None]
        rows = cast(list[tuple[str, QueueName, int]], self._connection.execute(_QUEUES_OF, (json_text(numbers),)))
        found = {queue_id: (queue, expire != 0) for queue_id, queue, expire in rows}
        return [(queue_id, *found[queue_id]) for queue_id in wanted if queue_id in found]

    def queue_ids(self) -> Iterator[list[tuple[str, QueueName]]]:
        last = -1
        while rows := self._connection.execute(_QUEUE_IDS, (last, last, QUEUE_IDS_PAGE)).fetchall():
            page = cast(list[tuple[int, str, QueueName]], rows)
            last = page[-1][0]
            yield [(queue_id, queue) for _, queue_id, queue in page]

    def flush_list(self, domain: str, after: int, limit: int) -> list[tuple[int, str | None]]:
        rows = self._connection.execute(_FLUSH_LIST, (domain, after, limit)).fetchall()
        return cast(list[tuple[int, str | None]], rows)

    def flush_domains(self) -> list[str]:
        return [str(domain) for (domain,) in self._connection.execute(_FLUSH_DOMAINS)]

    def count(self) -> dict[QueueName, int]:
        counts: dict[QueueName, int] = {}
        for piece in self.count_in_pieces():
            for queue, messages in piece.items():
                counts[queue] = counts.get(queue, 0) + messages
        return counts

    def count_in_pieces(self) -> Iterator[dict[QueueName, int]]:
        fresh = self._connection.execute("SELECT count(*) FROM fresh").get  # SQLite does not look at each row for that
        if fresh:
            yield {"incoming": fresh}
        last = -1
        while rows := self._connection.execute(_COUNT, (last, COUNT_PAGE)).fetchall():
            piece = cast(list[tuple[QueueName, int, int]], rows)
            last = max(number for _, _, number in piece)
            yield {queue: messages for queue, messages, _ in piece}

    def free(self) -> int:
        pages = self._connection.execute("PRAGMA freelist_count").get
        disk = os.statvfs(self._folder)
        return int(pages) * 4096 + disk.f_bavail * disk.f_frsize

    def take_damaged(self) -> list[str]:
        """Messages found damaged since the last call; any thread may call."""
        names = []
        with contextlib.suppress(IndexError):
            while True:
                names.append(self._to_move.popleft())
        return names

    def close(self) -> None:
        self._connection.close()

    def _stored(self, columns: tuple[object, ...], number: int, *, check_content: bool) -> Stored:
        row = message_row(columns)
        chunks = self._chunks(number) if row.recipients > CHUNK else []
        return stored(row, chunks, check_content=check_content)

    def _chunks(self, number: int) -> list[tuple[str, str | None]]:
        try:
            rows = self._connection.execute(
                "SELECT recipients, state FROM recipient_chunk WHERE id = ? ORDER BY number", (number,)
            ).fetchall()
        except UnicodeDecodeError as error:
            raise Damaged(f"unreadable recipients: {error}") from None
        return cast(list[tuple[str, str | None]], rows)

    def _check_file(self, message: Stored) -> None:
        name = message.message.content_file
        try:
            size = content_path(self._folder, name).stat().st_size
        except OSError as error:
            raise Damaged(f"content file: {error}") from None
        if size != message.message.size:
            raise Damaged(f"content file {name} has {size} of {message.message.size} octets")

    def _found_damaged(self, queue_id: str, what: str) -> None:
        if queue_id not in self._damaged:
            self._damaged[queue_id] = None
            self._to_move.append(queue_id)
            self._warn(f"{queue_id}: damaged message, moved to the corrupt queue: {what}")

    def _listed(self, row: ListedRow) -> Listed:
        number, *columns = row
        try:
            return listed_stored(self._stored(tuple(columns), number, check_content=False))
        except Damaged:
            return listed_damaged(row)

    def _first(self, pages: Iterator[list[Candidate]], count: int, exclude: Container[str]) -> list[Candidate]:
        found: list[Candidate] = []
        for page in pages:
            found += [one for one in page if one[2] not in exclude and one[2] not in self._damaged]
            if len(found) >= count:
                return found[:count]
        return found

    def _fresh_candidates(self, size: int) -> Iterator[list[Candidate]]:
        last = -1
        while page := _candidates.decode(self._connection.execute(_FRESH, (last, size)).get):
            yield page
            last = page[-1][1]
            size = max(size, 1000)

    def _first_slot(self, exclude: Container[str]) -> list[float]:
        """The next attempts of the first slot that has any."""
        found: list[float] = []
        for page in self._waiting_candidates(_FOREVER, 16):
            for one in page:
                if one[2] not in exclude and one[2] not in self._damaged:
                    if found and _slot(one[0]) != _slot(found[0]):
                        return found
                    found.append(one[0])
            if len(found) >= NEXT_DUE_OF:
                break
        return found

    def _waiting_candidates(self, now: float, size: int) -> Iterator[list[Candidate]]:
        """By slot and number."""
        slot = number = -1
        while True:
            page = self._page(_WAITING_IN_SLOT, slot, number, now, size)
            if len(page) < size:
                page += self._page(_WAITING_BEHIND, slot, _slot(now), now, size - len(page))
            if not page:
                return
            yield page
            moment, number, _ = page[-1]
            slot, size = _slot(moment), max(size, 1000)

    def _page(self, query: str, *arguments: float) -> list[Candidate]:
        return _candidates.decode(self._connection.execute(query, arguments).get)
