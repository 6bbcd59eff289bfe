"""The two mail systems of the comparison: a folder, a port and a configuration each; start, stop, commands."""

import os
import shlex
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path

from accounting import wait_port
from postfix_services import SERVICES

GATEPOST = shlex.split(os.environ.get("GATEPOST", "gatepost"))
SINK = 2599
PORT = {"postfix": 2591, "gatepost": 2592, "beside": 2593}
START_SECONDS = 20.0

MAIN_CF = (
    """\
compatibility_level = 3.6
myhostname = bench.test
mydestination =
local_recipient_maps =
alias_maps =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination
relayhost = [127.0.0.1]:%d
default_destination_concurrency_limit = 50
smtp_destination_concurrency_limit = 50
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
message_size_limit = 50000000
mailbox_size_limit = 0
"""
    % SINK
)


class NotStarted(Exception):
    """A mail system gave no banner; the text tells what it said."""


class Server(ABC):
    """`pid`: the root of its processes. `start_seconds`: from the command to the first 220, of the last start."""

    name = ""

    def __init__(self, base: Path, extra: str = "") -> None:
        self.base = base
        self.conf = base / "conf"
        self.queue = base / "queue"
        self.pid = 0
        self.start_seconds = 0.0
        for folder in (self.conf, self.queue, base / "data", base / "log"):
            folder.mkdir(parents=True)
        log = f"maillog_file = {base}/log/mail.log\nmaillog_file_prefixes = {base.parents[-2]}\n"
        (self.conf / "main.cf").write_text(MAIN_CF + log + self.main_cf() + extra)
        (self.conf / "master.cf").write_text(f"127.0.0.1:{PORT[self.name]} inet n - n - - smtpd\n" + SERVICES)

    def main_cf(self) -> str:
        return ""

    def start(self) -> None:
        begin = time.monotonic()
        self.launch()
        if wait_port("127.0.0.1", PORT[self.name], START_SECONDS, want_banner=True) is None:
            raise NotStarted(f"{self.name} gave no banner:\n{self.said()[-2000:]}")
        self.start_seconds = time.monotonic() - begin
        self.pid = self.root()

    @abstractmethod
    def launch(self) -> None: ...

    @abstractmethod
    def root(self) -> int: ...

    @abstractmethod
    def said(self) -> str: ...

    @abstractmethod
    def stop(self) -> None: ...

    @abstractmethod
    def command(self, name: str, *arguments: str) -> list[str]:
        """A queue command (postqueue, postsuper) of this mail system."""
        ...


class Postfix(Server):
    name = "postfix"

    def __init__(self, base: Path, extra: str = "") -> None:
        super().__init__(base, extra)
        shutil.chown(base / "data", "postfix")

    def main_cf(self) -> str:
        return f"""\
queue_directory = {self.queue}
data_directory = {self.base}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
"""

    def launch(self) -> None:
        subprocess.run(["postfix", "-c", str(self.conf), "start"], capture_output=True)

    def root(self) -> int:
        return int((self.queue / "pid/master.pid").read_text())

    def said(self) -> str:
        log = self.base / "log/mail.log"
        return log.read_text() if log.exists() else ""

    def stop(self) -> None:
        subprocess.run(["postfix", "-c", str(self.conf), "stop"], capture_output=True)

    def command(self, name: str, *arguments: str) -> list[str]:
        return [name, "-c", str(self.conf), *arguments]


class Gatepost(Server):
    name = "gatepost"

    def __init__(self, base: Path, extra: str = "") -> None:
        self.proc: subprocess.Popen | None = None
        self.owner = os.environ.get("GATEPOST_OWNER", "postfix" if os.geteuid() == 0 else "")
        super().__init__(base, extra)
        if self.owner:
            shutil.chown(self.queue, self.owner)
            shutil.chown(base / "log", self.owner)

    def main_cf(self) -> str:
        owner = f"mail_owner = {self.owner}\n" if self.owner else ""
        return f"gatepost_queue_directory = {self.queue}\n{owner}"

    def launch(self) -> None:
        with open(self.base / "log/out", "w") as out:
            self.proc = subprocess.Popen(
                [*GATEPOST, "start", "--foreground", "-c", str(self.conf)],
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def root(self) -> int:
        assert self.proc is not None
        return self.proc.pid

    def said(self) -> str:
        return (self.base / "log/out").read_text()

    def stop(self) -> None:
        if self.proc is None:
            return
        self.proc.send_signal(signal.SIGTERM)
        try:
            self.proc.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self.proc.pid, signal.SIGKILL)
            self.proc.wait()
        self.proc = None

    def command(self, name: str, *arguments: str) -> list[str]:
        return [*GATEPOST, "-c", str(self.conf), name, *arguments]
