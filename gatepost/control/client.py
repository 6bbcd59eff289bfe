"""The command line's end of the control socket: one request, its answer as an iterator of lines. Blocking."""

import contextlib
import os
import socket
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gatepost.ipc.messages import Ask, Down, Frame, Hello, Part, Sick, framed

TIMEOUT = 60.0
"""Seconds without a word from the queue manager."""

RESERVED = "use of this command is reserved for the superuser"
"""Of acts that change mail, in postsuper(1)'s words."""


class ControlError(Exception):
    """The request could not be carried out; the text is for people."""


class NotRunning(ControlError):
    """Nobody listens on the control socket."""


class Denied(ControlError):
    """This user may not ask for that."""


class QueueManagerDown(ControlError):
    """master runs, but no queue manager can be started."""


class NotYours(Denied, QueueManagerDown):
    """The mail system is down, and this user may not read its queue."""


def control_path(queue_directory: str) -> str:
    return os.fspath(Path(queue_directory) / "control")


class ControlClient:
    """Raises NotRunning when the mail system is down, ControlError for everything else that goes wrong."""

    running = True

    def __init__(self, queue_directory: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(TIMEOUT)
        try:
            self._socket.connect(control_path(queue_directory))
        except (FileNotFoundError, ConnectionRefusedError) as exc:
            self._socket.close()
            raise NotRunning("the mail system is not running") from exc
        except PermissionError as exc:
            self._socket.close()
            raise ControlError(
                f"{control_path(queue_directory)}: permission denied: a folder above it does not let this user in"
            ) from exc
        except OSError as exc:
            self._socket.close()
            raise ControlError(f"{control_path(queue_directory)}: {exc.strerror or exc}") from exc
        self._stream = self._socket.makefile("rb")
        self._decode = msgspec.msgpack.Decoder(Frame).decode
        self._ticket = 0
        self._parts: dict[int, deque[Part]] = {}
        self._send(Hello("control", os.getpid()))

    def _send(self, frame: Frame) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # we read why
            self._socket.sendall(framed(frame))

    def ask(self, what: str, *arguments: str) -> Iterator[str]:
        """The lines of the answer, as they come. The request is sent now; others may be made before all was read."""
        self._ticket += 1
        self._parts[self._ticket] = deque()
        self._send(Ask(self._ticket, what, list(arguments)))
        return self._answer(self._ticket)

    def _answer(self, ticket: int) -> Iterator[str]:
        while True:
            part = self._part(ticket)
            if part.last or part.error:
                del self._parts[ticket]
            yield from part.lines
            if part.error:
                raise Denied(part.error) if part.denied else ControlError(part.error)
            if part.last:
                return

    def _part(self, ticket: int) -> Part:
        """The next one of this answer; those of others that come before it are kept."""
        if self._parts[ticket]:
            return self._parts[ticket].popleft()
        while True:
            try:
                head = self._stream.read(4)
                frame = self._decode(self._stream.read(int.from_bytes(head, "big"))) if len(head) == 4 else None
            except (TimeoutError, OSError) as exc:
                raise ControlError(f"no answer from the queue manager: {exc}") from exc
            if frame is None:
                raise ControlError("the queue manager closed the connection")
            if isinstance(frame, Down):
                raise QueueManagerDown(f"mail system is down: {frame.reason}")
            if isinstance(frame, Part):
                if frame.ticket == ticket:
                    return frame
                if frame.ticket in self._parts:
                    self._parts[frame.ticket].append(frame)

    def close(self) -> None:
        self._stream.close()
        self._socket.close()


def resting_nexthops(queue_directory: str) -> list[Sick]:
    """Next hops that the running queue manager has put behind the others of their lists. Raises ControlError."""
    client = ControlClient(queue_directory)
    try:
        return [msgspec.json.decode(line, type=Sick) for line in client.ask("nexthops")]
    finally:
        client.close()


def counts(queue_directory: str) -> dict[str, int]:
    """Messages per queue, from the running queue manager."""
    client = ControlClient(queue_directory)
    try:
        (line,) = client.ask("count")
        return msgspec.json.decode(line, type=dict[str, int])
    finally:
        client.close()
