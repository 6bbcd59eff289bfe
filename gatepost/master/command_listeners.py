"""Listening sockets for master.cf's `spawn` lines.

master opens and keeps them, as it does smtpd's: who asks while the process that serves them starts, is started anew or
takes over after a reload, waits in the socket instead of being refused.
"""

import pwd
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.master.listeners import Address, is_taken, open_socket, open_unix_socket
from gatepost.master.spawn import SpawnService, spawn_lines, spawn_service

Place = str | Address
"""Where a service listens: the path of a Unix socket, or an address."""


@dataclass(slots=True)
class CommandListener:
    """One `spawn` line and where it listens."""

    service: SpawnService
    sockets: dict[Place, socket.socket]


def open_command_listeners(
    configuration: Configuration, owner: pwd.struct_passwd | None, kept: Iterable[CommandListener] = ()
) -> list[CommandListener]:
    """Bind every `spawn` line; sockets of `kept` ones (before a reload) are used again where the place is the same.

    Raises ConfigError; then nothing has changed. What is not wanted any more stays open, see `close_others`.
    """
    old = {place: sock for listener in kept for place, sock in listener.sockets.items()}
    opened: dict[Place, socket.socket] = {}
    listeners = []
    try:
        for line in spawn_lines(configuration):
            service = spawn_service(configuration, line)
            places: list[Place] = [service.path] if service.path else [*service.addresses]
            for place in places:
                if place not in old:
                    try:
                        opened[place] = _open(place, owner)
                    except OSError as error:
                        raise ConfigError(error.strerror or str(error), path=line.path, line=line.line) from None
            listeners.append(CommandListener(service, {place: old.get(place) or opened[place] for place in places}))
    except BaseException:
        for sock in opened.values():
            sock.close()
        raise
    return listeners


def _open(place: Place, owner: pwd.struct_passwd | None) -> socket.socket:
    if isinstance(place, str):
        # Who may reach it: as with Postfix, whoever may enter the folder, which is mail_owner's.
        return open_unix_socket(place, 0o666, owner)
    if place.port and (taken := is_taken(place)):
        raise OSError(taken.errno, f"cannot listen on {place}: {taken.strerror}")
    return open_socket(place)


def close_others(listeners: Iterable[CommandListener], wanted: Iterable[CommandListener]) -> None:
    """Close sockets of places where no `wanted` one listens, so that nobody can connect there any more."""
    still = {place for listener in wanted for place in listener.sockets}
    for listener in listeners:
        for place, sock in listener.sockets.items():
            if place not in still:
                sock.close()
                if isinstance(place, str):
                    Path(place).unlink(missing_ok=True)
