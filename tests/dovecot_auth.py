"""Dovecot's authentication service in a folder of its own; a scripted one, and a small quick one."""

import asyncio
import atexit
import base64
import contextlib
import functools
import grp
import os
import pwd
import shutil
import signal
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

USERS = {"joe": "secret", "ann@x.example": "pass word", "ümit": "pässwörd"}

_CONF = """\
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
protocols =
ssl = no
disable_plaintext_auth = no
default_login_user = {user}
default_internal_user = {user}
default_internal_group = {group}
auth_mechanisms = {mechanisms}
auth_username_chars =
auth_failure_delay = 0
first_valid_uid = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/tmp
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  unix_listener {folder}/auth {{
    mode = 0666
  }}
  inet_listener {{
    address = 127.0.0.1
    port = {port}
  }}
}}
"""


def missing() -> str:
    """Why there is no Dovecot to ask; empty if there is one."""
    if shutil.which("dovecot") is None:
        return "Dovecot is not installed"
    return "" if os.geteuid() == 0 else "Dovecot wants root"


class Dovecot:
    """`path` is the service's socket, `port` of 127.0.0.1 another. `start` before use, `stop` always."""

    def __init__(self, mechanisms: str = "plain login cram-md5 scram-sha-1 scram-sha-256 external") -> None:
        # Not in pytest's folder: the names of sockets have to be short.
        self.folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
        self.folder.chmod(0o755)
        self.path = str(self.folder / "auth")
        self._mechanisms = mechanisms
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = int(found.getsockname()[1])
        self.conf = self.folder / "dovecot.conf"

    def start(self) -> "Dovecot":
        user = pwd.getpwnam("nobody")
        text = _CONF.format(
            folder=self.folder, user="nobody", group=_group(user.pw_gid), mechanisms=self._mechanisms, port=self.port
        )
        self.conf.write_text(text)
        self.users(USERS)
        # It lives on with what it is given as output: no pipe.
        with (self.folder / "out").open("w") as out:
            done = subprocess.run(["dovecot", "-c", str(self.conf)], stdout=out, stderr=out, check=False)
        if done.returncode:
            raise RuntimeError((self.folder / "out").read_text())
        self._until(self._answers, "Dovecot's answer")
        return self

    def users(self, users: dict[str, str]) -> None:
        (self.folder / "users").write_text("".join(f"{name}:{{PLAIN}}{word}\n" for name, word in users.items()))

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(self.path)
            return sock.recv(64).startswith(b"VERSION")
        return False

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + 30
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"{what} did not come\n{(self.folder / 'log').read_text()}")
            time.sleep(0.05)

    def halt(self) -> None:
        """Until it is started again. Its processes would serve who is connected to the end; they are ended, too."""
        pid_file = self.folder / "run" / "master.pid"
        with contextlib.suppress(OSError, ValueError):
            pid = int(pid_file.read_text())
            workers = [int(path.name) for path in Path("/proc").glob("[0-9]*") if _parent(path) == pid]
            os.kill(pid, signal.SIGTERM)
            self._until(lambda: not Path(f"/proc/{pid}").exists(), "Dovecot's end")
            for worker in workers:
                with contextlib.suppress(OSError):
                    os.kill(worker, signal.SIGKILL)

    def stop(self) -> None:
        self.halt()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Dovecot":
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()


def _parent(process: Path) -> int:
    with contextlib.suppress(OSError):
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _group(gid: int) -> str:
    return grp.getgrgid(gid).gr_name


GREETING = b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\tabc\nDONE\n"


class ScriptedDovecot:
    """Says `greeting`, then for each AUTH or CONT the next of `answers`, ID being the request's number; None: hangs up.

    `heard` are the lines that clients have said.
    """

    def __init__(self, answers: list[bytes | None], greeting: bytes = GREETING) -> None:
        self.answers = answers
        self.greeting = greeting
        self.heard: list[bytes] = []
        self.connections = 0
        self._folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
        self._folder.chmod(0o755)
        self.path = str(self._folder / "auth")
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> "ScriptedDovecot":
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        Path(self.path).chmod(0o666)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError):
            writer.write(self.greeting)
            while line := await reader.readline():
                self.heard.append(line)
                if not line.startswith((b"AUTH\t", b"CONT\t")):
                    continue
                answer = self.answers.pop(0) if self.answers else None
                if answer is None:
                    break
                writer.write(answer.replace(b"ID", line.split(b"\t")[1].strip()))
        writer.close()


class _Small(socketserver.StreamRequestHandler):
    """PLAIN and LOGIN for USERS, without the pauses of the real one."""

    def handle(self) -> None:
        self.wfile.write(GREETING)
        logins: dict[bytes, list[bytes]] = {}
        for line in self.rfile:
            verb, number, *words = line.rstrip(b"\n").split(b"\t")
            if verb == b"AUTH":
                initial = next((word[5:] for word in words if word.startswith(b"resp=")), None)
                self._begin(number, words[0].upper(), initial, logins)
            elif verb == b"CONT":
                self._decoded(number, words[0], "continued", logins)

    def _begin(self, number: bytes, mechanism: bytes, initial: bytes | None, logins: dict[bytes, list[bytes]]) -> None:
        logins[number] = [mechanism]
        if initial is not None:
            self._decoded(number, b"" if initial == b"=" else initial, "initial", logins)
        else:
            self._say(b"CONT", number, b"" if mechanism == b"PLAIN" else b"VXNlcm5hbWU6")

    def _decoded(self, number: bytes, text: bytes, which: str, logins: dict[bytes, list[bytes]]) -> None:
        try:
            said = base64.b64decode(text, validate=True)
        except ValueError:
            self._say(b"FAIL", number, f"reason=Invalid base64 data in {which} response".encode())
        else:
            self._go_on(number, said, logins)

    def _go_on(self, number: bytes, said: bytes, logins: dict[bytes, list[bytes]]) -> None:
        mechanism, *before = logins[number]
        if mechanism == b"LOGIN" and not before:
            logins[number].append(said)
            self._say(b"CONT", number, b"UGFzc3dvcmQ6")
            return
        name, password = (before[0], said) if before else [*said.split(b"\0"), b"", b""][1:3]
        if password and USERS.get(name.decode()) == password.decode():
            self._say(b"OK", number, b"user=" + name)
        else:
            self._say(b"FAIL", number, *([b"user=" + name] if name else []))

    def _say(self, *words: bytes) -> None:
        self.wfile.write(b"\t".join(words) + b"\n")


class _SmallServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 100  # who comes to a full one is not made to wait, but sent away


@functools.cache
def _small() -> str:
    """The socket of one that lives as long as this process."""
    kept = tempfile.TemporaryDirectory(prefix="gatepost-auth-", dir="/var/tmp")
    atexit.register(kept.cleanup)
    folder = Path(kept.name)
    folder.chmod(0o755)
    server = _SmallServer(str(folder / "auth"), _Small)
    (folder / "auth").chmod(0o666)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return str(folder / "auth")


def placed(text: str) -> str:
    """A value of main.cf; DOVECOT_SOCKET in it becomes that of a service that knows USERS."""
    return text.replace("DOVECOT_SOCKET", _small()) if "DOVECOT_SOCKET" in text else text
