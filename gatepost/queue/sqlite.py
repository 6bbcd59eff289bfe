"""The durable store in one SQLite file and a folder of large contents.

    FOLDER/queue.db, queue.db-wal, queue.db-shm    everything but
    FOLDER/content/NAME                            contents of more than INLINE_LIMIT octets

What stands behind `250` (design, part 5), numbered where it happens:

1. large content is written             queue/content_file.py, write
2. it is synced, with its folder        queue/content_file.py, finish
3. the row is committed, with a sync    here, commit: synchronous = FULL
4. `250`                                whoever called commit, after it returned
"""

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from pathlib import Path

import apsw
import msgspec

from gatepost.mail.envelope import Recipient
from gatepost.net.allocation import keep_freed_memory
from gatepost.queue.acts import acts_in, carry_out_acts, numbers_text
from gatepost.queue.checkpoint import Checkpointer
from gatepost.queue.content_file import CONTENT_FOLDER, content_path, require_files
from gatepost.queue.log_file import refuse_damaged_log
from gatepost.queue.numbers import Numbers
from gatepost.queue.queue_file import emptied, finish_swap, is_damage, refuse_missing, suspect, sync_folder
from gatepost.queue.reader import Reader
from gatepost.queue.recovery import recover_content
from gatepost.queue.rows import MarkedMessages, Marks, WaitingRow, json_text, message_rows
from gatepost.queue.schema import (
    BATCH_VIEW,
    FILE_NAME,
    SHIFT,
    WRITE_BATCH,
    NotAQueueFile,
    open_connection,
    prepare_file,
)
from gatepost.queue.store import Batch, Listed, QueueName, Stored, StoreFailure, StoreFull

# A new file's first number, so that the IDs of a queue that was deleted and made anew do not come again:
# seconds since this moment (2024-01-01).
_NUMBERS_BEGIN = 1_704_067_200

WRITER_CACHE = 16 * 1024 * 1024
"""Octets of pages: with SQLite's 2 MB a change of some thousand messages writes, and reads, many pages twice."""

_MARKED = """
SELECT json_group_array(json_array(m.id, m.queue_id, coalesce(w.queue, 'incoming'),
    CASE WHEN w.id IS NULL THEN coalesce(f.arrival, 0) ELSE w.next_attempt END, coalesce(w.flags, 0), w.state))
FROM json_each(?) AS named CROSS JOIN message AS m ON m.id = named.value
LEFT JOIN waiting AS w ON w.id = m.id LEFT JOIN fresh AS f ON f.id = m.id
"""
_CHUNK_STATES = """
SELECT json_group_array(json_array(c.id, c.number, c.state))
FROM json_each(?) AS named CROSS JOIN recipient_chunk AS c ON c.id = named.value
"""
_FILES_OF = """
SELECT json_group_array(c.name) FROM json_each(?) AS named CROSS JOIN content_file AS c ON c.id = named.value
"""
_waiting_rows = msgspec.json.Decoder(list[WaitingRow])
_chunk_state_rows = msgspec.json.Decoder(list[tuple[int, int, str | None]])
_names = msgspec.json.Decoder(list[str])
_UNREADABLE = (apsw.Error, OSError, UnicodeDecodeError, msgspec.DecodeError)


def first_number(now: float) -> int:
    """For queue IDs, if none are known that were given before. `now`: wall-clock seconds."""
    return max(1, int(now) - _NUMBERS_BEGIN)


def _silent(text: str) -> None:
    pass


class SqliteStore:
    """See `Store`. `warn` gets one line per damaged message; `clock` is wall-clock seconds.

    Opening recovers (SQLite replays its log; content files and rows are compared). Raises StoreFailure or StoreFull
    when the file cannot be opened. A damaged file is not mended (queue/mending.py), but noted as such.
    `on_failure` is called once, in any thread, when the store that is open fails; whoever asks is told as well.
    `vfs` names an apsw VFS, `checkpoints=False` leaves checkpoints to the caller.
    """

    def __init__(
        self,
        folder: Path | str,
        warn: Callable[[str], None] = _silent,
        *,
        clock: Callable[[], float] = time.time,
        on_failure: Callable[[StoreFailure], object] | None = None,
        vfs: str | None = None,
        checkpoints: bool = True,
    ) -> None:
        self._folder = Path(folder)
        self._warn = warn
        self._failure: StoreFailure | None = None
        self._on_failure: Callable[[StoreFailure], object] | None = None
        # Held while this process writes to the file: by commit, and by a checkpoint that must catch up with it.
        self._write_lock = threading.Lock()
        try:
            keep_freed_memory()
            self._open(clock, vfs)
        except (*_UNREADABLE, NotAQueueFile) as error:
            raise self._storage_error(error) from error
        self._on_failure = on_failure
        if checkpoints:
            self._checkpointer.start()

    def _open(self, clock: Callable[[], float], vfs: str | None) -> None:
        content = self._folder / CONTENT_FOLDER
        content.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = self._folder / FILE_NAME
        finish_swap(self._folder, self._warn)
        refuse_missing(self._path)
        if emptied(self._path):
            raise apsw.CorruptError("the queue file is empty, though it held a queue")
        if vfs is None:
            # SQLite gives its other files the mode of this one.
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        self._writer = open_connection(self._path, vfs)
        refuse_damaged_log(self._path, self._writer, cut=True)
        self._writer.execute(f"PRAGMA cache_size = -{WRITER_CACHE // 1024}")
        prepare_file(self._writer, first_number(clock()))
        sync_folder(self._folder)
        self._writer.execute(BATCH_VIEW)
        self._checkpointer = Checkpointer(self._path, vfs, self._write_lock, self._fail)
        self._numbers = Numbers(self._writer.execute("SELECT number FROM reserved").get)
        self._reader = Reader(open_connection(self._path, vfs), self._folder, self._warn)
        missing = recover_content(self._writer, content, clock(), self._warn)
        self._files = self._writer.execute("SELECT count(*) FROM content_file").get
        # Whether any message ever had further chunks since this start, or had some then.
        self._chunked = bool(self._writer.execute("SELECT EXISTS (SELECT 1 FROM recipient_chunk)").get)
        if missing:
            self.commit(Batch(moved=[(queue_id, "corrupt") for queue_id in missing]))

    # Writing

    def commit(self, batch: Batch) -> None:
        with self._write_lock:
            self._check()
            marks = Marks()
            new, octets = message_rows(batch.new, marks) if batch.new else (None, None)
            if marks.files:
                require_files(self._folder, [(name, size) for _, name, size in marks.files])
            marks.flushed = batch.flushed
            try:
                if batch.shifted:
                    self._shift(batch)
                batch = self._with_damaged(batch)
                files = self._prepare(batch, marks)
                removed = numbers_text(batch.removed) if batch.removed else None
                marks.reserved = self._numbers.to_reserve()
                other = json_text(marks) if marks else None
                acts = acts_in(batch)
                if acts:
                    with self._writer:
                        self._writer.execute(WRITE_BATCH, (new, octets, removed, other))
                        carry_out_acts(self._writer, batch)
                elif new or removed or other:
                    self._writer.execute(WRITE_BATCH, (new, octets, removed, other))
                else:
                    return
            except apsw.ConstraintError as error:
                raise ValueError(f"a queue ID is in use: {error}") from error
            except _UNREADABLE as error:
                raise self._storage_error(error) from error
            self._numbers.reserved(marks.reserved)
            self._files += len(marks.files) - len(files)
            self._chunked = self._chunked or bool(marks.chunks)
        for name in files:
            with contextlib.suppress(OSError):
                content_path(self._folder, name).unlink()
        self._checkpointer.written(len(octets or b""), len(batch.removed), len(marks.waiting) + acts)
        self._checkpointer.removed(len(batch.removed))

    def _shift(self, batch: Batch) -> None:
        """In a transaction of its own: it is seldom, and may be long."""
        with self._writer:
            self._writer.execute(SHIFT, (sum(batch.shifted),) * 2)
        batch.shifted.clear()  # what is tried again for lack of space must not move again

    def _with_damaged(self, batch: Batch) -> Batch:
        """And what the reader has found damaged meanwhile."""
        if moved := self._reader.take_damaged():
            return msgspec.structs.replace(batch, moved=[*batch.moved, *((name, "corrupt") for name in moved)])
        return batch

    def _prepare(self, batch: Batch, marks: Marks) -> list[str]:
        """Read what the marks need; the names of the content files to unlink once the batch is written."""
        if batch.done or batch.deferred:
            self._mark(batch, marks)
        if batch.removed and self._files:
            return _names.decode(self._writer.execute(_FILES_OF, (numbers_text(batch.removed),)).get)
        return []

    def _mark(self, batch: Batch, marks: Marks) -> None:
        named = {queue_id for queue_id, _ in batch.done}
        named.update(deferral.queue_id for deferral in batch.deferred)
        # A row that this batch removes as well must not be written after its removal.
        named.difference_update(batch.removed)
        numbers = numbers_text(named)
        rows = _waiting_rows.decode(self._writer.execute(_MARKED, (numbers,)).get)
        chunks: dict[tuple[int, int], str | None] = {}
        if self._chunked:
            states = _chunk_state_rows.decode(self._writer.execute(_CHUNK_STATES, (numbers,)).get)
            chunks = {(number, chunk): state for number, chunk, state in states}
        MarkedMessages({row.queue_id: row for row in rows if row.queue_id in named}, chunks).apply(batch, marks)

    def reserve(self, count: int) -> int:
        self._check()
        first = self._numbers.take(count)
        if first is None:
            with self._write_lock:
                self._check()
                upto = self._numbers.to_reserve(count)
                try:
                    self._writer.execute("UPDATE reserved SET number = ?", (upto,))
                except apsw.Error as error:
                    raise self._storage_error(error) from error
                self._numbers.reserved(upto)
            first = self._numbers.take(count)
            assert first is not None
        return first

    # Reading

    def load(self, queue_id: str, *, content: bool = True) -> Stored | None:
        with self._reading():
            return self._reader.load(queue_id, content)

    def recipients(self, queue_id: str, indexes: Sequence[int]) -> dict[int, Recipient]:
        with self._reading():
            return self._reader.recipients(queue_id, indexes)

    def due(self, now: float, limit: int, exclude: Container[str] = ()) -> list[Stored]:
        with self._reading():
            return self._reader.due(now, limit, exclude)

    def next_due(self, exclude: Container[str] = ()) -> float | None:
        with self._reading():
            return self._reader.next_due(exclude)

    def flush_list(self, domain: str, after: int, limit: int) -> list[tuple[int, str | None]]:
        with self._reading():
            return self._reader.flush_list(domain, after, limit)

    def flush_domains(self) -> list[str]:
        with self._reading():
            return self._reader.flush_domains()

    def listing(self) -> Iterator[Listed]:
        with self._reading():
            yield from self._reader.listing()

    def queues_of(self, queue_ids: Iterable[str]) -> list[tuple[str, QueueName, bool]]:
        with self._reading():
            return self._reader.queues_of(queue_ids)

    def queue_ids(self) -> Iterator[list[tuple[str, QueueName]]]:
        with self._reading():
            yield from self._reader.queue_ids()

    def count(self) -> dict[QueueName, int]:
        with self._reading():
            return self._reader.count()

    def count_in_pieces(self) -> Iterator[dict[QueueName, int]]:
        with self._reading():
            yield from self._reader.count_in_pieces()

    def free(self) -> int:
        with self._reading():
            return self._reader.free()

    def content_path(self, name: str) -> str:
        return str(content_path(self._folder, name))

    def close(self) -> None:
        self._checkpointer.close()
        if not self._failure:
            with contextlib.suppress(StoreFull, StoreFailure):
                self.commit(Batch())
        if not self._failure:
            with contextlib.suppress(apsw.Error):
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._failure = self._failure or StoreFailure("the store is closed")
        for connection in (self._reader, self._writer):
            with contextlib.suppress(apsw.Error):
                connection.close()

    # Failure

    def _check(self) -> None:
        if self._failure:
            raise self._failure

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        self._check()
        try:
            yield
        except _UNREADABLE as error:
            raise self._fail(error) from error

    def _storage_error(self, error: Exception) -> StoreFailure | StoreFull:
        """StoreFull when the batch was rolled back for lack of space; otherwise the store is finished."""
        if isinstance(error, OSError):
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        else:
            full = _for_lack_of_space(error)
        if full:
            return StoreFull(f"{self._folder}: {error}")
        failure = self._fail(error)
        # After a failed sync nobody knows what is on the disk; no statement may run on this connection again.
        with contextlib.suppress(apsw.Error, AttributeError):
            self._writer.close(True)
        return failure

    def _fail(self, error: Exception) -> StoreFailure:
        if not self._failure:
            self._failure = StoreFailure(f"{self._folder}: {error}")
            if is_damage(error):
                suspect(self._folder, str(error))
            if self._on_failure is not None:
                self._on_failure(self._failure)
        return self._failure


def _for_lack_of_space(error: Exception) -> bool:
    if isinstance(error, apsw.FullError):
        return True
    # The index of the log could not grow, or a quota is used up. A sync that fails is final whatever its reason.
    extended = getattr(error, "extendedresult", 0)
    return extended in (apsw.SQLITE_IOERR_SHMSIZE, apsw.SQLITE_IOERR_SHMMAP)
