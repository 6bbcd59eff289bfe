"""Mail servers, SMTP or LMTP, over TCP or a Unix socket, that misbehave as they are told."""

import contextlib
import socket
import socketserver
import threading
import time
from pathlib import Path

EHLO = "250-peer.example\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 DSN"
USUAL = {
    "CONNECT": "220 peer.example ESMTP", "EHLO": EHLO, "LHLO": EHLO, "HELO": "250 peer.example",
    "MAIL": "250 2.1.0 Ok", "RCPT": "250 2.1.5 Ok", "DATA": "354 go", ".": "250 2.0.0 Ok: queued as X",
    "RSET": "250 2.0.0 Ok", "QUIT": "221 2.0.0 Bye", "XFORWARD": "250 2.0.0 Ok", "": "500 5.5.1 unknown",
}  # fmt: skip


class ScriptedSink:
    """`replies`: beginning of a command -> reply; the longest that fits counts. Beside commands: `CONNECT`, `.` (end of
    content; `.user@domain` that recipient's answer with LMTP), `CONTENT` (told once content comes).

    A reply of "" hangs up; one that ends in `!` is said and then it hangs up; `~1.5 250 Ok` waits before.
    `path`: a Unix socket. `once`: replies that are given one time.
    """

    def __init__(
        self,
        replies: dict[str, str] | None = None,
        *,
        lmtp: bool = False,
        path: str = "",
        host: str = "127.0.0.1",
        once: dict[str, str] | None = None,
    ) -> None:
        self.replies = {**USUAL, **(replies or {})}
        self.once = dict(once or {})
        self.lmtp = lmtp
        self.sessions: list[list[str]] = []  # the commands of each connection
        self.messages: list[bytes] = []
        sink = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError, _HangUp):
                    _Session(sink, self).serve()

        tcp, unix = socketserver.ThreadingTCPServer, socketserver.ThreadingUnixStreamServer
        base: type[socketserver.ThreadingTCPServer | socketserver.ThreadingUnixStreamServer] = unix if path else tcp
        Server = type("Server", (base,), {"daemon_threads": True, "request_queue_size": 50})
        self._server = Server(path or (host, 0), Session)
        self.port = 0 if path else int(self._server.server_address[1])
        self.path = path
        if path:
            Path(path).chmod(0o777)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

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
        self._server.shutdown()
        self._server.server_close()
        if self.path:
            Path(self.path).unlink(missing_ok=True)


class _HangUp(Exception):
    pass


class _Session:
    def __init__(self, sink: ScriptedSink, stream: socketserver.StreamRequestHandler) -> None:
        self._sink = sink
        self._stream = stream
        self._recipients: list[str] = []

    def serve(self) -> None:
        commands: list[str] = []
        self._sink.sessions.append(commands)
        self._say("CONNECT")
        for raw in self._stream.rfile:
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            commands.append(line)
            reply = self._say(line)
            verb = line[:4].upper()
            if verb == "MAIL" or verb == "RSET":
                self._recipients = []
            elif verb == "RCPT" and reply[:1] == "2":
                self._recipients.append(line.partition("<")[2].partition(">")[0])
            elif verb == "DATA" and reply[:1] == "3":
                self._content()
            elif verb == "QUIT":
                return

    def _content(self) -> None:
        if "CONTENT" in self._sink.replies:
            self._stream.rfile.readline()
            self._say("CONTENT")
        lines = []
        for raw in self._stream.rfile:
            if raw == b".\r\n":
                break
            lines.append(raw)
        else:
            raise _HangUp
        self._sink.messages.append(b"".join(lines))
        for recipient in self._recipients if self._sink.lmtp else [""]:
            self._say("." + recipient)

    def _say(self, line: str) -> str:
        sink = self._sink
        for table in (sink.once, sink.replies):
            found = [key for key in table if line.upper().startswith(key.upper())]
            if found:
                key = max(found, key=len)
                reply = table[key]
                if table is sink.once:
                    del table[key]
                break
        if reply.startswith("~"):
            seconds, _, reply = reply[1:].partition(" ")
            time.sleep(float(seconds))
        if not reply:
            raise _HangUp
        self._stream.wfile.write(reply.removesuffix("!").encode() + b"\r\n")
        if reply.endswith("!"):
            self._stream.request.shutdown(socket.SHUT_RDWR)
            raise _HangUp
        return reply
