"""The name in a ClientHello of OpenSSL's, and in what is none."""

import asyncio
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.net.client_hello import LONGEST, ClientHello, HelloReader
from gatepost.net.tls_failure import TlsFailure
from tests.net.tls_world import Wire, turns


def hello(name: str | None = "mail.ours.example") -> bytes:
    outgoing = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


HELLO = hello()


def server_name(octets: bytes) -> str | None:
    return ClientHello().feed(octets)


def test_the_name_is_known_once_the_message_is_whole() -> None:
    assert server_name(HELLO) == "mail.ours.example"
    assert server_name(HELLO + b"more") == "mail.ours.example"
    assert {server_name(HELLO[:length]) for length in range(len(HELLO))} == {None}
    assert server_name(hello(None)) == ""


@given(st.integers(1, 50))
def test_the_message_may_be_in_many_records(size: int) -> None:
    body = HELLO[5:]
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    records = [HELLO[:3] + len(part).to_bytes(2) + part for part in parts]
    assert server_name(b"".join(records)) == "mail.ours.example"
    assert server_name(b"".join(records[:-1])) is None
    message = ClientHello()
    assert [name for record in records if (name := message.feed(record)) is not None] == ["mail.ours.example"]


@given(st.binary(max_size=200))
def test_what_is_no_hello_is_left_to_openssl(octets: bytes) -> None:
    assert server_name(b"E" + octets) == ""
    assert server_name(b"\x16\x03\x01\0\x01\x02" + octets) == ""


@given(st.integers(5, len(HELLO) - 1), st.integers(0, 255))
def test_no_octet_makes_it_fail(where: int, octet: int) -> None:
    found = server_name(HELLO[:where] + bytes([octet]) + HELLO[where + 1 :])
    assert found is None or isinstance(found, str)


def test_it_does_not_wait_for_ever() -> None:
    assert server_name(b"\x16\x03\x01\xff\xff\x01\xff\xff\xff" + b"x" * LONGEST) == ""


class Played(asyncio.Protocol):
    """A reader on a wire in memory, and what came of it."""

    def __init__(self, limit: float = 60.0) -> None:
        self.asked: list[str] = []
        self.read: list[bytes] = []
        self.failures: list[TlsFailure] = []
        self.lost: list[Exception | None] = []
        self.answer = asyncio.Event()
        self.wire = Wire()
        HelloReader(self.wire, self, self._prepare, self._go_on, self.failures.append).read(HELLO[:10], limit)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)

    def _go_on(self, read: bytes, left: float) -> None:
        self.read.append(read)

    async def _prepare(self, name: str) -> None:
        self.asked.append(name)
        await self.answer.wait()


async def test_the_handshake_waits_for_the_answer() -> None:
    played = Played()
    for octet in HELLO[10:]:
        assert played.asked == []
        played.wire.protocol.data_received(bytes([octet]))
        await turns()
    assert played.asked == ["mail.ours.example"] and played.read == []
    played.answer.set()
    await turns()
    assert played.read == [HELLO] and played.failures == []


async def test_a_client_that_goes() -> None:
    played = Played()
    played.wire.protocol.eof_received()
    await turns()
    assert [failure.words for failure in played.failures] == ["lost connection"]
    assert played.lost == [None]


async def test_a_client_that_goes_while_somebody_is_asked() -> None:
    played = Played()
    played.wire.protocol.data_received(HELLO[10:])
    await turns()
    played.wire.protocol.connection_lost(ConnectionResetError(104, "x"))
    played.answer.set()
    await turns()
    assert [failure.lost for failure in played.failures] == [True]
    assert played.read == [] and len(played.lost) == 1


async def test_a_client_that_is_too_slow() -> None:
    played = Played(0.001)
    while not played.lost:
        await turns()
    await turns()
    assert played.failures[0].timed_out and len(played.failures) == 1
