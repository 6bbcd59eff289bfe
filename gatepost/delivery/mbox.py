"""Delivery to a mailbox file (mbox): locked, appended, synced; cut back to its old length if that fails."""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path

import msgspec

from gatepost.delivery.mailbox import (
    Identity,
    MailboxError,
    MailCopy,
    Outcome,
    failing_as,
    failure_dsn,
    reason,
    sync_folder,
    write_all,
)
from gatepost.mail.address_quoting import quote_822_local

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class LockRules(msgspec.Struct, frozen=True):
    """mailbox_delivery_lock, deliver_lock_attempts, deliver_lock_delay (seconds), stale_lock_time (seconds)."""

    kinds: frozenset[str] = frozenset(("fcntl", "dotlock"))
    attempts: int = 20
    delay: float = 1
    stale: float = 500


class MboxRules(msgspec.Struct, frozen=True):
    """`size_limit`: mailbox_size_limit in octets, 0 = none; `strict_owner`: strict_mailbox_ownership."""

    lock: LockRules = LockRules()
    size_limit: int = 0
    strict_owner: bool = True


def deliver_to_mbox(
    path: str,
    copy: MailCopy,
    user: Identity,
    rules: MboxRules,
    *,
    in_spool: bool,
    now: float,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Append to `path`. `in_spool`: it stands in mail_spool_directory, else in the user's home.

    `now`: wall-clock seconds. Never raises for what the file system does.
    """
    try:
        with ExitStack() as stack:
            rights = _Rights(str(Path(path).parent), user, in_spool)
            if "dotlock" in rules.lock.kinds:
                stack.enter_context(_dot_lock(path, rules.lock, rights, sleep))
            descriptor = rights.open(path)
            stack.callback(os.close, descriptor)
            with user.acting():
                reader = _reader(descriptor, stack)
            _lock(descriptor, rules.lock, sleep)
            with user.acting():
                _append(descriptor, path, copy, user, rules, now, reader)
    except MailboxError as error:
        text = f"cannot update mailbox {path} for user {user.name}. {error.text}"
        return Outcome(error.dsn, text, damaged=error.damaged)
    return Outcome("2.0.0", "delivered to mailbox")


class _Rights:
    """With whose rights names in the folder are made: the recipient's where he may write there, with the folder's group
    where only that may (/var/mail on Debian), else root's, who then gives the new mailbox to the recipient."""

    def __init__(self, folder: str, user: Identity, in_spool: bool) -> None:
        self._user = user
        self._folder = folder
        self._gid: int | None = None
        self._as_root = False
        if in_spool and os.getuid() == 0:
            try:
                found = Path(folder).stat()
            except OSError:
                return
            if found.st_mode & stat.S_IWOTH:
                return
            if found.st_mode & stat.S_IWGRP:
                self._gid = found.st_gid
            else:
                self._as_root = True

    @contextmanager
    def taken(self) -> Iterator[None]:
        if self._as_root:
            yield
        else:
            with self._user.acting(self._gid):
                yield

    def open(self, path: str) -> int:
        """The mailbox, made if it is not there. Raises MailboxError."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with self.taken(), failing_as("cannot open file"):
            try:
                descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                return os.open(path, flags)
            # The group of a shared spool folder is not the recipient's.
            if os.getuid() == 0:
                os.seteuid(0)
                os.fchown(descriptor, self._user.uid, self._user.gid)
            sync_folder(self._folder)
            return descriptor


def _reader(descriptor: int, stack: ExitStack) -> int | None:
    """The same file, for reading. Not closed before the end: that would give up the lock of fcntl."""
    try:
        reader = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    stack.callback(os.close, reader)
    return reader


def _append(
    descriptor: int, path: str, copy: MailCopy, user: Identity, rules: MboxRules, now: float, reader: int | None
) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise MailboxError("5.2.0", f"destination {path} is not a regular file")
    if found.st_nlink > 1:
        raise MailboxError("5.2.0", f"cannot open file: file has {found.st_nlink} hard links")
    if rules.strict_owner and found.st_uid != user.uid:
        raise MailboxError("4.2.0", f"destination {path} is not owned by recipient")
    room = max(rules.size_limit - found.st_size, 0) if rules.size_limit else -1
    end = os.pread(reader, 2, max(found.st_size - 2, 0)) if reader is not None and found.st_size else b"\n\n"
    try:
        write_all(descriptor, chain((_closing(end),), _entry(copy, now)), room)
    except (OSError, MailboxError) as error:
        try:
            os.ftruncate(descriptor, found.st_size)
        except OSError:
            pass
        if isinstance(error, MailboxError):
            raise
        number = error.errno or 0
        raise MailboxError(failure_dsn(number, "5.3.0"), f"error writing message: {reason(error)}") from None


def _closing(end: bytes) -> bytes:
    """What a mailbox with such an end lacks: whoever was interrupted there must not take the next message along."""
    return b"" if end.endswith(b"\n\n") else b"\n" if end.endswith(b"\n") else b"\n\n"


def _entry(copy: MailCopy, now: float) -> Iterator[bytes]:
    """A message as mbox holds it: `From ` line, quoted content, empty line."""
    moment = time.localtime(now)
    date = (
        f"{_DAYS[moment.tm_wday]} {_MONTHS[moment.tm_mon - 1]} {moment.tm_mday:2d} "
        f"{moment.tm_hour:02d}:{moment.tm_min:02d}:{moment.tm_sec:02d} {moment.tm_year}"
    )
    sender = quote_822_local(copy.sender) if copy.sender else "MAILER-DAEMON"
    yield f"From {sender}  {date}\n".encode("utf-8", "surrogateescape")
    yield from copy.pieces(quote_from=True)
    yield b"\n"


@contextmanager
def _dot_lock(path: str, rules: LockRules, rights: _Rights, sleep: Callable[[float], None]) -> Iterator[None]:
    """`path`.lock, which only one can make. One that is older than stale_lock_time is taken away."""
    name = f"{path}.lock"
    with rights.taken(), failing_as(f"unable to create lock file {name}"):
        for attempt in range(rules.attempts):
            try:
                descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0)
            except FileExistsError:
                _remove_stale(name, rules.stale)
            else:
                os.close(descriptor)
                break
            if attempt + 1 < rules.attempts:
                sleep(rules.delay)
        else:
            raise MailboxError("4.2.0", f"unable to create lock file {name}: {os.strerror(errno.EEXIST)}")
    try:
        yield
    finally:
        with rights.taken():
            try:
                Path(name).unlink()
            except OSError:
                pass


def _remove_stale(name: str, stale: float) -> None:
    try:
        if Path(name).stat().st_ctime + stale < time.time():
            Path(name).unlink()
    except OSError:
        pass


def _lock(descriptor: int, rules: LockRules, sleep: Callable[[float], None]) -> None:
    """The locks that are held on the open file (fcntl, flock)."""
    takers = [taker for kind, taker in (("fcntl", fcntl.lockf), ("flock", fcntl.flock)) if kind in rules.kinds]
    for taker in takers:
        for attempt in range(rules.attempts):
            try:
                taker(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if attempt + 1 == rules.attempts:
                    raise MailboxError("4.2.0", f"unable to lock for exclusive access: {reason(error)}") from None
            sleep(rules.delay)
