"""What the agent's tests do not reach: the order in which network and caller come."""

import asyncio

import pytest

from gatepost.delivery.smtp_addresses import Target
from gatepost.delivery.smtp_cache import SessionCache
from gatepost.delivery.smtp_params import SmtpParams
from gatepost.delivery.smtp_session import SessionLost, SmtpSession
from gatepost.net.connect import connect_tcp
from gatepost.protocol.smtp_client import SmtpClientProtocol
from gatepost.protocol.smtp_client_events import Stage
from tests.delivery.smtp_peer import Peer, peer


async def connected(it: Peer, **options: float) -> SmtpSession:
    params = SmtpParams(**options)  # type: ignore[arg-type]
    core = SmtpClientProtocol("me.example")
    session = SmtpSession(Target(it.host, it.host, it.port), core, params.limits(), 998, 1e12)
    return await connect_tcp(session, it.host, it.port, limit=5)


async def test_a_server_that_speaks_before_anybody_waits() -> None:
    async with peer({"greeting": b""}) as it:
        session = await connected(it)
        session.data_received(b"554 5.7.1 no\r\n")
        reply = await session.handshake()
        assert reply is not None
        assert reply.dsn == "5.7.1"
        session.quit()


async def test_a_connection_that_is_gone_before_anybody_waits() -> None:
    async with peer({"greeting": b""}) as it:
        session = await connected(it)
        session.connection_lost(None)
        with pytest.raises(SessionLost) as caught:
            await session.handshake()
        assert caught.value.stage is Stage.GREETING
        assert not caught.value.timed_out


async def test_the_cache_hands_out_the_newest_and_drops_the_dead() -> None:
    async with peer() as it:
        sessions = [await connected(it) for _ in range(3)]
        cache = SessionCache()
        for session in sessions:
            assert await session.handshake() is None
            cache.put(session, ("x.example", session.target.namaddrport))
        assert cache.take("x.example") is sessions[2]
        sessions[1].abort()
        assert cache.take(sessions[0].target.namaddrport) is sessions[0]
        assert cache.take("x.example") is None
        assert cache.sessions() == set()
        for session in sessions:
            session.quit()


async def test_closing_the_cache_says_goodbye() -> None:
    async with peer() as it:
        session = await connected(it)
        await session.handshake()
        cache = SessionCache()
        cache.put(session, ("x.example",))
        cache.close()
        await it.all_closed.wait()
        assert it.commands[-1] == "QUIT"
        assert not session.reusable


async def test_cancelling_a_wait_leaves_the_session_usable_for_quit() -> None:
    async with peer({"greeting": b""}) as it:
        session = await connected(it)
        task = asyncio.create_task(session.handshake())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        session.abort()
        await it.all_closed.wait()


async def test_a_server_that_never_comes_to_an_end_is_cut_off() -> None:
    async with peer({"greeting": b""}) as it:
        session = await connected(it)
        waiting = asyncio.create_task(session.handshake())
        for _ in range(300):
            session.data_received(b"220-x\r\n" * 1000)
        with pytest.raises(SessionLost) as caught:
            await waiting
        assert caught.value.stage is Stage.GREETING
        assert not session.reusable


async def test_a_server_that_talks_into_the_content_does_not_prolong_it() -> None:
    async with peer({"greeting": b""}) as it:
        session = await connected(it)
        session.core.stage = Stage.CONTENT
        session._set_deadline(session._loop.time() + 1.0)
        deadline = session._deadline
        session.data_received(b"x")
        assert session._deadline == deadline
        session.data_received(b"x" * 100_000)
        assert session.core.stage is Stage.CLOSED
