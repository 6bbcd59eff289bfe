"""Opens the queue of a mail system, and mends its file first if that is damaged: the queue manager's start.

A sound file costs nothing: it is looked through only if an earlier queue manager, or opening it, met damage
(queue/queue_file.py, `suspect`). Then what is wrong with its index only is made anew from the table; else what can be
read is carried over into a new file (queue/salvage.py):

1. the new file is written and synced under another name;
2. it gets a name that says so; from here on the swap will be finished, whoever is stopped (`finish_swap`);
3. the damaged file and its log are renamed;
4. the new one gets their place.

Until the third step the damaged file is as it was, and afterwards, too, but for its name. It is never deleted.

A disk that damages each new file would be filled with them: after some within a week (queue/queue_file.py, COPIES) no
other is made, nor one that would leave too little space (SPACE_LEFT). Then the queue manager does not start, and the
damaged file waits, with all that is in it, for somebody to look at the disk.
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from gatepost.mail.queue_id import queue_id_number
from gatepost.queue.content_file import CONTENT_FOLDER
from gatepost.queue.log_file import refuse_damaged_log
from gatepost.queue.queue_file import (
    DAMAGED,
    SALVAGED,
    SUSPECT,
    TOO_OFTEN,
    emptied,
    finish_swap,
    kept_since,
    refuse_another_copy,
    suspect,
    suspicions,
    sync_folder,
)
from gatepost.queue.salvage import Salvaged, salvage
from gatepost.queue.schema import FILE_NAME, LARGE_OCTETS, NotAQueueFile, open_connection
from gatepost.queue.sqlite import SqliteStore, first_number
from gatepost.queue.store import StoreFailure, StoreFull

_UNFINISHED = f"{FILE_NAME}.salvaging"
_LOOKED_THROUGH = "looked through: nothing wrong was found"
_LATELY = 86400.0
SPACE_LEFT = LARGE_OCTETS
"""Octets that a new file leaves on the disk: what the log may take. On a small one a part of it."""
_PART = 20
_ATTEMPTS = 3  # to open the file: as it is, looked through, and replaced

Warn = Callable[[str], None]


def open_mended(
    folder: Path, warn: Warn, *, on_failure: Callable[[StoreFailure], object], clock: Callable[[], float] = time.time
) -> SqliteStore:
    """The store in `folder`. `warn` gets a line for each thing that was done. Raises StoreFailure, StoreFull.

    Nobody else may have it open. `on_failure`: see SqliteStore.
    """
    try:
        (folder / _UNFINISHED).unlink(missing_ok=True)
        finish_swap(folder, warn)
        for _ in range(_ATTEMPTS):
            if (noted := _to_look_at(folder)) is not None:
                _mend(folder, noted, warn, clock)
            try:
                return SqliteStore(folder, warn, clock=clock, on_failure=on_failure)
            except StoreFailure:
                if _to_look_at(folder) is None:
                    raise
    except NotAQueueFile as error:
        raise StoreFailure(str(error)) from error
    except (apsw.Error, OSError) as error:
        raise _failure(folder, error) from error
    return SqliteStore(folder, warn, clock=clock, on_failure=on_failure)


def _to_look_at(folder: Path) -> list[str] | None:
    """What was noted; None if nothing was, or it was seen to."""
    noted = suspicions(folder)
    return noted if noted and noted[-1] != _LOOKED_THROUGH else None


def _mend(folder: Path, noted: list[str], warn: Warn, clock: Callable[[], float]) -> None:
    """Raises StoreFailure, StoreFull, NotAQueueFile, apsw.Error, OSError."""
    path = folder / FILE_NAME
    if noted[-1] == TOO_OFTEN:
        refuse_another_copy(folder, clock())
    why = [line for line in noted if line != TOO_OFTEN]
    warn(f"{path}: {(why or noted)[-1]}: looking through the whole file, which may take some time")
    found = _mended_in_place(path)
    if not found or (found == _LOOKED_THROUGH and found in noted and not _replaced_lately(folder, clock())):
        # What came again, though nothing is wrong with the order of the file, is in its rows.
        _replace(folder, warn, clock)
        return
    warn(f"{path}: {found}")
    if found == _LOOKED_THROUGH:
        suspect(folder, found)
    else:
        (folder / SUSPECT).unlink(missing_ok=True)


def _replaced_lately(folder: Path, now: float) -> bool:
    """If that did not help, another copy would not either, and they would fill the disk."""
    return bool(kept_since(folder, now - _LATELY))


def _mended_in_place(path: Path) -> str:
    """What was found, and done; empty if that will not do."""
    if emptied(path):
        return ""
    try:
        with contextlib.closing(open_connection(path)) as connection:
            refuse_damaged_log(path, connection, cut=True)
            if _sound(connection):
                return _LOOKED_THROUGH
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("REINDEX")
            if not _sound(connection):
                return ""
            connection.execute("COMMIT")
            return "its index was wrong and was made anew; no mail is lost"
    except (apsw.Error, UnicodeDecodeError):
        return ""


def _sound(connection: apsw.Connection) -> bool:
    return connection.execute("PRAGMA integrity_check(1)").fetchall() == [("ok",)]


def _replace(folder: Path, warn: Warn, clock: Callable[[], float]) -> None:
    path, new = folder / FILE_NAME, folder / _UNFINISHED
    try:
        refuse_another_copy(folder, clock())
    except NotAQueueFile:
        suspect(folder, TOO_OFTEN)
        raise
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(clock()))
    while any(folder.glob(f"{DAMAGED}{stamp}*")):
        stamp += "+"
    try:
        os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
        found = salvage(path, new, first_number(clock()), warn, _room(folder))
        if found.errors and not found.messages:
            raise StoreFailure(f"{path}: the disk cannot be read; the file was left as it is")
        _sync(new)
        unclaimed = _keep_unclaimed(folder, new, f"{DAMAGED}{stamp}-content")
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    warn(f"{path}: {_told(found, unclaimed, f'{DAMAGED}{stamp}')}")
    new.rename(folder / f"{SALVAGED}{stamp}")
    sync_folder(folder)
    (folder / SUSPECT).unlink(missing_ok=True)
    finish_swap(folder, warn)


def _room(folder: Path) -> int:
    """Octets that the new file may have."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize - _left_free(disk)


def _left_free(disk: os.statvfs_result) -> int:
    return min(SPACE_LEFT, disk.f_blocks * disk.f_frsize // _PART)


def _told(found: Salvaged, unclaimed: int, kept: str) -> str:
    text = (
        f"{found.messages} messages were carried over into a new file; of these {found.corrupt} are in the corrupt "
        f"queue, {found.held} were put on hold because their state is lost; {found.unreadable} pages of the "
        f"damaged file ({kept}) could not be read"
    )
    if found.frames:
        text += f"; {found.frames} frames of its log could not be used, {found.old} pages may be older than they were"
    return text + (f"; {unclaimed} large contents without a message are in {kept}-content" if unclaimed else "")


def _keep_unclaimed(folder: Path, new: Path, kept: str) -> int:
    """Large contents that belong to no message that was found would go after a day: keep them under another name.

    Those that arrive just now are among them. How many there are.
    """
    with contextlib.closing(apsw.Connection(str(new), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        claimed = {name for (name,) in connection.execute("SELECT name FROM content_file")}
    (folder / CONTENT_FOLDER).mkdir(mode=0o700, exist_ok=True)  # all else may be gone as well
    names = (file.name for file in (folder / CONTENT_FOLDER).iterdir())
    unclaimed = [name for name in names if name not in claimed and queue_id_number(name) is not None]
    if unclaimed:
        (folder / kept).mkdir(mode=0o700, exist_ok=True)
        for name in unclaimed:
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                (folder / kept / name).hardlink_to(folder / CONTENT_FOLDER / name)
        sync_folder(folder / kept)
    return len(unclaimed)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failure(folder: Path, error: Exception) -> StoreFailure | StoreFull:
    full = isinstance(error, apsw.FullError) or getattr(error, "errno", 0) in (errno.ENOSPC, errno.EDQUOT)
    if full:
        kept = ", ".join(path.name for path in kept_since(folder, 0))
        return StoreFull(
            f"{folder}: no space to carry over what can be read of the damaged {FILE_NAME} (up to its size is needed, "
            f"and {_left_free(os.statvfs(folder)) >> 20} MiB are left free); it was left as it is: {error}"
            + (f"; damaged files of before take space, too: {kept}" if kept else "")
        )
    return StoreFailure(f"{folder}: {error}")
