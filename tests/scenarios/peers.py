"""Mail servers that answer as a test tells them to."""

import socket
import socketserver
import threading
from dataclasses import dataclass, field

KEYWORDS = [
    ("-", "peer.example"),
    ("-", "PIPELINING"),
    ("-", "8BITMIME"),
    ("-", "ENHANCEDSTATUSCODES"),
    ("-", "DSN"),
    (" ", "SMTPUTF8"),
]


@dataclass
class Received:
    """A message that a Peer took; `mail` is the whole MAIL command, `rcpts` are the RCPT commands."""

    sender: str
    recipients: list[str] = field(default_factory=list)
    content: str = ""
    mail: str = ""
    rcpts: list[str] = field(default_factory=list)


class Peer:
    """An SMTP server on `host`. `replies`: beginning of a command line -> reply ("" drops the connection).

    Keys are matched in order; beside commands there are `CONNECT` and `.` (after the content). `hold`: DATA's content
    is answered once `release` is set.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, **replies: str) -> None:
        self.replies: dict[str, str] = dict(replies)
        self.messages: list[Received] = []
        self.commands: list[str] = []
        self.connections = 0
        self.release = threading.Event()
        self.release.set()
        peer = self

        class Session(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self) -> None:
                peer._serve(self)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            # With socketserver's 5 a client may wait for minutes in a connection that this end has dropped.
            request_queue_size = 100
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        self._server = Server((host, port), Session)
        self.host, self.port = self._server.server_address[:2]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def _reply(self, line: str, usual: str) -> str:
        return next((reply for start, reply in self.replies.items() if line.upper().startswith(start.upper())), usual)

    def _serve(self, session: socketserver.StreamRequestHandler) -> None:
        self.connections += 1

        def answer(line: str, usual: str) -> str:
            reply = self._reply(line, usual)
            if not reply:
                raise ConnectionResetError
            session.wfile.write(reply.encode() + b"\r\n")
            return reply

        try:
            answer("CONNECT", "220 peer.example ESMTP")
            self._commands(session, answer)
        except OSError:
            pass

    def _commands(self, session: socketserver.StreamRequestHandler, answer: "object") -> None:
        assert callable(answer)
        message = Received("")
        for raw in session.rfile:
            line = raw.decode().rstrip("\r\n")
            self.commands.append(line)
            verb = line[:4].upper()
            if verb == "EHLO":
                answer(
                    line,
                    "\r\n".join(f"250{mark}{keyword}" for mark, keyword in KEYWORDS),
                )
            elif verb == "MAIL":
                message = Received(line[10:].partition(">")[0].lstrip("<"), mail=line)
                answer(line, "250 2.1.0 Ok")
            elif verb == "RCPT":
                if answer(line, "250 2.1.5 Ok")[0] == "2":
                    message.recipients.append(line[8:].partition(">")[0].lstrip("<"))
                    message.rcpts.append(line)
            elif verb == "DATA":
                if not message.recipients:
                    answer("no recipients", "554 5.5.1 No valid recipients")
                elif answer(line, "354 Go")[0] == "3":
                    message.content = _content(session)
                    self.release.wait(30)
                    if self._reply(".", "250")[:1] == "2":
                        self.messages.append(message)
                    answer(".", "250 2.0.0 Ok")
            elif verb == "QUIT":
                answer(line, "221 2.0.0 Bye")
                return
            else:
                answer(line, "250 2.0.0 Ok")

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def _content(session: socketserver.StreamRequestHandler) -> str:
    lines = []
    for raw in session.rfile:
        if raw == b".\r\n":
            return "".join(lines)
        text = raw.decode("utf-8", "replace").replace("\r\n", "\n")
        lines.append(text[1:] if text.startswith("..") else text)
    raise ConnectionResetError
