"""A real Postfix in a folder of its own, on loopback ports of its own: one smtpd listener per set of parameters."""

import grp
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from bench.postfix_services import SERVICES
from tests.namespaces import IN_NAMESPACES

DAEMONS = "/usr/lib/postfix/sbin"

_MAIN_CF = """\
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
mail_owner = {user}
setgid_group = {group}
"""


def missing() -> str:
    """Why there is no Postfix to compare with; empty if there is one."""
    if os.geteuid() != 0:
        return "Postfix wants root"
    if not Path(DAEMONS, "master").exists() or shutil.which("postfix") is None:
        return "Postfix is not installed"
    try:
        pwd.getpwnam("postfix"), grp.getgrnam("postdrop")
    except KeyError as exc:
        return f"Postfix has no user or group: {exc}"
    return ""


def need_postfix() -> None:
    """End the test here if there is no Postfix to compare with."""
    if reason := missing():
        without(reason)


def need_namespaces() -> None:
    """End the test here if there are none of our own to be had."""
    if subprocess.run([*IN_NAMESPACES, "true"], check=False).returncode:
        without("no namespaces of our own")


def without(reason: str) -> NoReturn:
    """A test that cannot be run: it fails in CI, where everything is to be installed, and is skipped elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on, another one each time."""
    while True:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = int(found.getsockname()[1])
        if port not in _given:
            _given.add(port)
            return port


def each_once(main_cf: str) -> str:
    """The last entry of each parameter. Of any other every process would warn, postlogd, too: it waits for itself for
    ever if there is no room in its own socket then.
    """
    entries: dict[str, str] = {}
    name = ""
    for line in main_cf.splitlines(keepends=True):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():  # it goes on
            entries[name] += line
        else:
            name = line.partition("=")[0].strip()
            entries[name] = line
    return "".join(entries.values())


class RealPostfix:
    """`listeners`: name -> its `-o` parameters; `main_cf`: the text for all; `services`: more lines of master.cf.
    `start` before use, `stop` always.
    """

    def __init__(self, listeners: Mapping[str, Mapping[str, str]], main_cf: str, services: str = "") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="postfix-compare-"))
        self.folder.chmod(0o755)
        self.ports: dict[str, int] = {}
        for name in listeners:
            self.ports[name] = free_port()
        self._listeners = listeners
        self._main_cf = main_cf
        self._services = services

    def start(self) -> None:
        config = self.folder / "config"
        for name in ("config", "queue", "data"):
            (self.folder / name).mkdir()
        owner = pwd.getpwnam("postfix")
        os.chown(self.folder / "data", owner.pw_uid, owner.pw_gid)
        own = _MAIN_CF.format(folder=self.folder, user="postfix", group="postdrop")
        (config / "main.cf").write_text(each_once(f"{self._main_cf}\n{own}"))
        os.utime(config / "main.cf", (0, 0))  # Postfix reads a fresh one again and again until it is two seconds old
        lines = [SERVICES, self._services]
        for name, overrides in self._listeners.items():
            options = "".join(f"\n  -o {{ {key} = {value} }}" for key, value in overrides.items())
            tag = f"\n  -o syslog_name={name}"
            lines.append(f"127.0.0.1:{self.ports[name]} inet n - n - 0 smtpd{tag}{options}\n")
        (config / "master.cf").write_text("".join(lines))
        self._run("start")

    def _run(self, what: str) -> None:
        command = ["postfix", "-c", str(self.folder / "config"), what]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode and what == "start":
            raise RuntimeError(done.stdout + done.stderr + self.log())

    def flush(self) -> None:
        """Try all deferred mail now."""
        self._run("flush")

    def say(self, line: str) -> None:
        """Write a line to the log, behind all that has been said so far."""
        command = ["postlog", "-c", str(self.folder / "config"), line]
        subprocess.run(command, stderr=subprocess.DEVNULL, timeout=60, check=True)

    def log(self) -> str:
        path = self.folder / "maillog"
        return path.read_text(errors="backslashreplace") if path.exists() else ""

    def stop(self) -> None:
        try:
            self._run("stop")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "RealPostfix":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
