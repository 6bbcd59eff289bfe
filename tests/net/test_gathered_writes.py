"""Writes of one turn of the event loop in one system call (gatepost.net.gathered_writes)."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from typing import cast

import pytest

from gatepost.net import gathered_writes
from gatepost.net.company import IN_A_ROW
from gatepost.net.gathered_writes import LARGEST, GatheredWrites, GatheringTransport
from gatepost.net.linux_aio import SocketSends
from tests.net.counted_sends import count_sends

LIMIT = 10
"""Seconds until something that should come is missed."""


class End(asyncio.Protocol):
    """Our end of a connection, whose writes are gathered."""

    def __init__(self, writes: GatheredWrites) -> None:
        self.writes = writes
        self.paused = False
        self.lost = asyncio.get_running_loop().create_future()
        self.room = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.wire = cast(asyncio.Transport, transport)
        self.transport = self.writes.over(self.wire)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


class Ends:
    """Makes connections; `calls`: how many sends each system call had."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes = GatheredWrites()
        self.writes.company.expected = True
        self.ours: list[End] = []
        self.theirs: list[socket.socket] = []
        self.calls = count_sends(monkeypatch)

    async def make(self) -> tuple[End, socket.socket]:
        one, other = socket.socketpair()
        other.setblocking(False)
        self.theirs.append(other)
        _, end = await asyncio.get_running_loop().create_unix_connection(lambda: End(self.writes), sock=one)
        self.ours.append(end)
        return end, other

    async def close(self) -> None:
        for end in self.ours:
            end.transport.abort()
            await end.lost
        for other in self.theirs:
            other.close()


@pytest.fixture
async def ends(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ends]:
    made = Ends(monkeypatch)
    yield made
    await made.close()


async def received(other: socket.socket, octets: int) -> bytes:
    data = b""
    while len(data) < octets:
        piece = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(other, 1 << 20), LIMIT)
        if not piece:
            break
        data += piece
    return data


async def test_one_turn_one_call(ends: Ends) -> None:
    made = [await ends.make() for _ in range(5)]
    for turn in range(3):
        for number, (end, _) in enumerate(made):
            end.transport.write(b"%d" % number)
            end.transport.writelines([b"%d" % turn, b"."])
        for number, (_, other) in enumerate(made):
            assert await received(other, 3) == b"%d%d." % (number, turn)
    assert ends.calls == [5, 5, 5]


async def test_more_than_one_call_takes(ends: Ends) -> None:
    made = [await ends.make() for _ in range(70)]
    for end, _ in made:
        end.transport.write(b"x" * 30)
    for _, other in made:
        assert await received(other, 30) == b"x" * 30
    assert ends.calls == [64, 6]


async def test_a_lone_write_takes_no_such_call(ends: Ends) -> None:
    end, other = await ends.make()
    end.transport.write(b"alone")
    assert await received(other, 5) == b"alone"
    assert ends.calls == []


async def test_nobody_waits_while_one_is_alone(ends: Ends) -> None:
    """With one client gathering comes to its end, and does not begin again."""
    end, other = await ends.make()
    for number in range(IN_A_ROW + 3):
        end.transport.write(b"x")
        assert (end.transport.get_write_buffer_size() > 0) is (number < IN_A_ROW)
        assert await received(other, 1) == b"x"
    assert not ends.writes.company.expected


async def test_several_at_the_same_time_begin_to_gather(ends: Ends) -> None:
    ends.writes.company.expected = False
    made = [await ends.make() for _ in range(IN_A_ROW + 1)]

    async def all_write(data: bytes) -> None:
        for end, _ in made:
            end.transport.write(data)
        for _, other in made:
            assert await received(other, len(data)) == data

    while not ends.writes.company.expected:  # a busy machine may need more than a millisecond for all of them
        await all_write(b"x")
    await all_write(b"together")
    assert ends.calls[-1] == IN_A_ROW + 1


async def test_close_sends_first(ends: Ends) -> None:
    made = [await ends.make() for _ in range(3)]
    for end, _ in made:
        end.transport.write(b"last")
        end.transport.write(b" words")
        end.transport.close()
    for end, other in made:
        assert await received(other, 100) == b"last words"
        assert await asyncio.wait_for(end.lost, LIMIT) is None


async def test_nothing_goes_to_who_has_the_descriptor_next(ends: Ends) -> None:
    """A connection is dropped in the turn in which it wrote; its number is given to another at once."""
    (gone, gone_peer), (end, other) = await ends.make(), await ends.make()
    gone.transport.write(b"secret")
    end.transport.write(b"mine")
    gone.transport.abort()
    stranger, strangers_peer = socket.socketpair()
    with stranger, strangers_peer, contextlib.ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(socket.socket(fileno=os.dup(stranger.fileno())))
        assert await received(other, 4) == b"mine"
        assert await received(gone_peer, 100) == b""
        with pytest.raises(BlockingIOError):
            strangers_peer.recv(100, socket.MSG_DONTWAIT)


@pytest.mark.parametrize("alone", [True, False])
async def test_peer_that_does_not_read(ends: Ends, alone: bool) -> None:
    """The wire keeps the rest, in order, and tells the protocol to stop writing."""
    (end, other), (second, _) = await ends.make(), await ends.make()
    written = 0
    while not end.paused:
        end.transport.write(b"%07d\n" % written * 1000)
        if not alone:
            second.transport.write(b"x")
        written += 1
        await asyncio.sleep(0)
    end.transport.write(b"the end")
    data = await received(other, 8000 * written + 7)
    assert data == b"".join(b"%07d\n" % number * 1000 for number in range(written)) + b"the end"
    await asyncio.wait_for(end.room.wait(), LIMIT)


async def test_large_pieces_go_by_themselves_in_order(ends: Ends) -> None:
    (end, other), (second, _) = await ends.make(), await ends.make()
    large = bytes(range(256)) * (LARGEST // 256)
    end.transport.write(b"a")
    end.transport.write(large)
    end.transport.write(b"b")
    end.transport.writelines([large, b"c", large])
    second.transport.write(b"x")
    assert await received(other, 3 * LARGEST + 3) == b"a" + large + b"b" + large + b"c" + large


async def test_what_follows_a_large_piece_is_sent_once(ends: Ends) -> None:
    """Small, large, small: the connection has written twice what waits for the end of the turn."""
    (end, other), (second, _) = await ends.make(), await ends.make()
    # The system takes all of it at once, so that nothing is left with the wire.
    end.wire.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * LARGEST)
    large = b"x" * (LARGEST + 1)
    end.transport.write(b"a")
    end.transport.write(large)
    end.transport.write(b"b")
    second.transport.write(b"x")
    assert await received(other, LARGEST + 3) == b"a" + large + b"b"
    end.transport.write(b"c")
    assert await received(other, 1) == b"c"


async def test_peer_gone(ends: Ends) -> None:
    """The loop's own transport finds out, and tells."""
    made = [await ends.make() for _ in range(2)]
    for _, other in made:
        other.close()
    for end, _ in made:
        end.transport.write(b"x")
    for end, _ in made:
        await asyncio.wait_for(asyncio.shield(end.lost), LIMIT)


async def test_write_buffer_counts_what_waits(ends: Ends) -> None:
    end, other = await ends.make()
    assert end.transport.get_write_buffer_size() == 0
    end.transport.write(b"12345")
    assert end.transport.get_write_buffer_size() == 5
    await received(other, 5)
    assert end.transport.get_write_buffer_size() == 0


async def test_where_it_is_not_possible_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    def unable() -> SocketSends:
        raise OSError("not here")

    made = Ends(monkeypatch)
    monkeypatch.setattr(gathered_writes, "SocketSends", unable)
    end, other = await made.make()
    assert end.transport is end.wire
    end.transport.write(b"as ever")
    assert await received(other, 7) == b"as ever"
    await made.close()


async def test_a_transport_like_any_other(ends: Ends) -> None:
    end, _ = await ends.make()
    assert isinstance(end.transport, GatheringTransport)
    assert end.transport.get_protocol() is end
    assert not end.transport.is_closing() and end.transport.is_reading()
    assert end.transport.get_write_buffer_limits() == end.wire.get_write_buffer_limits()
    assert end.transport.get_extra_info("nothing", "default") == "default"
