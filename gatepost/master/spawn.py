"""`spawn` lines of master.cf: a command for each connection, as policy servers are often run (spawn(8))."""

import grp
import os
import pwd
from collections.abc import Callable
from pathlib import Path

import msgspec

from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.master_cf import Service
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.master.listeners import Address, addresses_of


class SpawnService(msgspec.Struct):
    """What one line asks for: `argv` run as that user (`name` for the log) for each connection, `limit` at a time (0:
    any number), each for at most `time_limit` seconds. It listens at `path`, or at `addresses`.
    """

    name: str
    argv: list[str]
    user: str
    uid: int
    gid: int
    limit: int
    time_limit: int
    environment: dict[str, str]
    directory: str
    syslog_name: str
    path: str = ""
    addresses: list[Address] = []


def spawn_lines(configuration: Configuration) -> list[Service]:
    """The lines whose program is spawn."""
    return [
        service for service in configuration.master if service.program == "spawn" and service.type in ("inet", "unix")
    ]


def socket_names(configuration: Configuration) -> dict[str, str]:
    """Where our own spawn services listen: their path as Postfix knows it (`private/NAME`) -> the real one."""
    top = Path(configuration.settings.gatepost_queue_directory)
    names = (_path_of(service) for service in spawn_lines(configuration) if service.type == "unix")
    return {name: str(top / name) for name in names}


def _path_of(service: Service) -> str:
    return f"{'private' if service.private else 'public'}/{service.name}"


def spawn_service(configuration: Configuration, service: Service) -> SpawnService:
    """Raises ConfigError for a line that Postfix's spawn(8) would not serve."""

    def bad(text: str) -> ConfigError:
        return ConfigError(text, path=service.path, line=service.line)

    settings = configuration.settings_for(service)
    user, argv = _arguments(service, bad)
    try:
        entry, group = _identity(user)
    except KeyError as unknown:
        raise bad(f"{service.name}: unknown user or group: {unknown.args[0]}") from None
    if entry.pw_uid == 0 or group == 0:
        raise bad("user= command-line attribute specifies root privileges")
    if os.geteuid() == 0 and entry.pw_name == settings.mail_owner:
        raise bad("user= command-line attribute specifies mail system owner")
    if os.geteuid() != 0 and entry.pw_uid != os.geteuid():
        raise bad(f"{service.name}: only root can run a command as {user}")
    queue = Path(settings.gatepost_queue_directory)
    made = SpawnService(
        service.name,
        argv,
        user,
        entry.pw_uid,
        group,
        settings.default_process_limit if service.maxproc is None else service.maxproc,
        int(configuration.settings.transport(service.name, "time_limit")),
        _environment(settings),
        str(queue),
        settings.syslog_name,
    )
    if service.type == "unix":
        made.path = str(queue / _path_of(service))
    else:
        made.addresses = addresses_of(service, settings, service.path)
    return made


def _arguments(service: Service, bad: Callable[[str], ConfigError]) -> tuple[str, list[str]]:
    user = ""
    for number, word in enumerate(service.args):
        name, equals, value = word.partition("=")
        if name == "argv" and equals:
            argv = [value, *service.args[number + 1 :]]
            if not value:
                break
            if not user:
                raise bad("missing user= command-line attribute")
            return user, argv
        if name != "user" or not equals:
            raise bad(f"unknown attribute name: {name}")
        user = value
    raise bad("missing argv= command-line attribute")


def _identity(text: str) -> tuple[pwd.struct_passwd, int]:
    """`user` or `user:group`. Raises KeyError with the name that is unknown."""
    name, colon, group = text.partition(":")
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise KeyError(name) from None
    if not colon:
        return entry, entry.pw_gid
    try:
        return entry, grp.getgrnam(group).gr_gid
    except KeyError:
        raise KeyError(group) from None


def _environment(settings: Settings) -> dict[str, str]:
    """What export_environment lets through, `NAME` or `NAME=value`."""
    found = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
    for word in split_list(settings.export_environment):
        name, equals, value = word.partition("=")
        if equals:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found
