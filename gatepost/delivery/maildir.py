"""Delivery to a Maildir: written and synced in tmp, then named in new (maildir(5))."""

import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

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

_numbers = itertools.count()
_T = TypeVar("_T")


def deliver_to_maildir(
    path: str, copy: MailCopy, user: Identity, *, size_limit: int, hostname: str, now: float
) -> Outcome:
    """Put a file into `path`, which ends in "/"; the folders are made if they are not there.

    `size_limit`: mailbox_size_limit, octets, 0 = none. `now`: wall-clock seconds, part of the name. Never raises for
    what the file system does.
    """
    try:
        with user.acting():
            _deliver(path, copy, size_limit, hostname, now)
    except MailboxError as error:
        warnings = []
        if error.errno == errno.EACCES:
            warnings = [
                f"maildir access problem for UID/GID={user.uid}/{user.gid}: {error.text}",
                "perhaps you need to create the maildirs in advance",
            ]
        return Outcome(error.dsn, f"maildir delivery failed: {error.text}", warnings, error.damaged)
    return Outcome("2.0.0", "delivered to maildir")


def _deliver(path: str, copy: MailCopy, size_limit: int, hostname: str, now: float) -> None:
    seconds, fraction = divmod(now, 1)
    # Several threads may deliver in the same second; the number parts them.
    temporary = f"{path}tmp/{int(seconds)}.P{os.getpid()}Q{next(_numbers)}.{hostname}"
    descriptor = _create(path, temporary)
    try:
        try:
            found = os.fstat(descriptor)
            try:
                write_all(descriptor, copy.pieces(), size_limit or -1)
            except OSError as error:
                number = error.errno or 0
                raise MailboxError(failure_dsn(number, "5.3.0"), f"error writing message: {reason(error)}") from None
        finally:
            os.close(descriptor)
        unique = f"{int(seconds)}.V{found.st_dev:x}I{found.st_ino:x}M{int(fraction * 1e6)}.{hostname}"
        target = f"{path}new/{unique}"
        with failing_as(f"create maildir file {target}"):
            _with_folders(path, lambda: os.link(temporary, target))
            sync_folder(f"{path}new")
    finally:
        try:
            Path(temporary).unlink()
        except OSError:
            pass


def _create(path: str, temporary: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with failing_as(f"create maildir file {temporary}"):
        return _with_folders(path, lambda: os.open(temporary, flags, 0o600))


def _with_folders(path: str, act: Callable[[], _T]) -> _T:
    """The folders are made when one is found missing: any may, since another delivery is just making them, or was
    killed at it.
    """
    try:
        return act()
    except FileNotFoundError:
        _make_folders(path)
        return act()


def _make_folders(path: str) -> None:
    for folder in (path, f"{path}tmp", f"{path}new", f"{path}cur"):
        Path(folder).mkdir(0o700, parents=True, exist_ok=True)
    sync_folder(path)
    sync_folder(str(Path(path).parent))
