"""Opening and rotating the mail log (maillog_file; syslog where it is empty)."""

import fnmatch
import os
import subprocess
import sys
import time
from pathlib import Path

from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.maillog.sink import FACILITIES, FileOutput, LogOutput, SyslogOutput

SYSLOG_SOCKET = "/dev/log"


def open_log(settings: Settings, *, foreground: bool) -> tuple[LogOutput, int]:
    """The output and its descriptor (-1: syslog). In the foreground, without syslog here, standard output takes the
    log.

    Raises ConfigError if maillog_file is not below maillog_file_prefixes or cannot be opened.
    """
    name = settings.maillog_file
    if not name:
        if foreground and not Path(SYSLOG_SOCKET).exists():
            name = "/dev/stdout"
        else:
            facility = settings.syslog_facility.lower()
            if not facility or facility not in FACILITIES:
                raise ConfigError(f"unknown facility: {facility}", parameter="syslog_facility")
            return SyslogOutput(SYSLOG_SOCKET, facility), -1
    descriptor = open_file(settings, name)
    return FileOutput(descriptor, settings.myhostname.partition(".")[0]), descriptor


def open_file(settings: Settings, name: str) -> int:
    if name == "/dev/stdout":
        return os.dup(sys.stdout.fileno())
    prefixes = split_list(settings.maillog_file_prefixes)
    if not any(name.startswith(prefix) for prefix in prefixes):
        raise ConfigError(f"{name} does not begin with one of: {' '.join(prefixes)}", parameter="maillog_file")
    try:
        descriptor = os.open(
            name,
            os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC,
            int(settings.maillog_file_permissions or "0600", 8),
        )
    except (OSError, ValueError) as exc:
        raise ConfigError(f"cannot open {name}: {exc}", parameter="maillog_file") from exc
    return descriptor


def reopen(settings: Settings, descriptor: int) -> int:
    """Open maillog_file anew in the place of `descriptor`; the descriptor, or -1 if there is none or it fails."""
    name = settings.maillog_file
    if descriptor < 0 or not name or name == "/dev/stdout":
        return -1
    try:
        fresh = open_file(settings, name)
    except ConfigError:
        return -1
    os.dup2(fresh, descriptor)
    os.close(fresh)
    return descriptor


def set_aside(settings: Settings) -> str:
    """Rename maillog_file with maillog_file_rotate_suffix; returns the new name. Raises ConfigError."""
    name = settings.maillog_file
    if not name or name == "/dev/stdout":
        raise ConfigError("there is no log file to rotate", parameter="maillog_file")
    aside = f"{name}.{time.strftime(settings.raw('maillog_file_rotate_suffix'))}"
    try:
        Path(name).rename(aside)
    except OSError as exc:
        raise ConfigError(f"cannot rename {name}: {exc.strerror}", parameter="maillog_file") from exc
    return aside


def compress(settings: Settings, path: str) -> None:
    """Run maillog_file_compressor on a log that nobody writes any more; a failure is told on standard error."""
    program = settings.maillog_file_compressor
    if program and not fnmatch.fnmatch(path, "*.gz"):
        done = subprocess.run([program, path], check=False)
        if done.returncode:
            print(f"gatepost: warning: {program} {path}: exit status {done.returncode}", file=sys.stderr)
