"""What mbox and Maildir delivery share: the copy to be written, and what comes of it.

All of it blocks, and runs in a process (or thread) of its own with the rights of the recipient; see local_process.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import msgspec

from gatepost.delivery.checked_content import DamagedContent
from gatepost.mail.address_quoting import quote_822_local

_PIECE = 65536
_TRY_AGAIN = frozenset((errno.EAGAIN, errno.ESTALE, errno.EINTR))
_OF_THE_SYSTEM = frozenset(
    (errno.ENOSPC, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS, errno.EBUSY, errno.ETIMEDOUT)
)
_OF_THE_MAILBOX = frozenset((errno.EFBIG, errno.EDQUOT))


class Outcome(msgspec.Struct):
    """`dsn` tells the class (2 delivered, 4 try again, 5 never); `text` is for the log; `warnings` are for the log.

    `damaged`: the content is not what was stored.
    """

    dsn: str
    text: str
    warnings: list[str] = msgspec.field(default_factory=list)
    damaged: bool = False


class MailboxError(Exception):
    """The mailbox could not be written; `dsn`, `damaged` as in Outcome."""

    def __init__(self, dsn: str, text: str, *, number: int = 0, damaged: bool = False) -> None:
        self.dsn = dsn
        self.text = text
        self.errno = number
        self.damaged = damaged
        super().__init__(f"{dsn} {text}")


def failure_dsn(number: int, default: str) -> str:
    """The status code for an errno."""
    if number in _TRY_AGAIN:
        return "4.2.0"
    if number in _OF_THE_SYSTEM:
        return "4.3.0"
    return "5.2.2" if number in _OF_THE_MAILBOX else default


@contextmanager
def failing_as(what: str) -> Iterator[None]:
    """OSError inside becomes MailboxError `WHAT: REASON`."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        raise MailboxError(failure_dsn(number, "5.2.0"), f"{what}: {reason(error)}", number=number) from None


def reason(error: OSError) -> str:
    """The system's words."""
    return os.strerror(error.errno) if error.errno else str(error)


class Identity(msgspec.Struct, frozen=True):
    """The recipient as the system knows him."""

    name: str
    uid: int
    gid: int
    home: str

    @contextmanager
    def acting(self, gid: int | None = None) -> Iterator[None]:
        """With his rights (and the group `gid` instead of his own), if the process is root's and may take them."""
        if os.getuid() != 0:
            yield
            return
        os.setgroups([])
        os.setegid(self.gid if gid is None else gid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)


class MailCopy(msgspec.Struct):
    """One message for one mailbox. Addresses are internal forms; `content` a file is read from its start."""

    sender: str
    original: str
    delivered_to: str
    content: bytes | BinaryIO
    show_original: bool = True

    def head(self) -> bytes:
        """The headers that final delivery adds (local(8))."""
        lines = [f"Return-Path: <{quote_822_local(self.sender) if self.sender else ''}>\n"]
        if self.show_original and self.original:
            lines.append(f"X-Original-To: {quote_822_local(self.original)}\n")
        lines.append(f"Delivered-To: {quote_822_local(self.delivered_to)}\n")
        return "".join(lines).encode("utf-8", "surrogateescape")

    def pieces(self, *, quote_from: bool = False) -> Iterator[bytes]:
        """Head and content; with `quote_from` lines that begin with `From ` get a `>` (mbox)."""
        yield self.head()
        if isinstance(self.content, bytes):
            yield _quoted(self.content) if quote_from else self.content
            return
        self.content.seek(0)
        # Whole lines, so that none is mistaken for the beginning of one.
        begun: list[bytes] = []
        while piece := self._read(self.content):
            end = piece.rfind(b"\n") + 1
            if end:
                begun.append(piece[:end])
                lines, begun, piece = b"".join(begun), [], piece[end:]
                yield _quoted(lines) if quote_from else lines
            begun.append(piece)
        last = b"".join(begun)
        yield _quoted(last) if quote_from else last

    def _read(self, content: BinaryIO) -> bytes:
        try:
            return content.read(_PIECE)
        except DamagedContent as error:
            raise MailboxError("4.3.0", f"error writing message: {error.strerror}", damaged=True) from None


def _quoted(text: bytes) -> bytes:
    if b"From " not in text:
        return text
    text = text.replace(b"\nFrom ", b"\n>From ")
    return b">" + text if text.startswith(b"From ") else text


def write_all(descriptor: int, pieces: Iterator[bytes], room: int) -> None:
    """Write and sync. `room`: octets that may still go in, negative: without limit. Raises OSError."""
    for piece in pieces:
        if 0 <= room < len(piece):
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        if room >= 0:
            room -= len(piece)
        view = memoryview(piece)
        while view:
            view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def sync_folder(path: str) -> None:
    """Make new names in a folder durable. A folder that may not be read is left alone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
