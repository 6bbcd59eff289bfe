"""stop, reload, logrotate, status: messages to a running master."""

import contextlib
import fcntl
import os
import select
import signal
import sys
import time
from pathlib import Path

from gatepost.cli.certificates import certificate_lines
from gatepost.cli.options import CommandLineError, ManualPage
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.control.client import ControlError, counts, resting_nexthops
from gatepost.control.listing import QUEUES, SAVED
from gatepost.master.logfile import compress, set_aside
from gatepost.master.prove import prove

STOP_WAIT = 60.0
"""Seconds that `stop` waits for the end of what is under way."""

USAGE = 64
"""EX_USAGE of sysexits(3)."""

_STATUS = "0: done. 1: not done; standard error tells why."
_PAGES = {
    "stop": ManualPage(
        "gatepost stop",
        "stop the mail system",
        "[-c DIR]",
        "Stops the mail system and waits for its end. What is under way is finished first, for a few seconds; mail "
        "that was accepted stays in the queue.",
        _STATUS,
    ),
    "reload": ManualPage(
        "gatepost reload",
        "take over a changed configuration",
        "[-c DIR]",
        "Reads main.cf and master.cf anew. Sessions under way go on with the old configuration. A mistake, also one "
        "that `gatepost check` calls a fault, is told here, and the old configuration goes on everywhere.\n\n"
        "Tables are read again when they change, without a reload.",
        _STATUS,
    ),
    "logrotate": ManualPage(
        "gatepost logrotate",
        "set maillog_file aside and begin a new one",
        "[-c DIR]",
        "Renames maillog_file with maillog_file_rotate_suffix, has the mail system open a new one, and compresses the "
        "old with maillog_file_compressor.",
        _STATUS,
    ),
    "status": ManualPage(
        "gatepost status",
        "is it running, and how much mail waits",
        "[-c DIR]",
        "Shows the process ID of the master process, the number of messages in each queue, and for how many days the "
        "certificates are good.",
        "0: it is running. 1: it is not.",
    ),
}


def running_pid(settings: Settings) -> int:
    """The process ID of the master that holds the lock, or 0."""
    path = Path(settings.gatepost_queue_directory) / "pid" / "master.pid"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 32).decode("ascii", "replace").strip()
        return int(text) if text.isdigit() else 0
    except OSError:
        return 0
    finally:
        os.close(descriptor)
    return 0


def _run(command: str, arguments: list[str], directory: str) -> int:
    try:
        _PAGES[command].parse_args(arguments)
    except CommandLineError as error:
        _fatal(command, str(error))
        return USAGE
    try:
        return _ACTS[command](Configuration.read(directory))
    except ConfigError as error:
        return _fatal(command, str(error))


def _fatal(command: str, text: str) -> int:
    print(f"gatepost {command}: fatal: {text}", file=sys.stderr)
    return 1


def _signal(pid: int, number: signal.Signals, command: str) -> int:
    """Send it; 0, or the exit status."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return _fatal(command, "the mail system is not running")
    except PermissionError:
        return _fatal(command, f"the mail system (PID {pid}) belongs to another user")
    return 0


def stop(arguments: list[str], directory: str) -> int:
    """End the mail system; what is under way is finished first."""
    return _run("stop", arguments, directory)


def _stop(configuration: Configuration) -> int:
    settings = configuration.settings
    pid = running_pid(settings)
    if not pid:
        return _fatal("stop", "the mail system is not running")
    descriptor = _pidfd(pid)
    try:
        failed = _signal(pid, signal.SIGTERM, "stop")
        if failed:
            return failed
        print("gatepost stop: stopping the mail system", file=sys.stderr)
        end = time.monotonic() + STOP_WAIT
        while running_pid(settings) == pid and time.monotonic() < end:
            _wait(descriptor, 0.5)
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    if running_pid(settings) == pid:
        return _fatal("stop", f"the mail system (PID {pid}) is still running after {STOP_WAIT:.0f} seconds")
    return 0


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return -1


def _wait(descriptor: int, seconds: float) -> None:
    """Until the process of this pidfd ends, or so many seconds."""
    select.select([descriptor] if descriptor >= 0 else [], [], [], seconds)


def reload(arguments: list[str], directory: str) -> int:
    """Read the configuration anew; a mistake in it is told here, and the old one goes on."""
    return _run("reload", arguments, directory)


def _reload(configuration: Configuration) -> int:
    pid = running_pid(configuration.settings)
    if not pid:
        return _fatal("reload", "the mail system is not running")
    problems = prove(configuration).refusals(strict=True)
    for problem in problems:
        _fatal("reload", problem)
    if problems:
        print("gatepost reload: the old configuration goes on", file=sys.stderr)
        return 1
    failed = _signal(pid, signal.SIGHUP, "reload")
    if not failed:
        print("gatepost reload: refreshing the mail system", file=sys.stderr)
    return failed


def logrotate(arguments: list[str], directory: str) -> int:
    """Set the log file aside, let master open a new one, compress the old."""
    return _run("logrotate", arguments, directory)


def _logrotate(configuration: Configuration) -> int:
    settings = configuration.settings
    aside = set_aside(settings)
    pid = running_pid(settings)
    if pid:
        failed = _signal(pid, signal.SIGUSR1, "logrotate")
        if failed:
            return failed
        _wait_for(Path(settings.maillog_file), aside, pid)
    compress(settings, aside)
    return 0


def _wait_for(path: Path, aside: str, pid: int) -> None:
    """Until master has opened the new file, and no process writes to the old one any more. Nothing tells us."""
    end = time.monotonic() + 10
    while (not path.exists() or _written(aside, pid)) and time.monotonic() < end:
        time.sleep(0.02)


def _written(path: str, master: int) -> bool:
    """Does master or one of its children have this file open?"""
    name = os.path.realpath(path)
    processes = [master, *(int(p) for p in Path(f"/proc/{master}/task/{master}/children").read_text().split())]
    for process in processes:
        with contextlib.suppress(OSError):  # it has ended
            if any(str(fd.readlink()) == name for fd in Path(f"/proc/{process}/fd").iterdir()):
                return True
    return False


def status(arguments: list[str], directory: str) -> int:
    """Is it running, and how much mail waits. Exit status 0: running, 1: not."""
    return _run("status", arguments, directory)


def _status(configuration: Configuration) -> int:
    settings = configuration.settings
    pid = running_pid(settings)
    if not pid:
        print("the mail system is not running")
        return 1
    print(f"the mail system is running: PID: {pid}")
    try:
        found = counts(settings.gatepost_queue_directory)
    except ControlError as error:
        print(f"gatepost status: warning: {error}", file=sys.stderr)
        return 0
    for queue in (*QUEUES, SAVED):
        if queue not in ("corrupt", SAVED) or found.get(queue):
            print(f"{queue}: {found.get(queue, 0)}")
    if settings.gatepost_nexthop_rest_time:
        for sick in resting_nexthops(settings.gatepost_queue_directory):
            until = time.strftime("%H:%M:%S", time.localtime(sick.until))
            print(f"next hop {sick.nexthop} of transport {sick.transport} rests until {until}: {sick.reason}")
    for line in certificate_lines(configuration, time.time()):
        print(line)
    return 0


_ACTS = {"stop": _stop, "reload": _reload, "logrotate": _logrotate, "status": _status}
