"""What a start must know of the queue file before it opens it: may it be used, is it damaged, is a swap unfinished?"""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import msgspec

from gatepost.queue.log_file import refuse_damaged_log
from gatepost.queue.schema import BUSY_MILLISECONDS, FILE_NAME, NotAQueueFile, check_file

_TABLES = ("message", "fresh", "waiting", "recipient_chunk", "content_file", "reserved")
_REMEDY = "restore it from a backup, or move it away to begin with an empty queue"

SUSPECT = f"{FILE_NAME}.suspect"
"""Beside the queue file: lines that say what was found wrong with it. Then a start looks through all of it."""
SALVAGED = f"{FILE_NAME}.salvaged-"
"""Beside the queue file, with the time: the file that is to take its place, complete and synced."""
DAMAGED = f"{FILE_NAME}.damaged-"
"""What was the queue file until that time."""

COPIES = 3
"""So many damaged files are kept within COPIES_WITHIN; after that the queue file is not replaced any more."""
COPIES_WITHIN = 7 * 86400.0
TOO_OFTEN = "not replaced again"
"""Noted then, so that a start knows it."""

_READ_ERRORS = (
    apsw.SQLITE_IOERR_READ, apsw.SQLITE_IOERR_SHORT_READ, apsw.SQLITE_IOERR_DATA, apsw.SQLITE_IOERR_CORRUPTFS,
)  # fmt: skip


def is_damage(error: Exception) -> bool:
    """Does this come of what is in the file, so that it will come again?"""
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError, msgspec.DecodeError)):
        return True
    if isinstance(error, apsw.SQLError):  # a table is missing in what the file says of itself
        return str(error).startswith("no such ")
    return isinstance(error, apsw.IOError) and getattr(error, "extendedresult", 0) in _READ_ERRORS


def suspect(folder: Path, why: str) -> None:
    """Have the next start look through the file. What cannot be noted now will be found again."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder / SUSPECT, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, f"{why}\n".encode(errors="replace"))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def suspicions(folder: Path) -> list[str]:
    """What was noted."""
    try:
        return (folder / SUSPECT).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def kept_since(folder: Path, moment: float) -> list[Path]:
    """The damaged files that were put aside since then, without their logs. `moment`: wall-clock seconds."""
    found = []
    for path in sorted(folder.glob(f"{DAMAGED}*")):
        with contextlib.suppress(FileNotFoundError):  # moved away just now
            if not path.name.endswith(("-wal", "-shm", "-content")) and path.stat().st_ctime > moment:
                found.append(path)
    return found


def refuse_another_copy(folder: Path, now: float) -> None:
    """Raises NotAQueueFile if a disk that fails again and again would be filled with damaged files.

    Nothing is lost by that: the queue file is left as it is until somebody has looked.
    """
    kept = kept_since(folder, now - COPIES_WITHIN)
    if len(kept) >= COPIES:
        names = ", ".join(path.name for path in kept)
        raise NotAQueueFile(
            f"{folder / FILE_NAME} is damaged, and was replaced {len(kept)} times within a week: its disk may be "
            f"failing, so it is left as it is. When the disk is in order, move away {names}, and what belongs to them"
        )


def finish_swap(folder: Path, warn: Callable[[str], None]) -> None:
    """If there is a file to take the queue file's place, let it; the queue file and its log are kept beside it.

    Whoever is stopped on the way begins again: as long as that file is there, whatever else has the queue file's name
    is the damaged one. Raises OSError.
    """
    for salvaged in sorted(folder.glob(f"{SALVAGED}*")):
        kept = folder / f"{DAMAGED}{salvaged.name.removeprefix(SALVAGED)}"
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                (folder / f"{FILE_NAME}{end}").rename(f"{kept}{end}")
        sync_folder(folder)
        salvaged.rename(folder / FILE_NAME)
        sync_folder(folder)
        warn(f"{folder / FILE_NAME} is a new file; the damaged one is kept as {kept}")


def sync_folder(folder: Path) -> None:
    """Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_missing(path: Path) -> None:
    """Raises NotAQueueFile if only the log is there: SQLite would throw it away, and mail in it."""
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and not path.exists():
        raise NotAQueueFile(
            f"{path} is missing, though it held a queue: {log.name} is there; {_REMEDY} ({log.name}, too)"
        )


def emptied(path: Path) -> bool:
    """Has the file lost its content? SQLite would throw away its log, and mail in it."""
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and path.exists() and not path.stat().st_size


def check_queue_file(folder: Path, clock: Callable[[], float] = time.time) -> str:
    """Asked at a start, before anything runs; nothing is changed. What is wrong, if the queue manager can mend it.

    Raises NotAQueueFile if the file in `folder` cannot be read and written, is none of ours, or is missing, or was
    replaced too often. Damage deep inside is found when it is read. To be called as the user who will use the file.
    """
    path = folder / FILE_NAME
    if any(folder.glob(f"{SALVAGED}*")):
        return ""
    refuse_missing(path)
    if suspicions(folder)[-1:] == [TOO_OFTEN]:
        refuse_another_copy(folder, clock())
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        if emptied(path):
            return f"{path} is empty, though it held a queue"
        if not path.stat().st_size:
            return ""
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            connection.set_busy_timeout(BUSY_MILLISECONDS)
            check_file(connection)
            refuse_damaged_log(path, connection)
            for table in _TABLES:
                connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()
        finally:
            connection.close()
    except FileNotFoundError:
        return ""  # the first start
    except OSError as error:
        raise NotAQueueFile(f"{path}: {error.strerror}") from error
    except (apsw.Error, UnicodeDecodeError) as error:
        if is_damage(error):
            return f"{path}: {error}"
        raise NotAQueueFile(f"{path}: {error}; {_REMEDY}") from error
    return ""
