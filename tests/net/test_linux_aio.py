"""Many sends in one system call (gatepost.net.linux_aio)."""

import errno
import platform
import socket
from collections.abc import Iterator

import pytest

from gatepost.net import linux_aio
from gatepost.net.linux_aio import CAPACITY, OCTETS, SocketSends

Pair = tuple[socket.socket, socket.socket]


def new_pair() -> Pair:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(10)
    return ours, theirs


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = new_pair()
    with ours, theirs:
        yield ours, theirs


def test_each_socket_gets_its_own() -> None:
    pairs = [new_pair() for _ in range(5)]
    sends = SocketSends()
    for number, (ours, _) in enumerate(pairs):
        assert sends.add(ours.fileno(), b"%d" % number * (number + 1))
    assert sends.submit() == [1, 2, 3, 4, 5]
    for number, (ours, theirs) in enumerate(pairs):
        assert theirs.recv(100) == b"%d" % number * (number + 1)
        ours.close()
        theirs.close()


def test_order_of_sends_to_one_socket(pair: Pair) -> None:
    ours, theirs = pair
    sends = SocketSends()
    for _ in range(3):
        for word in (b"a", b"bc", b"def"):
            sends.add(ours.fileno(), word)
        assert sends.submit() == [1, 2, 3]
    assert theirs.recv(100) == b"abcdef" * 3


def test_nothing_to_submit() -> None:
    assert SocketSends().submit() == []


def test_room_ends(pair: Pair) -> None:
    ours, theirs = pair
    sends = SocketSends()
    assert [sends.add(ours.fileno(), b"x") for _ in range(CAPACITY + 1)] == [True] * CAPACITY + [False]
    assert sends.submit() == [1] * CAPACITY
    assert theirs.recv(1000) == b"x" * CAPACITY
    assert sends.add(ours.fileno(), b"y" * OCTETS)
    assert not sends.add(ours.fileno(), b"y")


def test_what_is_not_taken(pair: Pair) -> None:
    ours, theirs = pair
    sends = SocketSends()
    sends.add(ours.fileno(), b"x" * OCTETS)
    (taken,) = sends.submit()
    assert 0 < taken < OCTETS
    sends.add(ours.fileno(), b"y")
    assert sends.submit() == [-errno.EAGAIN]
    received = b""
    while len(received) < taken:
        received += theirs.recv(taken)
    assert received == b"x" * taken


def test_peers_that_are_gone_and_descriptors_that_are_none(pair: Pair) -> None:
    ours, theirs = pair
    lost, gone = new_pair()
    gone.close()
    closed, other = new_pair()
    number = closed.fileno()
    closed.close()
    other.close()
    sends = SocketSends()
    sends.add(lost.fileno(), b"x")
    sends.add(ours.fileno(), b"x")
    sends.add(number, b"x")  # the call ends here
    sends.add(ours.fileno(), b"y")
    assert sends.submit() == [-errno.EPIPE, 1, -errno.EAGAIN, -errno.EAGAIN]
    assert theirs.recv(100) == b"x"
    lost.close()


def test_machine_without_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    with pytest.raises(OSError, match="not known here"):
        SocketSends()


def test_contexts_are_given_back() -> None:
    before = _contexts()
    sends = SocketSends()
    assert _contexts() == before + 1
    del sends
    assert _contexts() == before


def _contexts() -> int:
    """The kernel maps a ring for each."""
    with open("/proc/self/maps") as maps:
        return sum("[aio]" in line for line in maps)


def test_numbers_of_this_machine_are_there() -> None:
    """Tests run where the benchmark does: without the call both would tell nothing of it."""
    assert platform.machine() in linux_aio._NUMBERS
