"""STARTTLS on a real socket: handshakes that are cut, late, garbage; what comes before and behind them."""

import asyncio
import random

import pytest

from tests.certificates import certificates, placed
from tests.smtpd.tls_client import CERTIFICATE, Hands, asked_for_tls, shaken
from tests.smtpd.world import Talk, World, until

NAMADDR = "localhost[127.0.0.1]"
END = [f"lost connection after STARTTLS from {NAMADDR}", f"disconnect from {NAMADDR} ehlo=1 starttls=0/1 commands=1/2"]
ANONYMOUS = f"Anonymous TLS connection established from {NAMADDR}: TLSv1."


def world_of(main_cf: str = "") -> World:
    return World(placed(CERTIFICATE + main_cf))


async def failed(world: World) -> list[str]:
    """What the log says once all is over, without the connection's beginning."""
    await world.idle()
    return world.take_log()[1:]


async def test_a_message_in_tls_is_told_as_such() -> None:
    async with world_of("smtpd_tls_received_header = yes\n") as world:
        talk = await shaken(await asked_for_tls(world))
        assert "STARTTLS" not in await talk.say("EHLO again.example")
        for line in ("MAIL FROM:<a@x.example>", "RCPT TO:<b@ours.example>", "DATA"):
            assert (await talk.say(line))[0] in "23"
        assert (await talk.say("Subject: x\r\n\r\nx\r\n.")).startswith("250 2.0.0 Ok: queued as ")
        await talk.say("QUIT")
        await talk.ended()
        [message] = world.writer.messages
        header = message.content.decode().partition("\nSubject")[0].splitlines()
        assert header[:6] == [
            "Received: from again.example (localhost [127.0.0.1])",
            "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)",
            "\t key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256)",
            "\t(No client certificate requested)",
            "\tby mail.ours.example (Postfix) with ESMTPS id 0000000001",
            "\tfor <b@ours.example>; " + header[5].partition("; ")[2],
        ]


@pytest.mark.parametrize(
    ("certificate", "about"),
    [
        ("client", '(Client CN "laptop.ours.example", Issuer "Test CA" (verified OK))'),
        ("stranger", '(Client CN "stranger.example", Issuer "Other CA" (not verified))'),
        ("", "(Client did not present a certificate)"),
    ],
)
async def test_the_header_names_the_clients_certificate(certificate: str, about: str) -> None:
    more = "smtpd_tls_received_header = yes\nsmtpd_tls_ask_ccert = yes\nsmtpd_tls_CAfile = CERTS/ca.pem\n"
    async with world_of(more) as world:
        talk = await shaken(await asked_for_tls(world), certificate)
        for line in ("HELO x", "MAIL FROM:<a@x.example>", "RCPT TO:<b@ours.example>", "DATA", "\r\n."):
            await talk.say(line)
        await talk.close()
        lines = world.writer.messages[0].content.decode().splitlines()
    assert f"\t{about}" in lines
    assert (" client-digest SHA256)" in "".join(lines)) is bool(certificate)


async def test_no_header_lines_unless_asked_for() -> None:
    async with world_of() as world:
        talk = await shaken(await asked_for_tls(world))
        for line in ("HELO x", "MAIL FROM:<a@x.example>", "RCPT TO:<b@ours.example>", "DATA", "\r\n."):
            await talk.say(line)
        await talk.close()
        content = world.writer.messages[0].content.decode()
    # Who has said EHLO once is an ESMTP client, as with Postfix.
    assert "\n\tby mail.ours.example (Postfix) with ESMTPS id " in content
    assert "using TLS" not in content


async def test_the_handshake_may_come_octet_by_octet() -> None:
    async with world_of() as world:
        talk = await asked_for_tls(world)
        hands = Hands()
        for octet in hands.hello():
            talk.send(bytes((octet,)))
            await asyncio.sleep(0)
        talk.send(hands.answer(await talk.reader.read(65536)) + hands.seal(b"NOOP\r\n"))
        plain = b""
        while b"\r\n" not in plain:
            plain += hands.open(await asyncio.wait_for(talk.reader.read(65536), 10))
        assert plain == b"250 2.0.0 Ok\r\n"


async def test_a_command_in_the_last_segment_of_the_handshake_is_obeyed() -> None:
    async with world_of("tls_session_ticket_cipher =\n") as world:
        talk = await asked_for_tls(world)
        hands = Hands()
        talk.send(hands.hello())
        rest = b""
        while not hands.ready:
            rest += hands.answer(await asyncio.wait_for(talk.reader.read(65536), 10))
        talk.send(rest + hands.seal(b"EHLO x\r\n"))
        plain = b""
        while not plain.endswith(b"250 CHUNKING\r\n"):
            plain += hands.open(await asyncio.wait_for(talk.reader.read(65536), 10))
        assert plain.startswith(b"250-mail.ours.example\r\n")


async def test_what_is_sent_behind_starttls_is_no_part_of_the_handshake() -> None:
    """A ClientHello in the same segment is dropped like any other plaintext: both sides wait."""
    async with world_of("smtpd_starttls_timeout = 1s\n") as world:
        talk = await (await Talk.open(world)).greeted()
        talk.send(b"STARTTLS\r\n" + Hands().hello())
        assert await talk.reply() == "220 2.0.0 Ready to start TLS"
        assert await talk.ended() == ""
        assert await failed(world) == [f"SSL_accept error from {NAMADDR}: Connection timed out", *END]


async def test_a_slow_handshake_ends() -> None:
    async with world_of("smtpd_starttls_timeout = 1s\n") as world:
        talk = await asked_for_tls(world)
        talk.send(Hands().hello()[:100])
        assert await talk.ended() == ""
        assert await failed(world) == [f"SSL_accept error from {NAMADDR}: Connection timed out", *END]


async def test_a_handshake_cut_anywhere_ends_the_session() -> None:
    async with world_of() as world:
        first = Hands().hello()
        places = [0, 1, 2, 3, 4, 5, 6, 9, 43, *range(50, len(first), 40), len(first)]
        for place in places:
            talk = await asked_for_tls(world)
            talk.send(Hands().hello()[:place])
            if place == len(first):
                await talk.reader.read(1)
            talk.writer.close()
            log = await failed(world)
            assert log[0] == f"SSL_accept error from {NAMADDR}: lost connection" and log[1:] == END, (place, log)


async def test_a_reset_is_told_in_the_systems_words() -> None:
    async with world_of() as world:
        talk = await asked_for_tls(world)
        talk.writer.transport.abort()
        log = await failed(world)
        assert log[0].startswith(f"SSL_accept error from {NAMADDR}: ") and log[1:] == END


async def test_garbage_instead_of_a_handshake() -> None:
    dice = random.Random(20)
    async with world_of() as world:
        for _ in range(60):
            talk = await asked_for_tls(world)
            data = bytearray(dice.choice([Hands().hello(), dice.randbytes(dice.randrange(1, 700))]))
            for _ in range(dice.randrange(1, 6)):
                data[dice.randrange(len(data))] = dice.randrange(256)
            talk.send(bytes(data))
            talk.writer.write_eof()
            await talk.reader.read()
            talk.writer.close()
            log = await failed(world)
            assert log[0].startswith(f"SSL_accept error from {NAMADDR}: ") and log[-2:] == END, log
            assert len(log) == 3 or (len(log) == 4 and log[1].startswith("warning: TLS library problem: error:"))


async def test_a_hundred_half_open_handshakes_keep_nobody_waiting() -> None:
    async with world_of("smtpd_starttls_timeout = 2s\n") as world:
        half = [await asked_for_tls(world) for _ in range(100)]
        for number, talk in enumerate(half):
            talk.send(Hands().hello()[: number * 3])
        other = await shaken(await asked_for_tls(world))
        assert await other.say("NOOP") == "250 2.0.0 Ok"
        for talk in half:
            assert await talk.ended() == ""
        await until(lambda: len(world.connections) == 1)
        assert sum("Connection timed out" in line for line in world.take_log()) == 100
        assert await other.say("NOOP") == "250 2.0.0 Ok"


async def test_an_end_within_a_record_is_a_lost_connection() -> None:
    async with world_of() as world:
        talk = await asked_for_tls(world)
        hands = Hands()
        talk.send(hands.hello())
        while not hands.ready:
            talk.send(hands.answer(await asyncio.wait_for(talk.reader.read(65536), 10)))
        talk.send(hands.seal(b"EHLO x\r\n")[:-3])
        talk.writer.close()
        log = await failed(world)
        assert log[0].startswith(ANONYMOUS)
        assert log[1:] == [END[0], f"disconnect from {NAMADDR} ehlo=1 starttls=1 commands=2"]


async def test_new_sessions_are_counted() -> None:
    limits = "smtpd_client_new_tls_session_rate_limit = 1\nsmtpd_client_event_limit_exceptions =\n"
    async with world_of(limits) as world:
        talk = await shaken(await asked_for_tls(world))
        assert await talk.say("QUIT") == "221 2.0.0 Bye"
        talk = await shaken(await asked_for_tls(world))
        wanted = f"421 4.7.0 mail.ours.example Error: too many new TLS sessions from {NAMADDR}"
        assert await talk.reply() == wanted
        assert await talk.ended() == ""
        talk = await (await Talk.open(world)).greeted()
        assert await talk.say("STARTTLS") == f"454 4.7.0 Error: too many new TLS sessions from {NAMADDR}"
        log = world.take_log()
        assert f"warning: New TLS session rate limit exceeded: 2 from {NAMADDR} for service smtp" in log
        assert f"warning: Refusing STARTTLS request from {NAMADDR} for service smtp" in log
        assert f"disconnect from {NAMADDR} ehlo=1 starttls=0/1 commands=1/2" in log


async def test_resumed_sessions_are_not_counted() -> None:
    limits = "smtpd_client_new_tls_session_rate_limit = 1\nsmtpd_client_event_limit_exceptions =\n"
    context = certificates().client_context(version="1.2")
    session = None
    async with world_of(limits) as world:
        for _ in range(3):
            talk = await asked_for_tls(world)
            hands = Hands(context=context)
            if session is not None:
                hands.tls.session = session
            talk.send(hands.hello())
            while not hands.ready:
                talk.send(hands.answer(await asyncio.wait_for(talk.reader.read(65536), 10)))
            assert hands.tls.session_reused is (session is not None)
            session = hands.tls.session
            talk.send(hands.seal(b"QUIT\r\n"))
            await talk.reader.read()
            talk.writer.close()
        assert not [line for line in await failed(world) if "exceeded" in line]


async def test_tls_from_the_first_octet_while_the_name_is_looked_up() -> None:
    """What the client has sent before the server is ready for it belongs to the handshake."""
    async with world_of("smtpd_tls_wrappermode = yes\n") as world:
        talk = await Talk.open(world)
        hands = Hands()
        talk.send(hands.hello())
        while not hands.ready:
            talk.send(hands.answer(await asyncio.wait_for(talk.reader.read(65536), 10)))
        plain = b""
        while b"\n" not in plain:
            plain += hands.open(await asyncio.wait_for(talk.reader.read(65536), 10))
        assert plain == b"220 mail.ours.example ESMTP Postfix\r\n"
        talk.send(hands.seal(b"QUIT\r\n"))
        await talk.reader.read()
        assert (await failed(world))[1:] == [f"disconnect from {NAMADDR} quit=1 commands=1"]


async def test_connections_are_counted_behind_the_handshake() -> None:
    limits = "smtpd_client_connection_count_limit = 1\nsmtpd_client_event_limit_exceptions =\n"
    async with world_of(limits + "smtpd_tls_wrappermode = yes\n") as world:
        first = await shaken(await Talk.open(world))
        assert (await first.reply()).startswith("220 ")
        second = await shaken(await Talk.open(world))
        assert await second.reply() == "421 4.7.0 mail.ours.example Error: too many connections from 127.0.0.1"


async def test_new_sessions_are_counted_where_they_come_first() -> None:
    limits = "smtpd_client_new_tls_session_rate_limit = 1\nsmtpd_client_event_limit_exceptions =\n"
    async with world_of(limits + "smtpd_tls_wrappermode = yes\n") as world:
        for _ in range(2):
            talk = await shaken(await Talk.open(world))
            told = await talk.reply()
        assert told == f"421 4.7.0 mail.ours.example Error: too many new TLS sessions from {NAMADDR}"
        third = await Talk.open(world)
        assert await third.ended() == ""
        assert f"warning: Refusing TLS service request from {NAMADDR} for service smtp" in world.take_log()


async def test_a_client_that_closes_in_tls_is_gone() -> None:
    async with world_of() as world:
        talk = await shaken(await asked_for_tls(world))
        assert await talk.say("NOOP") == "250 2.0.0 Ok"
        await talk.close()
        log = await failed(world)
        assert log[-2] == f"lost connection after NOOP from {NAMADDR}"


async def test_content_beyond_all_buffers_passes_through_tls() -> None:
    async with world_of("message_size_limit = 0\n") as world:
        talk = await shaken(await asked_for_tls(world))
        for line in ("EHLO x", "MAIL FROM:<a@x.example>", "RCPT TO:<b@ours.example>", "DATA"):
            await talk.say(line)
        talk.send(b"Subject: x\r\n\r\n" + (b"x" * 78 + b"\r\n") * 40_000)
        assert (await talk.say(".")).startswith("250 2.0.0 Ok")
        assert world.writer.messages[0].size > 40_000 * 79


async def test_a_shutdown_is_told_in_tls() -> None:
    async with world_of() as world:
        talk = await shaken(await asked_for_tls(world))
        [connection] = world.connections
        connection.shut_down()
        assert await talk.reply() == "421 4.3.2 mail.ours.example Service not available, closing transmission channel"
        assert await talk.ended() == ""


async def test_a_shutdown_does_not_wait_for_handshakes() -> None:
    async with world_of() as world:
        talk = await asked_for_tls(world)
        talk.send(Hands().hello()[:50])
        [connection] = world.connections
        connection.shut_down()
        assert (await failed(world))[0] == f"SSL_accept error from {NAMADDR}: lost connection"


async def test_a_timeout_is_told_in_tls() -> None:
    async with world_of("smtpd_timeout = 1s\n") as world:
        talk = await shaken(await asked_for_tls(world))
        assert await talk.reply() == "421 4.4.2 mail.ours.example Error: timeout exceeded"
        assert await talk.ended() == ""
