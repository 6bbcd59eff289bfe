"""Mail servers, SMTP or LMTP, over TCP or a Unix socket, that misbehave as they are told."""

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

EHLO = "250-peer.example\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 DSN"
USUAL = {
    "CONNECT": "220 peer.example ESMTP", "EHLO": EHLO, "LHLO": EHLO, "HELO": "250 peer.example",
    "MAIL": "250 2.1.0 Ok", "RCPT": "250 2.1.5 Ok", "DATA": "354 go", ".": "250 2.0.0 Ok: queued as X",
    "RSET": "250 2.0.0 Ok", "QUIT": "221 2.0.0 Bye", "XFORWARD": "250 2.0.0 Ok", "": "500 5.5.1 unknown",
}  # fmt: skip
RESET = "RESET"
"""A reply: the connection is reset instead of closed."""


class ScriptedSink:
    """`replies`: beginning of a command -> reply; the longest that fits counts. Beside commands: `CONNECT`, `.` (end of
    content; `.user@domain` that recipient's answer with LMTP), `CONTENT` (told once content comes).

    A reply of "" hangs up; one that ends in `!` is said and then it hangs up; `~1.5 250 Ok` waits before; `%0.1 250 Ok`
    waits before each octet. A reply to `LIES` (it is not told): PIPELINING is offered, but what comes behind a command
    is lost; to `NARROW`: it takes content in small sips, as long as it takes any.
    `path`: a Unix socket. `once`: replies that are given one time.
    """

    def __init__(
        self,
        replies: dict[str, str] | None = None,
        *,
        lmtp: bool = False,
        path: str = "",
        host: str = "127.0.0.1",
        port: int = 0,
        once: dict[str, str] | None = None,
    ) -> None:
        self.replies = {**USUAL, **(replies or {})}
        self.once = dict(once or {})
        self.lmtp = lmtp
        self.sessions: list[list[str]] = []  # the commands of each connection
        self.messages: list[bytes] = []
        self.open = 0
        """Connections that are there now."""
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if "NARROW" in self.replies:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listener.bind(path or (host, port))
        self.port = 0 if path else int(self._listener.getsockname()[1])
        self.path = path
        if path:
            Path(path).chmod(0o777)
        self._listener.listen(50)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # stopped
            while True:
                connection, _ = self._listener.accept()
                with self._lock:
                    self.open += 1
                threading.Thread(target=self._session, args=(connection,), daemon=True).start()

    def _session(self, connection: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError), connection:
                session = self.new_session(connection)
                with contextlib.suppress(OSError, HangUp):
                    session.serve()
                session.end()
        finally:
            with self._lock:
                self.open -= 1

    def new_session(self, connection: socket.socket) -> "Session":
        return Session(self, connection)

    def forget(self, once: dict[str, str] | None = None) -> None:
        """Start anew for another client."""
        self.once = dict(once or {})
        self.sessions.clear()
        self.messages.clear()

    @property
    def commands(self) -> list[str]:
        """Of all connections, one after the other."""
        return [command for session in self.sessions for command in session]

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self.path:
            Path(self.path).unlink(missing_ok=True)


class HangUp(Exception):
    """The server leaves."""


class Session:
    """One connection."""

    def __init__(self, sink: ScriptedSink, connection: socket.socket) -> None:
        self._sink = sink
        self._connection = connection
        self._file = connection.makefile("rb")
        self._recipients: list[str] = []

    def serve(self) -> None:
        with self._file:
            commands: list[str] = []
            self._sink.sessions.append(commands)
            self._say("CONNECT")
            for raw in self._commands():
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                commands.append(line)
                if not self._command(line):
                    return

    def end(self) -> None:
        """The last words have been said."""
        self._connection.shutdown(socket.SHUT_WR)

    def _commands(self) -> Iterator[bytes]:
        if "LIES" not in self._sink.replies:
            while line := self._file.readline():
                yield line
            return
        while data := self._connection.recv(65536):
            yield data.partition(b"\n")[0]

    def _command(self, line: str) -> bool:
        """Answer it; False once that was the last one."""
        reply = self._say(line)
        verb = line[:4].upper()
        if verb == "MAIL" or verb == "RSET":
            self._recipients = []
        elif verb == "RCPT" and reply[:1] == "2":
            self._recipients.append(line.partition("<")[2].partition(">")[0])
        elif verb == "DATA" and reply[:1] == "3":
            self._content()
        return verb != "QUIT"

    def _content(self) -> None:
        if "CONTENT" in self._sink.replies:
            self._file.readline()
            self._say("CONTENT")
        lines = []
        for raw in self._file:
            if raw == b".\r\n":
                break
            lines.append(raw)
        else:
            raise HangUp
        self._sink.messages.append(b"".join(lines))
        for recipient in self._recipients if self._sink.lmtp else [""]:
            self._say("." + recipient)

    def _say(self, line: str) -> str:
        sink = self._sink
        reply = ""
        for table in (sink.once, sink.replies):
            found = [key for key in table if line.upper().startswith(key.upper())]
            if found:
                key = max(found, key=len)
                reply = table[key]
                if table is sink.once:
                    del table[key]
                break
        pause = 0.0
        if reply[:1] in ("~", "%"):
            seconds, _, rest = reply[1:].partition(" ")
            if reply[0] == "~":
                self._wait(float(seconds))
            else:
                pause = float(seconds)
            reply = rest
        if reply == RESET:
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._connection.close()
        if not reply or reply == RESET:
            raise HangUp
        self._send(reply.removesuffix("!").encode() + b"\r\n", pause)
        if reply.endswith("!"):
            self._connection.shutdown(socket.SHUT_RDWR)
            raise HangUp
        return reply

    def _wait(self, seconds: float) -> None:
        """Unless the client leaves before."""
        gone = select.poll()
        gone.register(self._connection, select.POLLRDHUP)
        gone.poll(seconds * 1000)

    def _send(self, data: bytes, pause: float) -> None:
        with contextlib.suppress(OSError):  # who has left said something before, perhaps
            if not pause:
                self._connection.sendall(data)
                return
            for at in range(len(data)):
                time.sleep(pause)
                self._connection.sendall(data[at : at + 1])
