"""A real Gatepost on loopback, from a configuration in a temporary folder, and the servers around it."""

import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

GATEPOST = [sys.executable, "-m", "gatepost.cli.program"]
REPOSITORY = Path(__file__).resolve().parents[2]
WAIT = 60.0
"""Seconds after which something that should happen counts as not happening."""

MASTER_CF = """\
{listen} inet n - n - - smtpd
smtp unix - - n - - smtp
relay unix - - n - - smtp
local unix - n n - - local
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
"""


_PORTS = range(20_000, 32_000, 100)
_CLAIMED: dict[int, socket.socket] = {}


def _claim(block: int) -> bool:
    """Is this block of ports for this test process alone, as long as it lives? It is who has the block's name."""
    if block not in _CLAIMED:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0gatepost-tests-ports-{block}")
        except OSError:
            claim.close()
            return False
        _CLAIMED[block] = claim
    return True


def _ports() -> Iterator[int]:
    """Ports below the kernel's own: two servers must never be given the same one, whoever else runs tests now."""
    while True:
        for block in _PORTS:
            if _claim(block):
                yield from range(block, block + _PORTS.step)
        if not _CLAIMED:
            return


_NEXT_PORT = _ports()
_PORT_LOCK = threading.Lock()


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody has now, and that no other test will get."""
    while True:
        with _PORT_LOCK:
            port = next(_NEXT_PORT, None)
        if port is None:
            raise AssertionError("no free port")
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            return port


def until(condition: Callable[[], bool], what: str, seconds: float = WAIT) -> None:
    """Wait for a condition that another process brings about; nothing but asking tells."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.01)


def owner_name() -> str:
    """A user to drop root for: any that is not root will do."""
    return "postfix" if "postfix" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"


def as_user(name: str) -> list[str]:
    """What stands before a command that an ordinary user is to run, if we are root.

    Python may be installed where only root gets in; then the user may read, but not write, everything.
    """
    rights = ["setpriv", f"--reuid={name}", f"--regid={pwd.getpwnam(name).pw_gid}", "--clear-groups"]
    # By way of a shell: setpriv itself may still open what the user may not.
    python = [*rights, "sh", "-c", f"exec {sys.executable} -c 'import asyncio, gatepost, apsw'"]
    if subprocess.run(python, cwd=REPOSITORY, capture_output=True, check=False).returncode:
        rights += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return rights


@contextlib.contextmanager
def system_user(name: str, home: Path) -> Iterator[pwd.struct_passwd]:
    """A user of this host for the time of a test. We must be root."""

    def changed(*command: str) -> bool:
        return subprocess.run([*command, name], capture_output=True, check=False).returncode in (0, 6, 9)

    # Another test run may hold the lock on the user database.
    until(lambda: changed("useradd", "--no-create-home", "--home-dir", str(home), "--user-group"), f"useradd {name}")
    entry = pwd.getpwnam(name)
    home.mkdir(mode=0o700, exist_ok=True)
    os.chown(home, entry.pw_uid, entry.pw_gid)
    try:
        yield entry
    finally:
        until(lambda: changed("userdel"), f"userdel {name}")


def children(parent: int) -> list[tuple[int, str]]:
    """(process ID, name) of the living children of a process."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = path.read_text(errors="replace").partition("(")[2].rpartition(")")
            state, ppid = rest.split()[:2]
            if int(ppid) == parent and state != "Z":
                found.append((int(path.parent.name), name))
    return sorted(found)


def alive(pid: int) -> bool:
    """Is there such a process, and is it more than a zombie?"""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


class Gatepost:
    """One mail system in `folder`. It listens on `host`, and belongs to `user` (an ordinary one; empty: to us).

    `run` stands before each command: it says where to run it.
    """

    def __init__(
        self,
        folder: Path,
        main_cf: str,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        master_cf: str = "",
        user: str = "",
        run: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.host = host
        self.user = user
        self.prefix = [*run, *(as_user(user) if user else [])]
        self.port = port or free_port(host)
        self.conf = folder / "conf"
        self.log_path = folder / "log" / "mail.log"
        self.queue = folder / "queue"
        for path in (self.conf, self.log_path.parent, self.queue):
            path.mkdir(parents=True, exist_ok=True)
            if user:
                shutil.chown(path, user)
        self.listen = f"{host}:{self.port}"
        self.write(main_cf, master_cf or MASTER_CF.format(listen=self.listen))
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, main_cf: str, master_cf: str = "") -> None:
        owner = ""
        if os.geteuid() == 0 and not self.user:
            owner = f"mail_owner = {owner_name()}\n"
            shutil.chown(self.log_path.parent, owner_name())
        fixed = (
            f"compatibility_level = 3.6\nmaillog_file = {self.log_path}\nmaillog_file_prefixes = {self.folder}\n"
            f"gatepost_queue_directory = {self.queue}\n{owner}"
        )
        (self.conf / "main.cf").write_text(fixed + main_cf)
        if master_cf:
            (self.conf / "master.cf").write_text(master_cf)

    def command(
        self, *arguments: str, check: bool = True, given: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.prefix, *GATEPOST, "-c", str(self.conf), *arguments],
            cwd=REPOSITORY,
            capture_output=True,
            input=given,
            text=True,
            timeout=WAIT,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"gatepost {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def start(self, *options: str) -> "Gatepost":
        self.launch(*options)
        try:
            until(self.greets, "greeting")
        except AssertionError as error:
            self.stop(kill=True)
            raise AssertionError(f"{error} on port {self.port}\n{self.output()}") from None
        return self

    def launch(self, *options: str) -> None:
        """Start, and do not wait until it serves."""
        with open(self.folder / "out", "ab") as output:
            self.process = subprocess.Popen(
                [*self.prefix, *GATEPOST, "-c", str(self.conf), "start", "--foreground", *options],
                cwd=REPOSITORY,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def background(self, *options: str) -> "Gatepost":
        """Start as an operator does. Use `command("stop")` to end it."""
        self.command("start", *options)
        until(self.greets, f"greeting on port {self.port}\n{self.output()}")
        return self

    def client(self, source: str = "") -> "Client":
        """A session that has said EHLO."""
        client = Client(self.port, self.host, source)
        assert client.say("EHLO client.example").startswith("250"), "EHLO"
        return client

    def send(self, sender: str, recipient: str, body: str = "Subject: test\r\n\r\nHello.\r\n") -> str:
        """One message; its queue ID."""
        client = self.client()
        queue_id = queue_id_of(client.send(sender, recipient, body))
        client.close()
        return queue_id

    def queued(self) -> list[dict[str, object]]:
        """What postqueue -j tells."""
        return [json.loads(line) for line in self.command("postqueue", "-j").stdout.splitlines()]

    def greets(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"gatepost ended with {self.process.returncode}:\n{self.output()}")
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), 1) as sock:
            sock.settimeout(5)
            greeted = sock.recv(64).startswith(b"220")
            sock.sendall(b"QUIT\r\n")
            return greeted
        return False

    def output(self) -> str:
        path = self.folder / "out"
        return (path.read_text(errors="replace") if path.exists() else "") + self.log()[-4000:]

    def master_pid(self) -> int:
        return int((self.queue / "pid" / "master.pid").read_text())

    def workers(self, kind: str = "") -> list[int]:
        """Process IDs of master's children of that kind (smtpd, qmgr, delivery, local)."""
        return [pid for pid, name in children(self.master_pid()) if name.startswith(f"gp:{kind}")]

    def stop(self, *, kill: bool = False) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        if kill:
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.terminate()
        try:
            self.process.wait(WAIT)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise AssertionError(f"gatepost did not stop\n{self.output()}") from None

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_lines(self, pattern: str = "") -> list[str]:
        """Lines without time stamp and host: `postfix/smtpd[123]: text`."""
        lines = [re.sub(r"^\w{3} [ \d]\d [\d:]{8} \S+ ", "", line) for line in self.log().splitlines()]
        return [line for line in lines if re.search(pattern, line)]

    def wait_log(self, pattern: str, seconds: float = WAIT) -> str:
        """The first line that matches, once it is there."""
        found: list[str] = []

        def seen() -> bool:
            found[:] = self.log_lines(pattern)
            return bool(found)

        try:
            until(seen, pattern, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output()}") from None
        return found[0]


def queue_id_of(reply: str) -> str:
    found = re.fullmatch(r"250 2\.0\.0 Ok: queued as (\w+)", reply)
    assert found, reply
    return found[1]


class Client:
    """A plain SMTP client that shows every reply; `source` is the address it comes from."""

    def __init__(self, port: int, host: str = "127.0.0.1", source: str = "") -> None:
        self.sock = socket.create_connection((host, port), WAIT, (source, 0) if source else None)
        self.file = self.sock.makefile("rb")
        self.greeting = self.reply()

    def reply(self) -> str:
        lines = []
        while True:
            line = self.file.readline().decode()
            if not line:
                return "\n".join(lines)
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                return "\n".join(lines)

    def say(self, line: str) -> str:
        self.sock.sendall(line.encode() + b"\r\n")
        return self.reply()

    def send(self, sender: str, recipient: str, body: str = "Subject: test\r\n\r\nHello.\r\n") -> str:
        """One message over this session; the last reply, or the first refusal."""
        for line in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA"):
            reply = self.say(line)
            if reply[0] not in "23":
                return reply
        self.sock.sendall(body.encode() + b".\r\n")
        return self.reply()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.say("QUIT")
        self.hang_up()

    def hang_up(self) -> None:
        with contextlib.suppress(OSError), self.sock, self.file:
            self.sock.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that mail_owner can reach."""
    path = Path(tempfile.mkdtemp(prefix="gatepost-", dir="/var/tmp"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def smtp_sink_program() -> str | None:
    return shutil.which("smtp-sink", path="/usr/sbin:/usr/bin")


class Sink:
    """Postfix's smtp-sink on `host`, keeping each message in a file of `folder`."""

    def __init__(self, folder: Path, *options: str, host: str = "127.0.0.1") -> None:
        program = smtp_sink_program()
        assert program is not None
        self.host = host
        self.port = free_port(host)
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        user = ["-u", owner_name()] if os.geteuid() == 0 else []
        if user:
            shutil.chown(folder, owner_name())
        self.process = subprocess.Popen(
            [program, *user, "-R", str(folder), "-d", "message.%s.", *options, f"{host}:{self.port}", "100"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._listens, "smtp-sink")

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), 1) as sock:
            sock.settimeout(5)
            return bool(sock.recv(64))
        return False

    def messages(self) -> list[str]:
        """The messages that have arrived, with smtp-sink's own X- headers."""
        return [path.read_text(errors="replace") for path in sorted(self.folder.iterdir()) if path.stat().st_size]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(WAIT)


class Dns:
    """tests.dns_server as a process of its own, on a zone text."""

    def __init__(self, folder: Path, zone: str, *, port: int = 0) -> None:
        self.port = port or free_port()
        path = folder / "zone.txt"
        path.write_text(zone)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.dns_server", str(path), "--port", str(self.port)],
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._answers, "DNS server")

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(WAIT)
