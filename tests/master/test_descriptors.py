"""Descriptors over Unix sockets: none is inherited, none is left, nobody waits."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatepost.master.descriptors import receive_one, send_now

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def held() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def test_one_descriptor_comes_along(pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("text")
    with path.open() as file:
        send_now(pair[0], b"word", [file.fileno()])
    octets, descriptor = receive_one(pair[1], 9)
    assert octets == b"word"
    assert os.read(descriptor, 9) == b"text"
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


def test_none_and_more_than_one(pair: Pair) -> None:
    before = held()
    send_now(pair[0], b"word", [])
    assert receive_one(pair[1], 9) == (b"word", -1)
    send_now(pair[0], b"word", [pair[0].fileno()] * 3)
    os.close(receive_one(pair[1], 9)[1])
    assert held() == before


def test_sending_does_not_wait(pair: Pair) -> None:
    with pytest.raises(BlockingIOError):
        while True:
            send_now(pair[0], b"word", [])
    pair[1].close()
    with pytest.raises(OSError):
        send_now(pair[0], b"word", [])
