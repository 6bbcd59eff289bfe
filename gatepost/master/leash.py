"""The socket pair between master and each of its workers.

master sends words, the new log with a descriptor; the end of the stream tells a worker that master is gone.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable

DRAIN = b"d"  # take nothing new, finish what is under way, end
STOP = b"s"  # end soon
LOG = b"l"  # with a descriptor: the log, opened anew
AWAY = b"a"  # the queue manager cannot start: nobody is to wait for it
BACK = b"b"  # it serves again
READY = b"r"  # worker to master: serving
_FATAL = b"f"  # worker to master, the rest is text: why it ends


class MasterEnd:
    """master's side: blocking, since master runs no event loop."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._heard = b""

    def hear(self) -> None:
        """Take what the worker has said."""
        with contextlib.suppress(OSError):
            self._heard += self.sock.recv(4096, socket.MSG_DONTWAIT)

    @property
    def ready(self) -> bool:
        """Does the worker serve?"""
        return self._heard.startswith(READY)

    @property
    def last_words(self) -> str:
        """Why it has ended, as far as it has told."""
        return self._heard.partition(_FATAL)[2].decode(errors="replace")

    def tell(self, word: bytes, descriptor: int | None = None) -> None:
        """A worker that is gone does not matter here: its end is reaped elsewhere."""
        try:
            if descriptor is None:
                self.sock.send(word, socket.MSG_DONTWAIT)
            else:
                socket.send_fds(self.sock, [word], [descriptor])
        except OSError:
            pass

    def close(self) -> None:
        self.sock.close()


class WorkerEnd:
    """The worker's side: calls `on_word` for each word; a new log descriptor takes the place of the old one first."""

    def __init__(
        self, sock: socket.socket, log_descriptor: int, on_word: Callable[[bytes], None], on_end: Callable[[], None]
    ) -> None:
        self._sock = sock
        self._log = log_descriptor
        self._on_word = on_word
        self._on_end = on_end
        sock.setblocking(False)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        loop.add_reader(self._sock.fileno(), self._read)

    def _read(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._sock, 64, 4)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        for descriptor in descriptors:
            os.dup2(descriptor, self._log)
            os.close(descriptor)
        if not data:
            self._loop.remove_reader(self._sock.fileno())
            self._on_end()
            return
        for number in data:
            word = bytes([number])
            if word != LOG:
                self._on_word(word)

    def ready(self) -> None:
        try:
            self._sock.send(READY)
        except OSError:
            pass


def tell_last_words(sock: socket.socket, text: str) -> None:
    """Let master know why this worker is about to end."""
    with contextlib.suppress(OSError):
        sock.send(_FATAL + text.encode(errors="replace")[:1000], socket.MSG_DONTWAIT)
