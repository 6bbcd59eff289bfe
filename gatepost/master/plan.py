"""Everything the workers are made from: read, checked and opened by master before it forks."""

import os
import pwd
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.control.client import control_path
from gatepost.maillog.sink import LogOutput, MailLog
from gatepost.master import process_numbers
from gatepost.master.command_listeners import CommandListener
from gatepost.master.file_access import FileAccess, asked_access, needs_root
from gatepost.master.file_opener import FileOpener
from gatepost.master.listeners import Listener
from gatepost.master.load import ListenerLoad, SharedLoad, warnings_of
from gatepost.master.named_files import NamedFiles
from gatepost.master.privileges import group_id, owner_of

QUEUE_FOLDERS = (("pid", 0o755), ("private", 0o700), ("public", 0o750), ("content", 0o700))


@dataclass(slots=True)
class Plan:
    """One configuration, ready to serve. `owner` is None when we are not root: all runs as the invoking user."""

    configuration: Configuration
    owner: pwd.struct_passwd | None
    output: LogOutput
    log_descriptor: int
    listeners: list[Listener] = field(default_factory=list)
    commands: list[CommandListener] | None = None  # None: spawn lines are not served here
    load: SharedLoad | None = None
    queue_socket: socket.socket | None = None
    control_socket: socket.socket | None = None
    # Of the keys of TLS session tickets, which all who serve a listener must agree upon.
    ticket_secret: bytes = field(default_factory=partial(secrets.token_bytes, 32), repr=False)
    named_files: NamedFiles | None = None
    opener: FileOpener | None = None
    smtpd_count: int = 0  # as it was at the start; 0: this is the start

    @property
    def settings(self) -> Settings:
        return self.configuration.settings

    @property
    def queue_directory(self) -> Path:
        return Path(self.settings.gatepost_queue_directory)

    @property
    def queue_path(self) -> str:
        return os.fspath(self.queue_directory / "private" / "queue")

    @property
    def control_path(self) -> str:
        return control_path(self.settings.gatepost_queue_directory)

    def new_log(self) -> MailLog:
        """A log for the calling process."""
        return MailLog(self.output, self.settings.syslog_name, os.getpid())

    def prepare_files(self, *, always: bool = False) -> None:
        """Have files opened for the workers that only root may read, if there are any (or `always`). Raises OSError."""
        if self.owner is None:
            return
        self.named_files = NamedFiles.of(self.configuration)
        if self.opener is not None:
            self.opener.learn(self.named_files)
        elif os.geteuid() == 0 and (always or needs_root(self.named_files, self.owner)):
            self.opener = FileOpener(self.configuration.directory, self.owner, self.named_files)

    def files(self, role: str) -> FileAccess:
        """How this process, a worker of this kind, opens files."""
        if self.opener is None or self.named_files is None:
            return FileAccess()
        return asked_access(self.opener, self.named_files, role, time.monotonic)

    def load_of(self, number: int, slot: int, warn: Callable[[str], None]) -> ListenerLoad:
        """What the worker in this slot knows of the load on the listener of this number."""
        listener = self.listeners[number]
        limit = listener.service.maxproc or self.settings.gatepost_smtpd_session_limit
        assert self.load is not None
        warnings = warnings_of(listener, limit)
        return ListenerLoad(self.load.row(number), slot, limit, warnings, time.monotonic, warn)

    def listen(self, listeners: list[Listener]) -> None:
        self.listeners = listeners
        self.load = SharedLoad(len(listeners), self.smtpd_processes())

    def keep_listening(self, slot: int | None, *, commands: bool = False) -> None:
        """In a worker that has just been forked: close all listening sockets but its slot's or the commands'.

        A client who connects to a socket is connected as long as any process has it open, whether it accepts or not.
        """
        for listener in self.listeners:
            for number, row in enumerate(listener.sockets):
                for sock in row if number != slot else ():
                    sock.close()
        for served in (self.commands or ()) if not commands else ():
            for sock in served.sockets.values():
                sock.close()

    def smtpd_processes(self) -> int:
        return self.smtpd_count or process_numbers.smtpd_processes(self.configuration)

    def delivery_processes(self) -> int:
        return process_numbers.delivery_processes(self.settings)


def prepare_queue_directory(settings: Settings) -> pwd.struct_passwd | None:
    """Make the queue folder and its parts for mail_owner (as root) or for ourselves; raises ConfigError."""
    owner = owner_of(settings) if os.geteuid() == 0 else None
    top = Path(settings.gatepost_queue_directory)
    try:
        top.mkdir(mode=0o755, parents=True, exist_ok=True)
        if owner is not None:
            os.chown(top, owner.pw_uid, owner.pw_gid)
        for name, mode in QUEUE_FOLDERS:
            folder = top / name
            folder.mkdir(mode=mode, exist_ok=True)
            folder.chmod(mode)
            if owner is not None:
                group = group_id(settings.setgid_group) if name == "public" else None
                os.chown(folder, owner.pw_uid, owner.pw_gid if group is None else group)
    except OSError as exc:
        raise ConfigError(f"cannot make {exc.filename}: {exc.strerror}", parameter="gatepost_queue_directory") from exc
    prepare_data_directory(settings, owner)
    return owner


def prepare_data_directory(settings: Settings, owner: pwd.struct_passwd | None) -> None:
    """Make the folder of caches if main.cf names one and it is missing. If that fails, who needs it will tell."""
    if not settings.defined("data_directory"):
        return  # Postfix's own; nothing of ours goes there
    path = Path(settings.data_directory)
    try:
        path.mkdir(mode=0o700, parents=True)
        if owner is not None:
            os.chown(path, owner.pw_uid, owner.pw_gid)
    except OSError:
        pass
