"""Large content on its way out: what the disk gives back is compared with what was stored, as it is read.

Only the end tells. So whoever delivers holds back what makes a message of the octets (the final dot, the name in a
Maildir, the new length of a mailbox) until the end has been read.
"""

import errno
from typing import BinaryIO, cast
from zlib import crc32


class DamagedContent(OSError):
    """The content file has other octets than were stored."""

    def __init__(self) -> None:
        super().__init__(errno.EIO, "content file checksum mismatch")


class CheckedContent:
    """A content file; `checksum` is its CRC-32. Reading raises DamagedContent at the end. To be read in order."""

    __slots__ = ("_checksum", "_crc", "_file")

    def __init__(self, file: BinaryIO, checksum: int) -> None:
        self._file = file
        self._checksum = checksum
        self._crc = 0

    def read(self, size: int) -> bytes:
        piece = self._file.read(size)
        if piece:
            self._crc = crc32(piece, self._crc)
        elif self._crc != self._checksum:
            raise DamagedContent
        return piece

    def seek(self, offset: int) -> int:
        """What is skipped counts as read."""
        self._file.seek(0)
        self._crc = crc32(self._file.read(offset)) if offset else 0
        return offset

    def close(self) -> None:
        self._file.close()


def checked(file: BinaryIO, checksum: int) -> BinaryIO:
    """The file with its check; without, where no checksum was given."""
    return cast(BinaryIO, CheckedContent(file, checksum)) if checksum else file
