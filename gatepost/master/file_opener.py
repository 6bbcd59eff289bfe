"""Opening, as root, the files that the configuration names, for processes that are not root any more.

A process of its own does it (`gp:opener`): it is forked by master, or by the only process before that gives up root,
and does nothing else. So nobody waits for master while that proves a new configuration, and no parser of hostile
octets can open anything. Descriptors are for reading only. It has one socket for each kind of worker, and keeps to
what that kind has use for.

A request says which file of which parameter is meant, and of which configuration: that of the start, or of a reload.
One that is not known yet is read from main.cf and master.cf, which workers cannot write.
"""

import errno
import os
import pwd
import select
import socket
from collections.abc import Callable
from contextlib import suppress

import msgspec

from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.master.checked_open import open_checked
from gatepost.master.descriptors import receive_one, send_now
from gatepost.master.leash import LOG, READY, MasterEnd
from gatepost.master.named_files import SNI_MAPS, NamedFiles, may_ask
from gatepost.master.server_names import ServerNames

ROLES = ("smtpd", "delivery", "qmgr", "single")

_KNOWN = 8
"""Configurations whose files are remembered: workers of earlier ones may still finish what they have."""

_LONGEST = 4096
"""Octets of a request."""

_MOST_TOLD = 100

NO_ENTRY = errno.ENODATA
"""Error number: the table names no such file."""


class Request(msgspec.Struct, frozen=True):
    """File `number` of a parameter; with an `entry`, the file of this digest in that table of server names."""

    mark: str
    scope: str
    parameter: str
    number: int
    entry: bytes = b""


class Answer(msgspec.Struct, frozen=True):
    """The descriptor comes along; or there is none, for this error number."""

    error: int = 0


_REQUESTS = msgspec.msgpack.Decoder(Request)
_ENCODER = msgspec.msgpack.Encoder()


class FileOpener:
    """What master keeps: the sockets, and what is known of configurations. `open` is what the process does with it."""

    def __init__(self, directory: str, owner: pwd.struct_passwd, named_files: NamedFiles) -> None:
        """`directory` holds main.cf. Raises OSError."""
        self.directory = directory
        self.owner = owner
        self.known = {named_files.mark: named_files}
        self.leash: MasterEnd | None = None  # of a process without a master
        self.asking: dict[str, socket.socket] = {}
        self._asked: dict[str, socket.socket] = {}
        self._names = ServerNames(owner)
        self._told: set[str] = set()
        for role in ROLES:
            # Each request is one packet, whoever sends it.
            self.asking[role], self._asked[role] = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def learn(self, named_files: NamedFiles) -> None:
        """From now on these are asked for, too."""
        self.known.pop(named_files.mark, None)
        self.known[named_files.mark] = named_files
        while len(self.known) > _KNOWN:
            del self.known[next(iter(self.known))]

    def become(self, role: str) -> None:
        """In a process of this kind, which may ask as what it is, and can neither hear nor answer what others ask.

        Empty: it has nothing to ask.
        """
        for sock in self._asked.values():
            sock.close()
        for name, sock in self.asking.items():
            if name != role:
                sock.close()

    def close(self) -> None:
        """Where nobody is to be served any more."""
        self.become("")

    def serve(self, leash: socket.socket | None, log_descriptor: int, warn: Callable[[str], None]) -> None:
        """Open what is asked for, until nobody can ask any more, or the leash says more than LOG."""
        roles = {sock: role for role, sock in self._asked.items()}
        _close_all_but(*roles, leash, log_descriptor)
        if leash is not None:
            leash.send(READY)
        while roles:
            readable, _, _ = select.select([*roles, *([leash] if leash is not None else [])], [], [])
            for sock in readable:
                if sock is leash:
                    if not _heard(leash, log_descriptor):
                        return
                elif not self._hear(sock, roles[sock], warn):
                    del roles[sock]

    def _hear(self, sock: socket.socket, role: str, warn: Callable[[str], None]) -> bool:
        """One request; False: nobody is left who could ask."""
        try:
            packet, descriptor = receive_one(sock, _LONGEST)
        except OSError:
            return False
        if descriptor < 0:
            return bool(packet)
        try:
            reply = socket.socket(fileno=descriptor)
        except OSError:  # of a process that does not keep to what was agreed upon
            os.close(descriptor)
            return True
        with reply:
            self._reply(reply, packet, role, warn)
        return True

    def _reply(self, reply: socket.socket, packet: bytes, role: str, warn: Callable[[str], None]) -> None:
        descriptor = -1
        try:
            descriptor = self.open(_REQUESTS.decode(packet), role)
            answer, passed = Answer(), [descriptor]
        except (msgspec.MsgspecError, ValueError):
            self._complain(f"file opener: {role}: malformed request", warn)
            return
        except PermissionError as error:
            self._complain(f"file opener: {error.filename or role}: {error.strerror}", warn)
            answer, passed = Answer(error.errno or 0), []
        except OSError as error:
            answer, passed = Answer(error.errno or 0), []
        try:
            send_now(reply, _ENCODER.encode(answer), passed)
        except OSError:
            pass  # who asked has gone, or does not listen
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _complain(self, text: str, warn: Callable[[str], None]) -> None:
        """Each thing once: who asks does so again and again."""
        if text not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(text)
            warn(text)

    def open(self, request: Request, role: str) -> int:
        """A descriptor, for reading. Raises OSError; PermissionError for what is not for this role to have.

        Without a parameter nothing is wanted but that the configuration is known from now on.
        """
        named_files = self.known.get(request.mark) or self._read(request.mark)
        if named_files is not None and not request.parameter:
            raise OSError(NO_ENTRY, os.strerror(NO_ENTRY))
        path = named_files.path(request.scope, request.parameter, request.number) if named_files is not None else None
        if path is None or not may_ask(role, request.parameter):
            raise PermissionError(errno.EPERM, "asks for a file that the configuration does not name for it")
        if request.entry:
            path = self._names.path(path, request.entry) if request.parameter == SNI_MAPS else None
            if path is None:
                raise OSError(NO_ENTRY, os.strerror(NO_ENTRY))
        return open_checked(path, self.owner)

    def _read(self, mark: str) -> NamedFiles | None:
        """The configuration as it is now, if it is the one that is meant."""
        try:
            found = NamedFiles.of(Configuration.read(self.directory))
        except (ConfigError, OSError):
            return None
        if found.mark != mark:
            return None
        self.learn(found)
        return found


def _close_all_but(*kept: socket.socket | int | None) -> None:
    """What was inherited is not ours: a listening socket would take connections after all others have closed it."""
    numbers = {each if isinstance(each, int) else each.fileno() for each in kept if each is not None}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        if (number := int(name)) > 2 and number not in numbers:
            with suppress(OSError):
                os.close(number)


def _heard(leash: socket.socket, log_descriptor: int) -> bool:
    """What master says; False: it is time to end."""
    try:
        words, descriptors, _, _ = socket.recv_fds(leash, 64, 4)
    except OSError:
        words, descriptors = b"", []
    for descriptor in descriptors:
        os.dup2(descriptor, log_descriptor)
        os.close(descriptor)
    return bool(words) and not set(words) - set(LOG)
