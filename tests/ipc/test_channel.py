"""Frames arrive whole and in order, however the octets are cut."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from gatepost.ipc.channel import MAX_FRAME, Channel
from gatepost.ipc.messages import Committed, Frame, IdRange, Stop, Submit
from gatepost.mail.envelope import Message, Recipient


class Ends:
    """A Channel on one end of a socket pair, the bare socket on the other."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.closed = asyncio.Event()
        self.got = asyncio.Event()

    async def open(self) -> "Ends":
        ours, self.peer = socket.socketpair()
        self.peer.setblocking(False)
        loop = asyncio.get_running_loop()
        _, self.channel = await loop.create_connection(
            lambda: Channel(self._frame, lambda channel: self.closed.set()), sock=ours
        )
        return self

    def _frame(self, channel: Channel, frame: Frame) -> None:
        self.frames.append(frame)
        self.got.set()

    async def wait_for(self, count: int) -> None:
        while len(self.frames) < count:
            self.got.clear()
            await asyncio.wait_for(self.got.wait(), 10)


def wire(*frames: Frame) -> bytes:
    import msgspec

    out = b""
    for frame in frames:
        data = msgspec.msgpack.encode(frame)
        out += len(data).to_bytes(4, "big") + data
    return out


FRAMES: list[Frame] = [
    IdRange(7, 100),
    Submit(3, Message("4FA0000001", 1.5, "a@x.example", [Recipient("b@y.example")], 6, b"hello\n")),
    Committed([1, 2, 3]),
    Stop(),
]


async def test_frames_arrive_whole() -> None:
    ends = await Ends().open()
    await asyncio.get_running_loop().sock_sendall(ends.peer, wire(*FRAMES))
    await ends.wait_for(len(FRAMES))
    assert ends.frames == FRAMES
    ends.channel.close()
    ends.peer.close()


@pytest.mark.parametrize("piece", [1, 3, 5])
async def test_frames_arrive_in_pieces(piece: int) -> None:
    ends = await Ends().open()
    data = wire(*FRAMES)
    for at in range(0, len(data), piece):
        ends.channel.data_received(data[at : at + piece])
    assert ends.frames == FRAMES
    ends.channel.close()
    ends.peer.close()


async def test_frames_of_one_turn_leave_with_one_write_after_the_log() -> None:
    order: list[str] = []
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    got: list[Frame] = []
    done = asyncio.Event()

    def frame(channel: Channel, item: Frame) -> None:
        got.append(item)
        if len(got) == 2:
            done.set()

    _, sender = await loop.create_connection(
        lambda: Channel(frame, lambda c: None, lambda: order.append("log")), sock=ours
    )
    _, receiver = await loop.create_connection(lambda: Channel(frame, lambda c: None), sock=theirs)
    sender.send(Stop())
    sender.send(Committed([1]))
    await asyncio.wait_for(done.wait(), 10)
    assert order == ["log"]
    assert got == [Stop(), Committed([1])]
    sender.close()
    receiver.close()


@pytest.mark.parametrize(
    "data", [(MAX_FRAME + 1).to_bytes(4, "big"), b"\x00\x00\x00\x01\xc1", wire(Stop())[:4] + b"\x93\x01\x02\x03"]
)
async def test_what_is_no_frame_closes_the_channel(data: bytes) -> None:
    ends = await Ends().open()
    ends.channel.data_received(data)
    assert ends.frames == []
    assert ends.channel.closed
    await asyncio.wait_for(ends.closed.wait(), 10)
    ends.channel.send(Stop())  # does nothing
    ends.peer.close()


async def test_the_peers_end_is_told_once() -> None:
    ends = await Ends().open()
    ends.peer.close()
    await asyncio.wait_for(ends.closed.wait(), 10)
    assert ends.channel.closed


async def test_steps_wait_for_a_peer_that_reads_slowly() -> None:
    ends = await Ends().open()
    sent = 0

    def step() -> None:
        nonlocal sent
        sent += 1
        ends.channel.send(Committed([sent] * 20_000))
        if sent < 400:
            ends.channel.later(step)

    step()
    loop = asyncio.get_running_loop()
    for _ in range(50):
        await asyncio.sleep(0)
    stopped = sent
    assert stopped < 400
    received = 0
    while received < stopped * 20_000:  # an octet or more for each number
        received += len(await asyncio.wait_for(loop.sock_recv(ends.peer, 1 << 20), 10))
    while sent < 400:
        await asyncio.wait_for(loop.sock_recv(ends.peer, 1 << 20), 10)
    ends.peer.close()
    await asyncio.wait_for(ends.closed.wait(), 10)


async def test_steps_end_with_the_peer() -> None:
    ends = await Ends().open()
    ends.peer.close()
    await asyncio.wait_for(ends.closed.wait(), 10)
    stepped: list[int] = []
    ends.channel.later(lambda: stepped.append(1))
    await asyncio.sleep(0)
    assert not stepped


async def test_the_kernel_tells_whose_the_other_end_is(tmp_path: Path) -> None:
    found: asyncio.Queue[int] = asyncio.Queue()

    def made() -> Channel:
        return Channel(lambda *_: None, lambda _: None, on_open=lambda channel: found.put_nowait(channel.peer_user()))

    path = str(tmp_path / "socket")
    async with await asyncio.get_running_loop().create_unix_server(made, path):
        _, writer = await asyncio.open_unix_connection(path)
        assert await found.get() == os.geteuid()
        writer.close()
