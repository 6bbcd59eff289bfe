"""Whatever a client sends: the session goes on or ends, never by a fault, and its replies are well-formed lines."""

import asyncio
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatepost.smtpd.connection import SmtpConnection
from tests.smtpd.world import World, until

CORPUS = sorted((Path(__file__).parent / "corpus" / "smtp").iterdir())
SEEDS = [path.read_bytes() for path in CORPUS]
REPLY = re.compile(rb"(?:[2-5][0-9]{2}[ -][^\r\n]*\r\n)*")
MAIN_CF = """
smtpd_peername_lookup = no
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_authorized_xforward_hosts = 127.0.0.1
smtpd_forbid_unauth_pipelining = no
smtpd_hard_error_limit = 1000
smtpd_helo_restrictions = reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname
smtpd_sender_restrictions = reject_non_fqdn_sender, reject_unknown_sender_domain
message_size_limit = 2000
"""


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 25)})
        self.out = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.out += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def converse(pieces: list[bytes]) -> bytes:
    """What the server says to these pieces of input."""
    loop = asyncio.get_running_loop()
    faults: list[object] = []
    loop.set_exception_handler(lambda _, context: faults.append(context))
    world = World(MAIN_CF)
    connection = SmtpConnection(world.env, loop, world.connections, world.tasks)
    wire = Wire()
    connection.connection_made(wire)
    for piece in pieces:
        if wire.closed:
            break
        connection.data_received(piece)
        await until(lambda: not world.tasks)
    for _ in range(5):
        await asyncio.sleep(0)
    connection.connection_lost(None)
    assert not faults
    assert REPLY.fullmatch(wire.out), wire.out
    for line in world.take_log():
        assert "\n" not in line and "\r" not in line
    return wire.out


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
async def test_corpus(path: Path) -> None:
    data = path.read_bytes()
    await converse([data])
    await converse([data[i : i + 1] for i in range(len(data))])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SEEDS), st.randoms(use_true_random=False), st.lists(st.binary(max_size=12), max_size=4))
def test_mutations(seed: bytes, chance: random.Random, more: list[bytes]) -> None:
    data = bytearray(seed)
    for extra in more:
        at = chance.randrange(len(data) + 1)
        data[at : at + chance.randrange(4)] = extra
    cut = chance.randrange(len(data) + 1)
    asyncio.run(converse([bytes(data[:cut]), bytes(data[cut:])]))
