"""gatepost start: read, check, open, fork, serve."""

import argparse
import fcntl
import os
import pwd
import sys
import time
from pathlib import Path

from gatepost.cli.options import CommandLineError, ManualPage
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.control.acting_as import acting_as
from gatepost.master.daemon import Daemon
from gatepost.master.early_signals import signals_held
from gatepost.master.plan import prepare_queue_directory
from gatepost.master.privileges import raise_file_limit
from gatepost.master.prove import prove
from gatepost.master.slow_start import told_if_slow
from gatepost.queue.queue_file import check_queue_file
from gatepost.queue.schema import NotAQueueFile

PATIENCE = 30.0
"""Seconds that a start waits for the processes of a mail system whose master was killed."""

_SERVING = "serving"
_RUNNING = "running"


def _parser() -> ManualPage:
    parser = ManualPage(
        "gatepost start",
        "start the mail system",
        "[-c DIR] [--foreground] [--single-process]",
        "Reads and proves the configuration, opens ports and log, and returns when the mail system serves. What "
        "`gatepost check` calls an error keeps it from starting, a fault is told on standard error.",
        "0: it runs, and serves unless standard error tells why not yet. 1: it does not run; standard error tells why.",
    )
    parser.add_argument("--foreground", action="store_true", help="stay in the foreground; end at SIGTERM or Ctrl-C")
    parser.add_argument("--single-process", action="store_true", help="one process for all (small machines, tests)")
    return parser


def main(arguments: list[str], directory: str) -> int:
    try:
        options = _parser().parse_args(arguments)
    except CommandLineError as error:
        print(f"gatepost start: fatal: {error}", file=sys.stderr)
        return 64
    with signals_held():
        return _start(options, directory)


def _start(options: argparse.Namespace, directory: str) -> int:
    configuration = Configuration.read(directory)
    with told_if_slow(lambda: _say_slow("the configuration is still being proved")):
        proof = prove(configuration)
    for text in proof.errors:
        print(f"gatepost start: fatal: {text}", file=sys.stderr)
    if proof.errors:
        return 1
    for text in proof.faults:
        print(f"gatepost start: warning: {text}", file=sys.stderr)
    owner = prepare_queue_directory(configuration.settings)
    lock = take_lock(Path(configuration.settings.gatepost_queue_directory) / "pid" / "master.pid")
    with told_if_slow(lambda: _say_slow("the queue file is still being looked at")):
        _prove_queue_file(configuration, owner)
    raise_file_limit()
    daemon = Daemon(configuration, directory, owner, foreground=options.foreground)
    with told_if_slow(lambda: _say_slow("ports, sockets and the log are still being opened")):
        daemon.open(single_process=options.single_process)
    if options.foreground:
        write_pid(lock)
        return daemon.run(single_process=options.single_process)
    return _background(daemon, lock, options.single_process)


def _say_slow(what: str) -> None:
    print(f"gatepost start: warning: {what}", file=sys.stderr, flush=True)


def _prove_queue_file(configuration: Configuration, owner: pwd.struct_passwd | None) -> None:
    """Raises ConfigError: workers that cannot use it could only be started again and again."""
    try:
        with acting_as(owner):
            damage = check_queue_file(Path(configuration.settings.gatepost_queue_directory))
        if damage:
            _say_slow(f"{damage}; what can be read is carried over into a new file first: see the log")
    except NotAQueueFile as error:
        raise ConfigError(str(error), parameter="gatepost_queue_directory") from error


def take_lock(path: Path, patience: float = PATIENCE) -> int:
    """The lock that one master holds while it lives; raises ConfigError if there is one already.

    The processes of a master that was killed hold it, too, until they have ended: those are waited for.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    end = time.monotonic() + patience
    with told_if_slow(lambda: _say_slow(f"{path}: waiting for who has locked it to end")):
        while not _locked(descriptor):
            if _lives(os.pread(descriptor, 32, 0).strip()) or time.monotonic() >= end:
                os.close(descriptor)
                raise ConfigError("the mail system is already running")
            time.sleep(0.05)
    return descriptor


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lives(pid: bytes) -> bool:
    """Is there such a process? What another user's process is called is nothing to us."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


def write_pid(lock: int) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid():>10d}\n".encode(), 0)


def _background(daemon: Daemon, lock: int, single_process: bool) -> int:
    """Fork; the parent returns when the child serves, has failed, or goes on without a queue manager.

    The last is no failure, as with Postfix: the mail system runs, and who takes it for stopped would start it twice.
    """
    read, write = os.pipe()
    if os.fork():
        os.close(write)
        word, _, reason = os.read(read, 4096).decode(errors="replace").partition(" ")
        if word == _RUNNING:
            print(f"gatepost start: warning: {reason}", file=sys.stderr, flush=True)
        elif word != _SERVING:
            print("gatepost start: fatal: the mail system did not come up; see the log", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    os.close(read)
    os.setsid()
    write_pid(lock)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)

    parent = [write]

    def tell(text: str) -> None:
        if parent:  # it waits for one word only
            descriptor = parent.pop()
            os.write(descriptor, text.encode(errors="replace"))
            os.close(descriptor)

    daemon.on_serving = lambda: tell(_SERVING)
    daemon.on_outage = lambda reason: tell(f"{_RUNNING} mail system is down: {reason}; it is tried again and again")
    return daemon.run(single_process=single_process)
