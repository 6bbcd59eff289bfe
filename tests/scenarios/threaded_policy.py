"""A policy server in threads, for tests that do not run on an event loop."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable


class ThreadedPolicy:
    """`answer` takes the attributes of a question and gives the action; an empty one is sent as garbage."""

    def __init__(self, answer: Callable[[dict[str, str]], str]) -> None:
        self.answer = answer
        self.requests: list[dict[str, str]] = []
        self.port = 0
        self._handlers: set[socketserver.StreamRequestHandler] = set()
        self.start()

    def start(self) -> None:
        policy = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                policy._handlers.add(self)
                try:
                    policy._serve(self)
                except OSError:
                    pass
                policy._handlers.discard(self)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def _serve(self, handler: socketserver.StreamRequestHandler) -> None:
        request: dict[str, str] = {}
        for raw in handler.rfile:
            line = raw.decode().rstrip("\n")
            if line:
                name, _, value = line.partition("=")
                request[name] = value
                continue
            self.requests.append(request)
            action = self.answer(request)
            handler.wfile.write(f"action={action}\n\n".encode() if action else b"garbage\n\n")
            request = {}

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        for handler in list(self._handlers):
            with contextlib.suppress(OSError):
                handler.connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def __enter__(self) -> "ThreadedPolicy":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
