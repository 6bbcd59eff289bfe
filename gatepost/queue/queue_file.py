"""Can the store begin with the queue file that is there? Asked at a start, before anything runs; nothing is changed."""

import os
from pathlib import Path

import apsw

from gatepost.queue.schema import BUSY_MILLISECONDS, FILE_NAME, NotAQueueFile, check_file

_TABLES = ("message", "fresh", "waiting", "recipient_chunk", "content_file", "reserved")
_REMEDY = "restore it from a backup, or move it away to begin with an empty queue"


def refuse_emptied(path: Path) -> None:
    """Raises NotAQueueFile for a file that lost its content: SQLite would throw away its log, and mail in it."""
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and not (path.exists() and path.stat().st_size):
        what = "is empty" if path.exists() else "is missing"
        raise NotAQueueFile(f"{path} {what}, though it held a queue: {log.name} is there; {_REMEDY} ({log.name}, too)")


def check_queue_file(folder: Path) -> None:
    """Raises NotAQueueFile if the file in `folder` cannot be read and written, or is none of ours.

    Damage deep inside is found when it is read. To be called as the user who will use the file.
    """
    path = folder / FILE_NAME
    refuse_emptied(path)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        if not path.stat().st_size:
            return
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            connection.set_busy_timeout(BUSY_MILLISECONDS)
            check_file(connection)
            for table in _TABLES:
                connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()
        finally:
            connection.close()
    except FileNotFoundError:
        return  # the first start
    except OSError as error:
        raise NotAQueueFile(f"{path}: {error.strerror}") from error
    except apsw.Error as error:
        raise NotAQueueFile(f"{path}: {error}; {_REMEDY}") from error
