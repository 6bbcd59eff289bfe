"""One connection between two of our processes: frames in, frames out, many in flight.

A frame is a 4-octet big-endian length and a msgpack array (gatepost.ipc.messages). Frames sent within one turn of the
event loop leave with one write. What stands in the log buffer is written first (`before_write`), so that lines about
a queue ID stand in their natural order whichever process writes them.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

import msgspec

from gatepost.ipc.messages import Frame

MAX_FRAME = 64 * 1024 * 1024
"""Octets; a longer frame is a fault of the peer."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Frame).decode


class Channel(asyncio.Protocol):
    """`on_frame(channel, frame)` gets every frame in order; `on_close(channel)` comes once, when the peer is gone."""

    def __init__(
        self,
        on_frame: Callable[["Channel", Frame], None],
        on_close: Callable[["Channel"], None],
        before_write: Callable[[], None] | None = None,
        on_open: Callable[["Channel"], None] | None = None,
    ) -> None:
        self._on_frame = on_frame
        self._on_close = on_close
        self._on_open = on_open
        self._before_write = before_write
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._in = bytearray()
        self._need = 0  # octets of the frame that _in begins with, so that a long one is joined once
        self._out: list[bytes] = []
        self._full = False  # the peer is slow to take what was written
        self._steps: list[Callable[[], None]] = []
        self.closed = False
        self.max_frame = MAX_FRAME

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._on_open is not None:
            self._on_open(self)

    def peer_user(self) -> int:
        """The user ID of the process at the other end of a Unix socket (unix(7), SO_PEERCRED)."""
        assert self._transport is not None
        sock = self._transport.get_extra_info("socket")
        _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
        return int(uid)

    def send(self, frame: Frame) -> None:
        """Queue one frame; it leaves at the end of this turn of the loop. Nothing happens on a closed channel."""
        if self.closed:
            return
        data = _encode(frame)
        out = self._out
        if not out:
            self._loop.call_soon(self.flush)
        out.append(len(data).to_bytes(4, "big"))
        out.append(data)

    def flush(self) -> None:
        """Write what is queued, now."""
        # uvloop's transport may be closed a turn before it tells us, and cannot be written to then.
        if self._out and self._transport is not None and not self.closed and not self._transport.is_closing():
            if self._before_write is not None:
                self._before_write()
            try:
                self._transport.write(b"".join(self._out))
            except RuntimeError:
                pass  # uvloop's, for a connection given up while it was being made
        self._out.clear()

    def later(self, step: Callable[[], None]) -> None:
        """Call `step` in another turn of the loop, when the peer has taken most of what was sent; never if it is gone.

        Who sends much sends the rest in such steps, so that it is not all in memory here.
        """
        if self._full:
            self._steps.append(step)
        elif not self.closed:
            self._loop.call_soon(step)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        steps, self._steps = self._steps, []
        for step in steps:
            self._loop.call_soon(step)

    def data_received(self, data: bytes) -> None:
        buffer = self._in
        if buffer:
            buffer += data
            if len(buffer) < self._need:
                return
            data = bytes(buffer)
            buffer.clear()
        position, size = 0, len(data)
        view = memoryview(data)
        while size - position >= 4:
            length = int.from_bytes(view[position : position + 4], "big")
            if length > self.max_frame:
                self.close()
                return
            end = position + 4 + length
            if end > size:
                self._need = end - position
                break
            try:
                frame = _decode(view[position + 4 : end])
            except msgspec.MsgspecError:
                self.close()
                return
            position = end
            try:
                self._on_frame(self, cast(Frame, frame))
            except Exception as fault:
                # A fault of ours in one frame; the loop would close the channel, and all that is in flight with it.
                self._loop.call_exception_handler(
                    {"message": f"frame {type(frame).__name__}", "exception": fault, "protocol": self}
                )
        else:
            self._need = 4
        if position < size:
            buffer += view[position:]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed:
            self.closed = True
            self._out.clear()
        self._steps.clear()
        self._on_close(self)

    def close(self) -> None:
        """Write what is queued and close."""
        if not self.closed:
            self.flush()
            self.closed = True
            if self._transport is not None:
                self._transport.close()
