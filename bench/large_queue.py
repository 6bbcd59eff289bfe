"""For the benchmark of large queues: a Gatepost whose queue is filled, what is watched meanwhile, and its peers."""

import contextlib
import os
import selectors
import shutil
import smtplib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from accounting import Target
from load_phase import Sink
from servers import PORT, SINK, Gatepost

HERE = Path(__file__).resolve().parent
SILENT = 2598
MAIN_CF = """\
minimal_backoff_time = 8000s
maximal_backoff_time = 8000s
maximal_queue_lifetime = 50d
smtpd_recipient_limit = 60000
transport_maps = regexp:{folder}/transport
"""
TRANSPORT = "/@domain([0-9])([0-9]).*\\.example$/ smtp:[127.0.$1.$2]:%d\n/\\.example$/ smtp:[127.0.0.1]:%d\n"


class Queue(Gatepost):
    """A Gatepost with a filled queue; `manager`: its queue manager's process."""

    def __init__(self, base: Path, octets: int) -> None:
        super().__init__(base, MAIN_CF.format(folder=base))
        (base / "transport").write_text(TRANSPORT % (SILENT, SILENT))
        base.chmod(0o755)
        self.octets = octets
        self.messages = 0
        self.manager = Target()

    def start(self) -> None:
        super().start()
        self.found()

    def found(self) -> None:
        assert self.proc is not None
        self.pid = self.proc.pid
        for pid in Target(pid=self.pid).pids():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text() == "gp:qmgr\n":
                    self.manager = Target(pid=pid)

    def stop(self) -> None:
        super().stop()
        self.pid = 0

    def fill(self, messages: int) -> None:
        """Up to so many. It must not run."""
        if messages > self.messages:
            command = [sys.executable, str(HERE / "queue_filler.py"), str(self.queue), str(messages - self.messages)]
            subprocess.run([*command, "--octets", str(self.octets)], check=True, stdout=subprocess.DEVNULL)
            self.messages = messages
            for path in (self.queue, *self.queue.rglob("*")):
                if self.owner and path.stat().st_uid == os.geteuid():
                    shutil.chown(path, self.owner)
            os.sync()  # or the disk is still busy with it when the first row is measured


class EmptyQueue(Queue):
    """As Queue, beside it."""

    name = "beside"


class Peak(threading.Thread):
    """The queue manager's memory, PSS in MiB, and CPU in seconds, while something goes on."""

    def __init__(self, target: Target) -> None:
        super().__init__(daemon=True)
        self.target = target
        self.mib = 0.0
        self.cpu = 0.0
        self._over = threading.Event()

    def __enter__(self) -> "Peak":
        self._begin = sum(self.target.cpu_ms())
        self.start()
        return self

    def __exit__(self, *ignored: object) -> None:
        self._over.set()
        self.join()
        self.cpu = (sum(self.target.cpu_ms()) - self._begin) / 1000

    def run(self) -> None:
        while True:
            self.mib = max(self.mib, self.target.memory()[0])
            if self._over.wait(0.5):
                return


class Waits(threading.Thread):
    """A message now and then over SMTP; `longest`: seconds from the end of DATA to the reply."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.longest = 0.0
        self._over = threading.Event()

    def __enter__(self) -> "Waits":
        self.start()
        return self

    def __exit__(self, *ignored: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        with smtplib.SMTP("127.0.0.1", PORT["gatepost"], timeout=60) as client:
            while not self._over.wait(0.05):
                client.mail("sender@bench.test")
                client.rcpt("user@domain99.example")
                begin = time.monotonic()
                client.data(b"Subject: meanwhile\r\n\r\nx\r\n")
                self.longest = max(self.longest, time.monotonic() - begin)


@contextlib.contextmanager
def sink(*arguments: str) -> Iterator[Sink]:
    one = Sink(SINK, arguments)
    try:
        yield one
    finally:
        one.stop()


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Accepts on SILENT of every 127.0.x.x, and says nothing."""
    listener = socket.create_server(("0.0.0.0", SILENT), backlog=4096, reuse_port=True)
    listener.setblocking(False)
    over = threading.Event()
    held: list[socket.socket] = []

    def accept() -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            while not over.is_set():
                if selector.select(0.2):
                    with contextlib.suppress(BlockingIOError):
                        held.append(listener.accept()[0])

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for one in (listener, *held):
            one.close()


def deferrals(log: Path) -> int:
    done = subprocess.run(["grep", "-c", "status=deferred", str(log)], capture_output=True, text=True)
    return int(done.stdout or 0)


def send_to_many(recipients: int) -> None:
    """One message, its recipients pipelined a thousand at a time."""
    with socket.create_connection(("127.0.0.1", PORT["gatepost"]), 60) as connection:
        replies = connection.makefile("rb")

        def ask(text: str, count: int = 1) -> bytes:
            connection.sendall(text.encode())
            reply = b""
            for _ in range(count):
                reply = replies.readline()
                while reply[3:4] == b"-":
                    reply = replies.readline()
                if reply[:1] not in b"23":
                    raise OSError(f"refused: {reply!r}")
            return reply

        ask("", 1)
        ask("EHLO bench.test\r\n")
        ask("MAIL FROM:<list@bench.test>\r\n")
        for first in range(0, recipients, 1000):
            ask("".join([f"RCPT TO:<member{n}@many.test>\r\n" for n in range(first, first + 1000)]), 1000)
        ask("DATA\r\n")
        ask("Subject: to all\r\n\r\n" + "x" * 70 + "\r\n.\r\n")
        ask("QUIT\r\n")
