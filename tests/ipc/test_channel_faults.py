"""What goes wrong in one frame, or at a connection's end, costs nothing beyond it."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gatepost.ipc.channel import Channel
from gatepost.ipc.messages import Committed, Frame, Stop
from tests.ipc.test_channel import wire

Run = Callable[[Coroutine[Any, Any, None]], None]
LOOPS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run])


async def open_channel(on_frame: Callable[[Channel, Frame], None]) -> tuple[Channel, socket.socket, asyncio.Event]:
    """A channel, the socket of its peer, and the event of its end."""
    ours, peer = socket.socketpair()
    gone = asyncio.Event()
    _, channel = await asyncio.get_running_loop().create_connection(
        lambda: Channel(on_frame, lambda channel: gone.set()), sock=ours
    )
    return channel, peer, gone


@LOOPS
def test_a_fault_in_one_frame_is_told_and_the_next_is_handled(run: Run) -> None:
    async def test() -> None:
        told: list[dict[str, Any]] = []
        stopped = asyncio.Event()

        def on_frame(channel: Channel, frame: Frame) -> None:
            if isinstance(frame, Committed):
                raise RuntimeError("odd frame")
            stopped.set()

        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        channel, peer, gone = await open_channel(on_frame)
        peer.sendall(wire(Committed([1]), Stop()))
        await asyncio.wait_for(stopped.wait(), 10)
        assert [(context["message"], str(context["exception"])) for context in told] == [
            ("frame Committed", "odd frame")
        ]
        assert not channel.closed
        stopped.clear()
        peer.sendall(wire(Stop()))
        await asyncio.wait_for(stopped.wait(), 10)
        channel.close()
        await asyncio.wait_for(gone.wait(), 10)
        peer.close()

    run(test())


@LOOPS
def test_a_connection_given_up_while_it_is_made(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        told: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda loop, context: told.append(context))
        path = str(tmp_path / "socket")
        server = await loop.create_unix_server(asyncio.Protocol, path)
        connecting: asyncio.Task[object]

        def opened(channel: Channel) -> None:
            connecting.cancel()
            loop.call_soon(lambda: loop.call_soon(channel.send, Stop()))

        def channel() -> Channel:
            return Channel(lambda channel, frame: None, lambda channel: None, on_open=opened)

        connecting = loop.create_task(loop.create_unix_connection(channel, path))
        await asyncio.wait([connecting])
        for _ in range(5):
            await asyncio.sleep(0)
        server.close()
        assert told == []

    run(test())


@LOOPS
def test_frames_for_a_peer_that_is_gone_are_dropped(run: Run) -> None:
    async def test() -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        channel, peer, gone = await open_channel(lambda channel, frame: None)
        assert channel._transport is not None
        channel._transport.abort()  # what a failed write does
        channel.send(Stop())
        channel.flush()
        channel.send(Stop())
        await asyncio.wait_for(gone.wait(), 10)
        assert told == []
        peer.close()

    run(test())
