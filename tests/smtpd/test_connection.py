"""The server on a real socket, from the greeting to `queued as`."""

import asyncio
import socket

import msgspec
import pytest

from gatepost.cleanup.interface import QueueFull, QueueUnavailable
from gatepost.dns.names import ClientName
from gatepost.mail.envelope import Message
from gatepost.mail.reply import Reply
from gatepost.net.gathered_writes import GatheredWrites
from gatepost.restrictions.facts import SessionFacts
from gatepost.smtpd.connection import plain_address
from tests.net.counted_sends import count_sends
from tests.smtpd.world import Talk, World, until


async def test_from_greeting_to_queued() -> None:
    async with World() as world:
        talk = await Talk.open(world)
        assert await talk.reply() == "220 mail.ours.example ESMTP Postfix"
        assert (await talk.say("EHLO client.example")).startswith("250-mail.ours.example\n250-PIPELINING\n")
        talk.send("MAIL FROM:<a@x.example>\r\nRCPT TO:<b@ours.example>\r\nDATA\r\n")
        assert [await talk.reply() for _ in range(3)] == [
            "250 2.1.0 Ok",
            "250 2.1.5 Ok",
            "354 End data with <CR><LF>.<CR><LF>",
        ]
        queued = await talk.say("Subject: x\r\n\r\n..dot\r\n.")
        assert queued == "250 2.0.0 Ok: queued as 0000000001"
        assert await talk.say("QUIT") == "221 2.0.0 Bye"
        assert await talk.ended() == ""
        [message] = world.writer.messages
        assert message.sender == "a@x.example"
        assert [r.address for r in message.recipients] == ["b@ours.example"]
        assert message.content.endswith(b"\n\n.dot\n")
        assert world.take_log() == [
            "connect from localhost[127.0.0.1]",
            "0000000001: client=localhost[127.0.0.1]",
            f"0000000001: message-id={_message_id(message.content)}",
            "disconnect from localhost[127.0.0.1] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5",
        ]


def _message_id(content: bytes) -> str:
    for line in content.decode().splitlines():
        if line.lower().startswith("message-id: "):
            return line[12:]
    return "<>"


async def test_replies_to_many_clients_leave_together(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_sends(monkeypatch)
    async with World() as world:
        world.env.writes = GatheredWrites()
        talks = [await (await Talk.open(world)).greeted() for _ in range(10)]
        for _ in range(1000):
            for talk in talks:
                talk.send("NOOP\r\n")
            assert [await talk.reply() for talk in talks] == ["250 2.0.0 Ok"] * 10
            if calls and max(calls) > 1:
                break
        assert max(calls) > 1
        assert [await talk.say("QUIT") for talk in talks] == ["221 2.0.0 Bye"] * 10
        assert [await talk.ended() for talk in talks] == [""] * 10


async def test_commands_sent_before_a_half_close_are_answered() -> None:
    async with World() as world:
        talk = await Talk.open(world)
        talk.send("NOOP\r\n")
        talk.writer.write_eof()
        assert await talk.ended() == "220 mail.ours.example ESMTP Postfix\r\n250 2.0.0 Ok\r\n"
        assert world.take_log()[1:] == [
            "lost connection after NOOP from localhost[127.0.0.1]",
            "disconnect from localhost[127.0.0.1] noop=1 commands=1",
        ]


async def test_a_silent_client_is_told_and_left() -> None:
    async with World("smtpd_timeout = 1s\n") as world:
        talk = await Talk.open(world)
        await talk.say("EHLO client.example")
        rest = await talk.ended()
        assert rest.endswith("\r\n421 4.4.2 mail.ours.example Error: timeout exceeded\r\n")
        assert "timeout after EHLO from localhost[127.0.0.1]" in world.take_log()


async def test_too_many_connections_at_once() -> None:
    limits = "smtpd_client_connection_count_limit = 1\nsmtpd_client_event_limit_exceptions =\n"
    async with World(limits) as world:
        first = await (await Talk.open(world)).greeted()
        second = await Talk.open(world)
        wanted = "421 4.7.0 mail.ours.example Error: too many connections from 127.0.0.1"
        assert await second.reply() == wanted
        await second.ended()
        assert "warning: Connection concurrency limit exceeded: 2 from localhost[127.0.0.1] for service smtp" in (
            world.take_log()
        )
        await first.say("QUIT")
        await first.ended()
        third = await Talk.open(world)
        assert (await third.reply()).startswith("220 ")
        await third.close()


async def test_clients_in_the_list_of_exceptions_are_not_limited() -> None:
    async with World("smtpd_client_connection_count_limit = 1\n") as world:
        talks = [await Talk.open(world) for _ in range(3)]
        for talk in talks:
            assert (await talk.reply()).startswith("220 ")
            await talk.close()


async def test_a_name_that_is_not_confirmed_is_told() -> None:
    async with World() as world:
        warning = "hostname liar.example does not resolve to address 127.0.0.1"
        world.names["127.0.0.1"] = ClientName("unknown", 6, "liar.example", 2, warning)
        await (await (await Talk.open(world)).greeted()).close()
        await world.idle()
        assert world.take_log()[:2] == ["warning: " + warning, "connect from unknown[127.0.0.1]"]


@pytest.mark.parametrize(
    ("failure", "answer"),
    [
        (QueueUnavailable(), "451 4.3.0 Error: queue file write error"),
        (QueueFull(), "452 4.3.1 Insufficient system storage"),
    ],
)
async def test_what_is_not_stored_is_not_promised(failure: Exception, answer: str) -> None:
    async with World() as world:
        talk = await (await Talk.open(world)).greeted()
        world.writer.failure = failure  # type: ignore[assignment]
        talk.send("MAIL FROM:<a@x.example>\r\nRCPT TO:<b@ours.example>\r\nDATA\r\n")
        for _ in range(3):
            await talk.reply()
        assert await talk.say("Subject: x\r\n\r\n.") == answer
        world.writer.failure = None
        assert await talk.say("MAIL FROM:<a@x.example>") == "250 2.1.0 Ok"
        await talk.close()


async def test_no_space_is_said_at_mail() -> None:
    async with World() as world:
        world.free = 1000
        talk = await (await Talk.open(world)).greeted()
        assert await talk.say("MAIL FROM:<a@x.example>") == "452 4.3.1 Insufficient system storage"
        await talk.close()


async def test_a_message_of_megabytes_in_pieces() -> None:
    async with World() as world:
        talk = await (await Talk.open(world)).greeted()
        talk.send("MAIL FROM:<a@x.example>\r\nRCPT TO:<b@ours.example>\r\nDATA\r\n")
        for _ in range(3):
            await talk.reply()
        talk.send(b"Subject: x\r\n\r\n" + (b"y" * 98 + b"\r\n") * 30000 + b".\r\n")
        assert (await talk.reply()).startswith("250 2.0.0 Ok: queued as ")
        await talk.close()
        [message] = world.writer.messages
        [large] = world.writer.large.values()
        assert message.content == b""
        assert b"".join(large.pieces).endswith((b"y" * 98 + b"\n") * 30000)


async def test_a_client_that_does_not_read_is_not_served_on() -> None:
    async with World("smtpd_junk_command_limit = 1000000\n") as world:
        # Small buffers in the kernel, on both sides.
        assert world.server is not None
        world.server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        client.connect(("127.0.0.1", world.port))
        client.setblocking(False)
        talk = await Talk(*await asyncio.open_connection(sock=client)).greeted()
        talk.writer.transport.pause_reading()  # type: ignore[attr-defined]
        rounds = 20000
        talk.send("RSET\r\n" * rounds)
        [connection] = world.connections
        await until(lambda: connection.blocked)
        talk.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(rounds):
            await talk.reply()
        assert await talk.say("QUIT") == "221 2.0.0 Bye"
        await talk.ended()


async def test_a_client_lost_while_its_message_is_stored() -> None:
    async with World() as world:
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        submit = world.writer.submit

        async def later(message: Message) -> None:
            await gate
            await submit(message)

        world.writer.submit = lambda message: asyncio.ensure_future(later(message))  # type: ignore[method-assign]
        talk = await (await Talk.open(world)).greeted()
        talk.send("MAIL FROM:<a@x.example>\r\nRCPT TO:<b@ours.example>\r\nDATA\r\n")
        for _ in range(3):
            await talk.reply()
        talk.send("Subject: x\r\n\r\n.\r\n")
        await until(lambda: world.tasks)
        talk.writer.transport.abort()
        await asyncio.sleep(0.01)
        gate.set_result(None)
        await world.idle()
        assert len(world.writer.messages) == 1
        assert world.take_log()[-1].startswith("disconnect from localhost[127.0.0.1] ehlo=1 mail=1 rcpt=1 data=1 ")


async def test_a_fault_of_ours_costs_one_session() -> None:
    async with World() as world:
        faults: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))

        async def broken(facts: SessionFacts) -> Reply | None:
            raise RuntimeError("a fault")

        world.env.policy.vrfy = broken  # type: ignore[method-assign]
        talk = await (await Talk.open(world)).greeted()
        assert await talk.say("VRFY bob@ours.example") == "421 4.3.0 mail.ours.example Server local data error"
        assert await talk.ended() == ""
        assert str(faults[0]["exception"]) == "a fault"
        assert (await (await Talk.open(world)).reply()).startswith("220 ")


async def test_errors_slow_the_session_down() -> None:
    async with World("smtpd_soft_error_limit = 2\nsmtpd_error_sleep_time = 3s\n") as world:
        talk = await (await Talk.open(world)).greeted()
        for _ in range(3):
            await talk.say("FOO")
        assert world.slept == [3]
        assert await talk.say("NOOP") == "250 2.0.0 Ok"
        assert world.slept == [3, 3]
        await talk.close()


async def test_shutting_down_ends_idle_sessions() -> None:
    async with World() as world:
        talk = await (await Talk.open(world)).greeted()
        for connection in list(world.connections):
            connection.shut_down()
        goodbye = "421 4.3.2 mail.ours.example Service not available, closing transmission channel\r\n"
        assert await talk.ended() == goodbye


async def test_under_stress_other_parameters_count() -> None:
    async with World() as world:
        world.env.stressed = msgspec.structs.replace(world.env.parameters, smtpd_hard_error_limit=1)
        world.env.is_stressed = lambda: True
        talk = await (await Talk.open(world)).greeted()
        talk.send("FOO\r\n")
        assert (await talk.ended()).endswith("421 4.7.0 mail.ours.example Error: too many errors\r\n")


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        (("192.0.2.1", 25), ("192.0.2.1", "25")),
        (("::ffff:192.0.2.1", 4711, 0, 0), ("192.0.2.1", "4711")),
        (("fe80::1%eth0", 4711, 0, 2), ("fe80::1", "4711")),
        (("2001:DB8::0:1", 1, 0, 0), ("2001:db8::1", "1")),
        (None, ("unknown", "0")),
        ("/a/socket", ("unknown", "0")),
    ],
)
def test_addresses_as_they_are_logged(name: object, plain: tuple[str, str]) -> None:
    assert plain_address(name) == plain


async def test_ipv6() -> None:
    world = World()
    world.port = await world.start("::1")
    talk = await (await Talk.open(world, "::1")).greeted()
    await talk.close()
    await world.idle()
    assert world.take_log()[0] == "connect from localhost[::1]"
    await world.stop()
