"""stop, reload, logrotate, status: messages to a running master."""

import argparse
import fcntl
import os
import signal
import sys
import time
from pathlib import Path

from gatepost.config.configuration import Configuration
from gatepost.config.settings import Settings
from gatepost.control.client import ControlError, counts

STOP_WAIT = 60.0
"""Seconds that `stop` waits for the end of what is under way."""


def running_pid(settings: Settings) -> int:
    """The process ID of the master that holds the lock, or 0."""
    path = Path(settings.gatepost_queue_directory) / "pid" / "master.pid"
    try:
        descriptor = os.open(path, os.O_RDONLY)
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


def _settings(name: str, what: str, arguments: list[str], directory: str) -> Settings:
    argparse.ArgumentParser(prog=f"gatepost {name}", description=what).parse_args(arguments)
    return Configuration.read(directory).settings


def _not_running(command: str) -> int:
    print(f"gatepost {command}: fatal: the mail system is not running", file=sys.stderr)
    return 1


def _signal(pid: int, number: signal.Signals, command: str) -> int:
    try:
        os.kill(pid, number)
    except PermissionError:
        print(f"gatepost {command}: fatal: process {pid} belongs to another user", file=sys.stderr)
        return 1
    return 0


def stop(arguments: list[str], directory: str) -> int:
    """End the mail system; what is under way is finished first."""
    settings = _settings("stop", "Stop the mail system; what is under way is finished first.", arguments, directory)
    pid = running_pid(settings)
    if not pid:
        return _not_running("stop")
    failed = _signal(pid, signal.SIGTERM, "stop")
    if failed:
        return failed
    end = time.monotonic() + STOP_WAIT
    descriptor = _pidfd(pid)
    while running_pid(settings) == pid and time.monotonic() < end:
        _wait(descriptor, 0.5)
    if descriptor >= 0:
        os.close(descriptor)
    return 0 if running_pid(settings) != pid else 1


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return -1


def _wait(descriptor: int, seconds: float) -> None:
    """Until the process of this pidfd ends, or so many seconds."""
    import select

    if descriptor >= 0:
        select.select([descriptor], [], [], seconds)


def reload(arguments: list[str], directory: str) -> int:
    """Read the configuration anew; a mistake in it is told here, and the old one goes on."""
    from gatepost.master.prove import prove

    argparse.ArgumentParser(prog="gatepost reload", description="Take over a changed configuration without dropping a session.").parse_args(arguments)
    configuration = Configuration.read(directory)
    pid = running_pid(configuration.settings)
    if not pid:
        return _not_running("reload")
    problems = prove(configuration).refusals(strict=True)
    for problem in problems:
        print(f"gatepost reload: fatal: {problem}", file=sys.stderr)
    if problems:
        print("gatepost reload: the old configuration goes on", file=sys.stderr)
        return 1
    return _signal(pid, signal.SIGHUP, "reload")


def logrotate(arguments: list[str], directory: str) -> int:
    """Set the log file aside, let master open a new one, compress the old."""
    from gatepost.master.logfile import compress, set_aside

    settings = _settings("logrotate", "Set maillog_file aside and begin a new one.", arguments, directory)
    pid = running_pid(settings)
    aside = set_aside(settings)
    if pid:
        failed = _signal(pid, signal.SIGUSR1, "logrotate")
        if failed:
            return failed
        _wait_for(Path(settings.maillog_file))
    compress(settings, aside)
    return 0


def _wait_for(path: Path) -> None:
    end = time.monotonic() + 10
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.02)  # until master has opened the new file; nothing tells us


def status(arguments: list[str], directory: str) -> int:
    """Is it running, and how much mail waits. Exit status 0: running, 1: not."""
    settings = _settings("status", "Tell whether the mail system runs, and how much mail waits.", arguments, directory)
    pid = running_pid(settings)
    if not pid:
        print("the mail system is not running")
        return 1
    print(f"the mail system is running: PID: {pid}")
    try:
        for queue, number in counts(settings.gatepost_queue_directory).items():
            print(f"{queue}: {number}")
    except ControlError as error:
        print(f"gatepost status: warning: {error}", file=sys.stderr)
    return 0
