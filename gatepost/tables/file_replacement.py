"""A file that readers see whole or not at all: written beside the old one, then put in its place."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def only_writer(path: str) -> Iterator[None]:
    """Nobody else of ours changes a table in the folder of `path` meanwhile. Raises OSError."""
    descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # noqa: PTH120
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def replace_file(path: str, write: Callable[[str], None], mode: int) -> None:
    """Have `write` fill a new file, sync it, and give it the name `path`. Raises OSError and what `write` raises.

    A new file has this mode (whatever the umask); one that was there hands down its mode, owner and group.
    """
    temporary = f"{path}.tmp"
    with suppress(FileNotFoundError):
        os.unlink(temporary)  # noqa: PTH108 - of a run that was killed
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _take_after(descriptor, path, mode)
        write(temporary)
        os.fsync(descriptor)
        os.rename(temporary, path)  # noqa: PTH104
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise
    finally:
        os.close(descriptor)
    _sync_folder(path)


def _take_after(descriptor: int, path: str, mode: int) -> None:
    try:
        old = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        os.fchmod(descriptor, mode)
        return
    with suppress(PermissionError):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, old.st_mode & 0o777)


def _sync_folder(path: str) -> None:
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # noqa: PTH120
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
