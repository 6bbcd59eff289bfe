"""The write-ahead log of a queue file as it lies on the disk, and whether it goes on behind what SQLite takes of it.

SQLite reads a log up to the first frame whose checksum does not fit and drops all behind it, without a word. After a
power cut that is right: the last transaction may have been written in part, in any order, and nobody got `250` for it.
Each commit is synced before the next one begins (`synchronous = FULL`), and so is the log's header before the first
frame. So behind what SQLite takes there is a part of one transaction at most. If there is more, or if there are
transactions under a header that is none, the log was damaged, and what SQLite would drop was acknowledged.

What cannot be told: damage of the last transaction from a power cut in it, and a log that was cut or emptied from one
that never was longer. Frames of an earlier turn of the log, all of which are in the queue file, have other salts.

Source: "WAL-mode File Format" of SQLite, sections 2 and 4.
"""

import os
import struct
from array import array
from collections.abc import Iterable
from pathlib import Path
from sys import byteorder
from typing import Final, NamedTuple

import apsw

PAGE: Final = 4096
"""Octets, in each queue file (queue/schema.py, open_connection)."""
HEADER: Final = 32
FRAME_HEADER: Final = 24
FRAME: Final = FRAME_HEADER + PAGE

_VERSION = 3007000
_ORDERS = {0x377F0682: "little", 0x377F0683: "big"}
_WORD = 0xFFFFFFFF

Sums = tuple[int, int]


class LogHeader(NamedTuple):
    """`salts` are those of each frame that counts; `sums` is what the first frame's checksum goes on from.

    `sums` is None if the header is damaged; then the salts are those of the first frame that makes sense.
    """

    salts: bytes
    order: str
    sums: Sums | None


class Head(NamedTuple):
    """Of a frame. `committed`: pages of the file after the transaction that it ends; 0 if it ends none."""

    page: int
    committed: int
    sums: Sums


def log_of(path: Path) -> Path:
    """The log of that file."""
    return path.with_name(f"{path.name}-wal")


def frames_in(log: int) -> int:
    """How many there is room for in the open file."""
    return max(0, os.fstat(log).st_size - HEADER) // FRAME


def place(frame: int) -> int:
    """Where a frame begins. They are counted from 0."""
    return HEADER + frame * FRAME


def pread(log: int, length: int, at: int) -> bytes:
    """Nothing, if the disk cannot read it."""
    try:
        data = os.pread(log, length, at)
    except OSError:
        return b""
    return data if len(data) == length else b""


def read_header(log: int, pages: int) -> LogHeader | None:
    """None if there are no frames of ours behind it. `pages`: of the queue file."""
    data = pread(log, HEADER, 0)
    if data:
        magic, version, page, *_, first, second = struct.unpack(">8I", data)
        order = _ORDERS.get(magic, "")
        if order and version == _VERSION and checksum(data[:24], order, (0, 0)) == (first, second):
            return LogHeader(data[16:24], order, (first, second)) if page == PAGE else None
    frames = frames_in(log)
    for frame in range(frames):
        head = pread(log, FRAME_HEADER, place(frame))
        if head and 0 < int.from_bytes(head[:4]) <= pages + frames and any(head[8:16]):
            return LogHeader(head[8:16], byteorder, None)
    return None


def heads(log: int, salts: bytes, frames: Iterable[int]) -> dict[int, Head]:
    """Of those frames that have the salts."""
    found = {}
    for frame in frames:
        head = pread(log, FRAME_HEADER, HEADER + frame * FRAME)
        if head[8:16] == salts:
            page, committed, _, _, first, second = struct.unpack(">6I", head)
            if page:
                found[frame] = Head(page, committed, (first, second))
    return found


def goes_on(log: int, header: LogHeader, found: dict[int, Head]) -> bool:
    """Is there more than a part of one transaction in the frames `found` behind what SQLite takes?"""
    ends = [frame for frame, head in found.items() if head.committed]
    if not ends or header.sums is None:
        return bool(ends)
    end = ends[0]
    if len(ends) > 1 or (end + 1 in found and follows(log, header.order, end + 1, found[end].sums, found[end + 1])):
        return True
    # A transaction has no page twice; behind its end there may be the remains of one that was rolled back.
    pages = [head.page for frame, head in found.items() if frame <= end]
    return len(set(pages)) < len(pages)


def follows(log: int, order: str, frame: int, before: Sums, head: Head) -> bool:
    """Does the frame's checksum fit to it, and to that of the frame before it?"""
    data = pread(log, FRAME, place(frame))
    return bool(data) and checksum(data[FRAME_HEADER:], order, checksum(data[:8], order, before)) == head.sums


def refuse_damaged_log(path: Path, connection: apsw.Connection, *, cut: bool = False) -> None:
    """Raises apsw.CorruptError, with where it is, if the log of the queue file at `path` was damaged; other apsw.Error.

    To be asked before anything is written: that would write over what stands behind the damage. `connection` has
    read the file. It costs nothing if SQLite takes all of the log; if it has begun anew, measured, 19 ms for 64 MiB of
    frames behind it (47 ms if none of it is in the page cache).

    `cut`: take away what a power cut has left of a transaction, and sync; raises OSError. Who goes on with the log has
    to: SQLite would leave the end of that behind a shorter transaction, and after another power cut the two would look
    like damage. To be asked by the only one who writes.
    """
    accepted, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
    if accepted < 0:
        return  # no log is used yet
    try:
        log = os.open(log_of(path), (os.O_RDWR if cut else os.O_RDONLY) | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if _left(log, path, accepted) and cut:
            os.ftruncate(log, place(accepted))
            os.fsync(log)
    finally:
        os.close(log)


def _left(log: int, path: Path, accepted: int) -> bool:
    """Is there a part of a transaction behind what SQLite takes? Raises apsw.CorruptError if there is more."""
    frames = frames_in(log)
    if accepted >= frames:
        return False
    header = read_header(log, path.stat().st_size // PAGE)
    if header is None:
        return False
    found = heads(log, header.salts, range(accepted, frames))
    if not goes_on(log, header, found):
        return bool(found)
    frame = _first_damaged(log, header, accepted, found)
    where = f"frame {frame + 1} (octet {place(frame)})" if frame >= 0 else "its header"
    ends = sum(bool(head.committed) for head in found.values())
    raise apsw.CorruptError(f"{log_of(path).name} is damaged: SQLite would drop {ends} transactions from {where} on")


def _first_damaged(log: int, header: LogHeader, accepted: int, found: dict[int, Head]) -> int:
    """-1: the header."""
    if header.sums is None:
        return -1
    before = heads(log, header.salts, [accepted - 1])[accepted - 1].sums if accepted else header.sums
    frame = accepted
    while frame in found and follows(log, header.order, frame, before, found[frame]):
        before = found[frame].sums
        frame += 1
    return frame


def checksum(data: bytes, order: str, sums: Sums) -> Sums:
    """The log's checksum, continued with `data`."""
    first, second = sums
    each = iter(_words(data, order))
    for word in each:
        first = (first + word + second) & _WORD
        second = (second + next(each) + first) & _WORD
    return first, second


def checksum_before(data: bytes, order: str, sums: Sums) -> Sums:
    """What `checksum` must have begun with to end with `sums`."""
    first, second = sums
    each = iter(reversed(_words(data, order)))
    for word in each:
        second = (second - word - first) & _WORD
        first = (first - next(each) - second) & _WORD
    return first, second


def _words(data: bytes, order: str) -> "array[int]":
    words = array("I", data)
    if order != byteorder:
        words.byteswap()
    return words
