"""How a process gets at files that only root may read: it asks who may open them, if it may not do so itself.

What can be opened directly is, so that nothing is slower or different for files that mail_owner can read.
"""

import errno
import os
import pwd
import socket
from collections.abc import Callable
from contextlib import suppress

import msgspec

from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.control.acting_as import acting_as
from gatepost.master.checked_open import open_checked
from gatepost.master.descriptors import receive_one, send_now
from gatepost.master.file_opener import NO_ENTRY, Answer, FileOpener, Request
from gatepost.master.named_files import NamedFile, NamedFiles
from gatepost.master.privileges import owner_of
from gatepost.master.server_names import ServerNames, digest_of

PATIENCE = 5.0
"""Seconds that an answer may take."""

PAUSE = 10.0
"""Seconds for which nobody is asked who has just not answered: each of us has sessions that would wait, too."""

Ask = Callable[[NamedFile, bytes], int]
"""A descriptor of a file; or of the one that a table of server names has as value, by its digest."""

_ANSWERS = msgspec.msgpack.Decoder(Answer)
_ENCODER = msgspec.msgpack.Encoder()
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class FileAccess:
    """What a TableEnvironment needs of the file system: `stat`, `read` and `open`. All raise OSError."""

    def __init__(self, named_files: NamedFiles | None = None, ask: Ask | None = None) -> None:
        self._named = named_files
        self._ask = ask

    def stat(self, path: str) -> os.stat_result:
        try:
            return os.stat(path)  # noqa: PTH116
        except PermissionError as error:
            descriptor = self._asked(path, error)
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def read(self, path: str) -> bytes:
        """The whole file."""
        descriptor = self.open(path)
        try:
            with open(descriptor, "rb", closefd=False) as stream:
                return stream.read()
        finally:
            os.close(descriptor)  # open() does not, for a folder

    def open(self, path: str) -> int:
        """A descriptor for reading."""
        try:
            return os.open(path, _FLAGS)
        except PermissionError as error:
            return self._asked(path, error)

    def announce(self) -> None:
        """Have who opens files know the configuration now: when a file is wanted another one may be on the disk."""
        if self._ask is not None:
            with suppress(OSError):
                self._ask(NamedFile("", "", 0, ""), b"")

    def _asked(self, path: str, refused: PermissionError) -> int:
        """A descriptor from who may open the file. Raises `refused` if the configuration does not name it."""
        if self._named is None or self._ask is None:
            raise refused
        file = self._named.by_path(path)
        if file is not None:
            return self._ask(file, b"")
        for table in self._named.server_names:
            try:
                return self._ask(table, digest_of(path))
            except OSError as error:
                if error.errno != NO_ENTRY:
                    raise
        raise refused


class Asking:
    """Asks the opener; blocks meanwhile, which takes as long as opening a file does."""

    def __init__(self, sock: socket.socket, mark: str, clock: Callable[[], float]) -> None:
        self._sock = sock
        self._mark = mark
        self._clock = clock
        self._not_before = 0.0

    def __call__(self, file: NamedFile, entry: bytes = b"") -> int:
        request = Request(self._mark, file.scope, file.parameter, file.number, entry)
        if self._clock() < self._not_before:
            raise self._silent(file)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                try:
                    send_now(self._sock, _ENCODER.encode(request), [theirs.fileno()])
                except OSError:  # gone, or too many wait already
                    raise self._silent(file) from None
            ours.settimeout(PATIENCE)
            return self._answer(ours, file)

    def _answer(self, sock: socket.socket, file: NamedFile) -> int:
        try:
            packet, descriptor = receive_one(sock, 64)
            answer = _ANSWERS.decode(packet)
        except (OSError, msgspec.MsgspecError):
            raise self._silent(file) from None
        if descriptor < 0:
            raise OSError(answer.error, os.strerror(answer.error), file.path)
        return descriptor

    def _silent(self, file: NamedFile) -> OSError:
        self._not_before = self._clock() + PAUSE
        return PermissionError(errno.EACCES, "Permission denied, and no answer from the process that may", file.path)


def asked_access(opener: FileOpener, named_files: NamedFiles, role: str, clock: Callable[[], float]) -> FileAccess:
    """For a worker."""
    return FileAccess(named_files.for_role(role), Asking(opener.asking[role], named_files.mark, clock))


def own_access(named_files: NamedFiles, owner: pwd.struct_passwd) -> FileAccess:
    """For a process that is root and acts as mail_owner for a while (a command that tells what would be)."""

    names = ServerNames(owner)

    def open_as_root(file: NamedFile, entry: bytes) -> int:
        acting = os.geteuid()
        os.seteuid(0)
        try:
            path = names.path(file.path, entry) if entry else file.path
            if path is None:
                raise OSError(NO_ENTRY, os.strerror(NO_ENTRY))
            return open_checked(path, owner)
        finally:
            os.seteuid(acting)

    return FileAccess(named_files, open_as_root)


def access_here(configuration: Configuration) -> FileAccess:
    """For a process that is no worker: as it can itself, or, acting as mail_owner, as a worker could."""
    if os.getuid() == 0 and os.geteuid() != 0:
        with suppress(ConfigError):
            return own_access(NamedFiles.of(configuration), owner_of(configuration.settings))
    return FileAccess()


def needs_root(named_files: NamedFiles, owner: pwd.struct_passwd) -> bool:
    """Is there a file that only root can open, or a secret, which may become one when it is made or renewed?"""
    with acting_as(owner):
        direct = FileAccess()
        return any(file.is_secret or refusal(direct, file.path) for file in named_files.files)


def refusal(files: FileAccess, path: str) -> str:
    """Why a file must not be read; empty if it may, or is not there at all."""
    try:
        os.close(files.open(path))
    except PermissionError as error:
        return error.strerror or "Permission denied"
    except (OSError, ValueError):
        pass
    return ""
