"""Large message content in files of its own: steps 1 and 2 of the order that stands behind `250` (queue/sqlite.py)."""

import contextlib
import errno
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from gatepost.queue.store import StoreFailure, StoreFull

CONTENT_FOLDER = "content"
_READ = 64 * 1024


class ContentDamaged(Exception):
    """A content file does not have the length or checksum that its message says."""


def content_path(folder: Path | str, name: str) -> Path:
    """The file of that name in the store's `folder`. ValueError for a name that leads elsewhere."""
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise ValueError(f"{name!r}: not the name of a content file")
    return Path(folder, CONTENT_FOLDER, name)


class ContentFile:
    """A content file being written, in the store's `folder`; `name` is the queue ID.

    `size` is what was written so far. Its checksum is the caller's business: it has read the content anyway.
    """

    def __init__(self, folder: Path | str, name: str) -> None:
        """Raises StoreFull or StoreFailure."""
        self.name = name
        self.size = 0
        self._path = content_path(folder, name)
        try:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _storage_error(error) from error

    def write(self, data: bytes) -> None:
        """Append. Raises StoreFull or StoreFailure; the caller then abandons the file."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            raise _storage_error(error) from error
        self.size += len(data)

    def finish(self) -> None:
        """Sync the file, then its folder; blocks. Only then may the message be handed over. Raises as `write`."""
        try:
            os.fsync(self._descriptor)
            self._close()
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise _storage_error(error) from error

    def abandon(self) -> None:
        """Remove the file; it belongs to no message. What cannot be removed now goes at a later start."""
        self._close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def require_files(folder: Path | str, files: list[tuple[str, int]]) -> None:
    """Raises ValueError if one of these (name, octets) is not there as it was written.

    Somebody may have taken it away before there was a row: a start whose clock had jumped, see queue/recovery.py.
    """
    for name, size in files:
        try:
            found = content_path(folder, name).stat().st_size
        except OSError as error:
            raise ValueError(f"content file {name}: {error.strerror}") from error
        if found != size:
            raise ValueError(f"content file {name} has {found} of {size} octets")


def read_content(path: Path | str, size: int, checksum: int) -> Iterator[bytes]:
    """The content in pieces. Raises ContentDamaged, at the end, if it is not what was stored, or at once if it is
    gone; OSError if it cannot be told now.

    Whoever delivers must hold back the end of the message until the iteration has ended well.
    """
    seen, crc = 0, 0
    try:
        with open(path, "rb") as file:
            while data := file.read(_READ):
                seen += len(data)
                crc = zlib.crc32(data, crc)
                yield data
    except FileNotFoundError as error:
        raise ContentDamaged("content file missing") from error
    if seen != size:
        raise ContentDamaged(f"content file has {seen} of {size} octets")
    if crc != checksum:
        raise ContentDamaged("content file checksum mismatch")


def _storage_error(error: OSError) -> StoreFull | StoreFailure:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(str(error))
    return StoreFailure(str(error))
