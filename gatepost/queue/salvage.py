"""Carries what can be read of a damaged queue file over into a new one (queue/mending.py says when, and what then).

Each page is looked at by itself, and a row is known by the types of its columns: so neither the list of tables nor the
pages that lead to others are needed. Of a message that is not whole, or not there any more though something else tells
of it, the corrupt queue tells; mail whose state is lost, so that nobody knows whether it was held, is held.

If the log was damaged in its middle (queue/log_frames.py), the newest image of some pages is lost. Then what only
their earlier images have is carried over, too: messages, which never change, and their checksums tell that they are
whole; and states, which may be old, so that this mail is held. What was removed last may come back that way, on hold.
"""

import contextlib
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import cast

import apsw
import msgspec

from gatepost.mail.queue_id import queue_id_number
from gatepost.queue.chunks import CHUNK, decode_state
from gatepost.queue.log_file import PAGE
from gatepost.queue.log_frames import NONE
from gatepost.queue.page_file import ROOT, TREE, UNKNOWN, PageFile
from gatepost.queue.page_rows import BadPage, Row, Value, rows_in
from gatepost.queue.rows import COLUMNS, FROM, Damaged, MessageRow, json_text, message_row, stored
from gatepost.queue.schema import prepare_file
from gatepost.queue.store import ASIDE, Stored

NUMBERS_SKIPPED = 100_000_000
"""If nobody knows which numbers queue IDs have had: a day of a thousand messages a second."""
_NONSENSE = 1 << 50  # no queue has had so many

_KINDS = {
    "message": "ntiibb",
    "fresh": "n[if]t",
    "waiting": "ntt[nif]i[nt]",
    "content_file": "nti",
    "reserved": "i",
    "recipient_chunk": "iit[nt]",
    "flush_list": "ti",
    "sqlite_schema": "ttti[nt]",
    "waiting_slot": "ii[if]ti",
}
"""The columns of the tables (queue/schema.py) and their index, as they lie in the file: the rowid is NULL there."""
_KIND = re.compile("|".join(f"(?P<{name}>{types})" for name, types in _KINDS.items()))
_LETTERS = {type(None): "n", int: "i", float: "f", str: "t", bytes: "b"}

_SETTINGS = (
    "page_size = 4096", "auto_vacuum = INCREMENTAL", "journal_mode = OFF", "synchronous = OFF", "cache_size = -65536",
)  # fmt: skip
_INSERT = {
    "message": "INSERT OR IGNORE INTO message VALUES(?, ?, ?, ?, ?, ?)",
    "fresh": "INSERT OR IGNORE INTO fresh VALUES(?, ?, ?)",
    "waiting": "INSERT OR IGNORE INTO waiting VALUES(?, ?, ?, ?, ?, ?)",
    "content_file": "INSERT OR IGNORE INTO content_file VALUES(?, ?, ?)",
    "recipient_chunk": "INSERT OR IGNORE INTO recipient_chunk VALUES(?, ?, ?, ?)",
    "flush_list": "INSERT OR IGNORE INTO flush_list VALUES(?, ?)",
}
_WHOLE_ROW = "SELECT " + COLUMNS.format(content="m.content") + FROM
_MANY_RECIPIENTS = f"SELECT id, queue_id FROM message WHERE recipients > {CHUNK}"
_CHUNKS = "SELECT recipients, state FROM recipient_chunk WHERE id = ? ORDER BY number"
_LOST = """
SELECT id, min(queue_id) FROM (
    SELECT id, queue_id FROM waiting UNION ALL SELECT id, queue_id FROM fresh
    UNION ALL SELECT id, name FROM content_file
) WHERE id NOT IN (SELECT id FROM message) GROUP BY id
"""
_NO_ENVELOPE = b"null"
_WITHOUT_STATE = """
SELECT id, queue_id FROM message WHERE id NOT IN (SELECT id FROM waiting)
    AND id NOT IN (SELECT id FROM fresh) AND id NOT IN (SELECT value FROM json_each(?))
"""
_MAKE_FRESH = """
INSERT INTO fresh SELECT id, CAST(envelope AS TEXT) ->> 1, queue_id FROM message
WHERE id IN (SELECT value FROM json_each(?))
"""
_SET_ASIDE = """
INSERT INTO waiting SELECT id, queue_id, ?, NULL, 0, NULL FROM message WHERE id IN (SELECT value FROM json_each(?))
ON CONFLICT(id) DO UPDATE SET queue = excluded.queue, next_attempt = NULL
"""
_CLEAN = """
DELETE FROM fresh WHERE id IN (SELECT id FROM waiting);
DELETE FROM recipient_chunk WHERE id NOT IN (SELECT id FROM message);
"""


class Salvaged(msgspec.Struct):
    """How many messages are in the new file: all, those in its corrupt queue, those on hold for want of their state.

    `unreadable`: pages that should hold rows, and rows, of which nothing could be made. `errors` of the disk. `frames`
    of the log that could not be used; of `old` pages they may have been the newest.
    """

    messages: int = 0
    corrupt: int = 0
    held: int = 0
    unreadable: int = 0
    errors: int = 0
    frames: int = 0
    old: int = 0


def salvage(
    path: Path, new: Path, first_number: int, warn: Callable[[str], None], room: int | None = None
) -> Salvaged:
    """Make the file `new` of what is in the queue file `path` and its log, which are left as they are.

    `first_number`: for queue IDs, if there is none to be found. `warn` gets a line per message that is not whole.
    `room`: octets that the new file may have. Raises apsw.Error (FullError, if that is not enough), OSError. The new
    file is not synced.
    """
    file = PageFile(path)
    try:
        connection = apsw.Connection(str(new))
        try:
            # There is nothing to go back to: what is not finished is begun anew.
            for setting in _SETTINGS:
                connection.execute(f"PRAGMA {setting}").fetchall()
            if room is not None:
                connection.execute(f"PRAGMA max_page_count = {max(1, room // PAGE)}").fetchall()
            connection.execute("BEGIN")
            prepare_file(connection, first_number)
            result = _Salvage(file, connection, warn).carry_over()
            connection.execute("COMMIT")
        finally:
            connection.close()
        return result
    finally:
        file.close()


class _Salvage:
    def __init__(self, file: PageFile, connection: apsw.Connection, warn: Callable[[str], None]) -> None:
        self._file = file
        self._connection = connection
        self._execute = connection.execute
        self._warn = warn
        self._hurt: dict[int, str] = {}  # by the number of the message, what is to be told
        self._lost: list[int] = []  # pages of which rows may be missing
        self._unreadable = 0
        self._old = file.logged.doubtful
        self._doubting = False  # the page that is read may be old
        self._doubted: dict[int, None] = {}  # numbers of messages whose state may be
        self._reserved = 0
        self._waiting_whole = True
        self._waiting_root: int | None = None

    def carry_over(self) -> Salvaged:
        for page in range(1, self._file.count + 1):
            if page not in self._old:
                self._page(page)
        self._carry_over_old()
        self._check_many_recipients()
        self._tell_of_lost()
        for line in self._hurt.values():
            self._warn(line)
        held = self._without_state() + self._in_doubt()
        self._execute(_SET_ASIDE, ("corrupt", json_text(list(self._hurt))))
        self._execute(_CLEAN)
        self._set_numbers()
        return Salvaged(
            self._execute("SELECT count(*) FROM message").get,
            self._execute("SELECT count(*) FROM waiting WHERE queue = 'corrupt'").get,
            held,
            self._unreadable,
            self._file.errors,
            self._file.logged.lost,
            len(self._old),
        )

    def _carry_over_old(self) -> None:
        """What is only in images that may be old, newest first."""
        self._doubting = True
        for page in sorted(page for page in self._old if page <= self._file.count):
            self._page(page)
        self._lost += self._old
        for page, at, after in self._file.logged.images:
            gone = self._messages_in(page, after)
            for row in self._messages_in(page, at):
                if row not in gone:
                    self._row(page, row)
        self._doubting = False

    def _messages_in(self, page: int, at: int) -> list[Row]:
        """The rows of messages, and of their recipients, in an image of a page, or of NONE."""
        data = self._file.read_at(page, at) if at != NONE else None
        found = []
        with contextlib.suppress(BadPage):
            for row in rows_in(self._file, page, data, newest=False) if data is not None else ():
                if row is not None and _kind(row) in ("message", "recipient_chunk"):
                    found.append(row)
        return found

    # Pages and rows

    def _page(self, page: int) -> None:
        kind, _ = self._file.kind(page)
        if kind not in (ROOT, TREE, UNKNOWN):
            return
        data = self._file.read(page)
        whole = data is not None
        newest = not self._doubting
        try:
            for row in rows_in(self._file, page, data, newest=newest) if data is not None else ():
                whole = self._row(page, row) and whole
        except BadPage:
            whole = False
        if not whole:
            self._lost.append(page)
            self._unreadable += kind != UNKNOWN

    def _row(self, page: int, row: Row | None) -> bool:
        """False if it is lost, or a part of it."""
        table = _kind(row) if row else ""
        if row is None or not table:
            return False
        columns = row.columns if row.number is None else (row.number, *row.columns[1:])
        if table == "message":
            return self._message(columns, row.whole)
        if not row.whole:
            return False
        if table == "waiting":
            return self._state(page, columns)
        if table == "recipient_chunk" and (self._doubting or not self._old.isdisjoint(row.pages)):
            self._doubted[_number(columns[0])] = None
        if table == "reserved":
            if not self._doubting:
                self._reserved = max(self._reserved, _number(columns[0]))
        elif table == "sqlite_schema" and columns[1] == "waiting":
            self._waiting_root = _number(columns[3])
        elif table == "fresh" or table == "content_file":
            if queue_id_number(str(columns[2 if table == "fresh" else 1])) != row.number:
                return False
            self._execute(_INSERT[table], columns)
        elif table in _INSERT:
            self._execute(_INSERT[table], columns)
        return True

    def _state(self, page: int, columns: tuple[Value, ...]) -> bool:
        if self._waiting_root is None:
            self._waiting_root = self._file.root(page)
        if not _is_state(columns):
            self._waiting_whole = False
            return False
        self._execute(_INSERT["waiting"], columns)
        if self._doubting:
            self._doubted[_number(columns[0])] = None
        return True

    def _message(self, columns: tuple[Value, ...], whole: bool) -> bool:
        number, queue_id, recipients, checksum, envelope, content = columns
        assert isinstance(number, int) and isinstance(queue_id, str) and isinstance(recipients, int)
        assert isinstance(checksum, int) and isinstance(envelope, bytes) and isinstance(content, bytes)
        if queue_id_number(queue_id) != number:
            return False
        if self._doubting and self._execute("SELECT 1 FROM message WHERE id = ?", (number,)).get:
            if number not in self._hurt or not whole:
                return True
            self._execute("DELETE FROM message WHERE id = ?", (number,))
            del self._hurt[number]
        self._execute(_INSERT["message"], columns)
        if recipients <= CHUNK or not whole:
            row = MessageRow(
                queue_id, recipients, checksum, envelope, content, len(content), None, None, None, None, None
            )
            self._checked(number, row, [])
        return True

    def _checked(self, number: int, row: MessageRow, chunks: list[tuple[str, str | None]]) -> None:
        try:
            found: Stored = stored(row, chunks, check_content=True)
        except Damaged as damage:
            self._hurt[number] = f"{row.queue_id}: damaged message, moved to the corrupt queue: {damage}"
        else:
            if name := found.message.content_file:
                self._execute("INSERT OR REPLACE INTO content_file VALUES(?, ?, ?)", (number, name, found.message.size))

    # What belongs together

    def _named(self, query: str, *arguments: str) -> list[tuple[int, str]]:
        return cast(list[tuple[int, str]], self._execute(query, arguments).fetchall())

    def _check_many_recipients(self) -> None:
        for number, _ in self._named(_MANY_RECIPIENTS):
            if number not in self._hurt:
                columns = self._execute(_WHOLE_ROW + "WHERE m.id = ?", (number,)).fetchall()[0]
                chunks = cast(list[tuple[str, str | None]], self._execute(_CHUNKS, (number,)).fetchall())
                self._checked(number, message_row(columns), chunks)

    def _tell_of_lost(self) -> None:
        for number, queue_id in self._named(_LOST):
            envelope = (number, queue_id, 0, zlib.crc32(_NO_ENVELOPE), _NO_ENVELOPE, b"")
            self._execute(_INSERT["message"], envelope)
            removed = ", if it was not removed before" if self._old else ""
            self._hurt[number] = f"{queue_id}: damaged message, moved to the corrupt queue: nothing of it can be read"
            self._hurt[number] += removed

    def _without_state(self) -> int:
        """Mail that was never tried has no state; the number of those that had one, which is lost."""
        found = self._named(_WITHOUT_STATE, json_text(list(self._hurt)))
        numbers = json_text([number for number, _ in found])
        if not self._waiting_lost():
            self._execute(_MAKE_FRESH, (numbers,))
            return 0
        self._execute(_SET_ASIDE, ("hold", numbers))
        self._tell_of_held(found)
        return len(found)

    def _in_doubt(self) -> int:
        """Mail whose state may be an old one is held."""
        numbers = json_text([number for number in self._doubted if number not in self._hurt])
        found = self._named("SELECT id, queue_id FROM message WHERE id IN (SELECT value FROM json_each(?))", numbers)
        self._execute(_SET_ASIDE, ("hold", json_text([number for number, _ in found])))
        self._tell_of_held(found)
        return len(found)

    def _tell_of_held(self, messages: list[tuple[int, str]]) -> None:
        for _, queue_id in messages:
            self._warn(f"{queue_id}: what has become of this message is not known: moved to the hold queue")

    def _waiting_lost(self) -> bool:
        """May a state be missing, or mail have come back that was removed?"""
        if not self._waiting_whole or self._old:
            return True
        trees = {self._file.root(page) for page in self._lost} - {1}
        return bool(trees) if self._waiting_root is None else not trees.isdisjoint({None, self._waiting_root})

    def _set_numbers(self) -> None:
        highest = self._execute("SELECT max(id) FROM message").get or 0
        if not 0 < self._reserved < _NONSENSE:
            self._reserved = max(highest, self._execute("SELECT number FROM reserved").get) + NUMBERS_SKIPPED
        self._execute("UPDATE reserved SET number = ?", (max(self._reserved, highest + 1),))


def _kind(row: Row) -> str:
    """The table that it is of; empty if there is no such."""
    found = _KIND.fullmatch("".join([_LETTERS[type(column)] for column in row.columns]))
    return str(found.lastgroup) if found else ""


def _number(value: Value) -> int:
    return value if isinstance(value, int) else 0


def _is_state(columns: tuple[Value, ...]) -> bool:
    """Is this a row of `waiting` that makes sense?"""
    number, queue_id, queue, next_attempt, _, state = columns
    if queue_id_number(str(queue_id)) != number:
        return False
    if queue not in ("incoming", "deferred") if next_attempt is not None else queue not in ASIDE:
        return False
    try:
        decode_state(str(state) if state is not None else None)
    except msgspec.DecodeError:
        return False
    return True
