"""The expected headers, log lines and answers are those of Postfix 3.7 for the same input."""

import zlib
from pathlib import Path

import pytest

from gatepost.cleanup.interface import QueueFull, QueueUnavailable
from gatepost.mail.envelope import INLINE_LIMIT, NOTIFY_FAILURE, NOTIFY_NEVER, NOTIFY_SUCCESS, Origin, Recipient
from gatepost.master.large_content import LargeFile
from tests.cleanup.entrance import DATE, LOCAL, NOW, REMOTE, STAMP, Entrance, given

TRACE = (
    "Received: from helo.name (laptop.example [192.0.2.7])\n"
    "\tby mail.ours.example (Postfix) with ESMTP id 0000000001\n"
    f"\tfor <x@dest.example>; {DATE}\n"
)
ID = f"<{STAMP}.0000000001@mail.ours.example>"
ADDED = f"Message-Id: {ID}\nDate: {DATE}\nFrom: me@client.example\n"


async def test_local_client_gets_missing_headers() -> None:
    entrance = Entrance()
    assert await entrance.stored(b"Subject: hi\n\nbody\n") == f"{TRACE}Subject: hi\n{ADDED}\nbody\n"
    assert entrance.log == [f"0000000001: message-id={ID}"]


async def test_message_in_the_queue() -> None:
    entrance = Entrance()
    await entrance.send(b"Subject: hi\n", b"\nbody\n", transaction=given(envid="e", ret="HDRS", body="8bitmime"))
    (message,) = entrance.messages
    assert (message.queue_id, message.arrival, message.sender) == ("0000000001", NOW, "me@client.example")
    assert message.recipients == [Recipient("x@dest.example")]
    lines = message.content.count(b"\n")
    assert (message.size, message.data_size) == (len(message.content), len(message.content) + lines)
    assert message.checksum == zlib.crc32(message.content)
    assert (message.envid, message.ret, message.body, message.content_file) == ("e", "HDRS", "8bitmime", "")


async def test_remote_client_gets_nothing_added() -> None:
    entrance = Entrance()
    content = await entrance.stored(b"From: joe\nTo: a, b\n\nbody\n", transaction=given(origin=REMOTE))
    assert content == f"{TRACE}From: joe\nTo: a, b\n\nbody\n"
    assert entrance.log == ["0000000001: message-id=<>"]


async def test_always_add_missing_headers() -> None:
    entrance = Entrance(always_add_missing_headers="yes")
    assert await entrance.stored(b"\nbody\n", transaction=given(origin=REMOTE)) == f"{TRACE}{ADDED}\nbody\n"


async def test_remote_header_rewrite_domain() -> None:
    entrance = Entrance(remote_header_rewrite_domain="invalid.example")
    content = await entrance.stored(b"From: joe\n\nbody\n", transaction=given(origin=REMOTE))
    assert content == f"{TRACE}From: joe@invalid.example\nMessage-Id: {ID}\nDate: {DATE}\n\nbody\n"


@pytest.mark.parametrize(
    ("given_content", "kept", "body"),
    [
        (b"", "", ""),
        (b"Subject: x\n", "Subject: x\n", ""),
        (b"hello world\nmore\n", "", "\nhello world\nmore\n"),
        (b"\nbody\n", "", "\nbody\n"),
        (b"Subject: x\nnot a header\nmore: x\n\nb\n", "Subject: x\n", "\nnot a header\nmore: x\n\nb\n"),
        (b" leading\nSubject: x\n\nb\n", "", "\n leading\nSubject: x\n\nb\n"),
        (b"Subject: x\n folded\n\n\nb\n", "Subject: x\n folded\n", "\n\nb\n"),
        (b"Subject: x\n\nno line end", "Subject: x\n", "\nno line end\n"),
        (b"Subject : x\nX-Y \t: z\n\nb\n", "Subject: x\nX-Y: z\n", "\nb\n"),
        (b"\xc3\xa9: x\n\nb\n", "", "\n\xe9: x\n\nb\n"),
    ],
)
async def test_header_and_body(given_content: bytes, kept: str, body: str) -> None:
    assert await Entrance().stored(given_content) == f"{TRACE}{kept}{ADDED}{body}"


async def test_mailbox_lines_are_marked() -> None:
    content = await Entrance().stored(b">From foo bar\nFrom foo@bar Mon\nSubject: x\n\nFrom b\n")
    head = "X-Mailbox-Line: >From foo bar\nX-Mailbox-Line: From foo@bar Mon\nSubject: x\n"
    assert content == f"{TRACE}{head}{ADDED}\nFrom b\n"


async def test_null_sender() -> None:
    content = await Entrance().stored(b"Subject: x\n\n", transaction=given(""))
    assert "From: MAILER-DAEMON\n" in content


async def test_dropped_headers_and_resent() -> None:
    entrance = Entrance()
    content = await entrance.stored(
        b"Message-ID: <a@b>\nMessage-Id:  <second@b>\nDate: now\nFrom: a@b.example\nBcc: secret@x\n"
        b"Return-Path: <foo>\nContent-Length: 5\nResent-Bcc: x\n\nb\n"
    )
    assert content == (
        f"{TRACE}Message-ID: <a@b>\nMessage-Id:  <second@b>\nDate: now\nFrom: a@b.example\n"
        f"Resent-Message-Id: {ID}\nResent-Date: {DATE}\nResent-From: me@client.example\n\nb\n"
    )
    assert entrance.log == [
        "0000000001: message-id=<a@b>",
        "0000000001: message-id=<second@b>",
        f"0000000001: resent-message-id={ID}",
    ]


async def test_resent_without_message_id() -> None:
    entrance = Entrance()
    await entrance.send(b"Resent-To: x\n\nb\n")
    assert entrance.log == [f"0000000001: resent-message-id={ID}", "0000000001: message-id=<>"]


async def test_odd_message_ids_are_logged_as_they_are() -> None:
    entrance = Entrance()
    content = b"Message-ID:\n <a@b>  \nMESSAGE-ID :  <x>\nmessage-id:\n\nb\n"
    stored = await entrance.stored(content, transaction=given(origin=REMOTE))
    assert stored == f"{TRACE}Message-ID:\n <a@b>  \nMESSAGE-ID:  <x>\nmessage-id:\n\nb\n"
    assert entrance.log == [f"0000000001: message-id={text}" for text in ("<a@b>  ", "<x>", "")]


async def test_hopcount_limit_counts_our_own() -> None:
    entrance = Entrance()
    result = await entrance.send(b"Received: x\n" * 49 + b"\n")
    assert (result.outcome, entrance.messages) == ("hops", [])
    assert entrance.log == ["warning: 0000000001: message rejected: hopcount exceeded"]
    assert (await entrance.send(b"Received: x\n" * 48 + b"\n")).outcome == "ok"


async def test_message_size_limit() -> None:
    entrance = Entrance(message_size_limit="3000")
    assert (await entrance.send(b"Subject: x\n\n" + b"x\n" * 2000)).outcome == "size"
    assert entrance.log[-1] == "warning: 0000000001: queue file size limit exceeded"
    assert (await entrance.send(b"Subject: x\n\n" + b"x\n" * 600)).outcome == "ok"
    assert (await entrance.send(b"\n" * 1400)).outcome == "size"  # two octets each in the records of a queue file
    huge = Entrance(message_size_limit="200000")
    assert (await huge.send(b"Subject: x\n\n", b"\n" * 140000)).outcome == "size"
    for begin in (False, True):
        assert (
            await huge.send(*[b"Subject: x\n\n", b"x" * 90000, b"x" * 90000, b"x" * 90000], begin=begin)
        ).outcome == "size"
    assert huge.messages == []
    assert all(content.abandoned for content in huge.writer.large.values())


@pytest.mark.parametrize("begin", [False, True])
async def test_large_content_goes_to_a_file(begin: bool) -> None:
    entrance = Entrance()
    line = b"0123456789abcdef" * 4 + b"\n"
    pieces = [b"From: joe\nSubject: big", b"\nTo: a\n", b"\n"] + [line * 100] * 50
    content = await entrance.stored(*pieces, transaction=given(), begin=begin)
    added = ADDED.replace("From: me@client.example\n", "")
    head = f"{TRACE}From: joe@mail.ours.example\nSubject: big\nTo: a@mail.ours.example\n{added}\n"
    assert content == head + line.decode() * 5000
    (message,) = entrance.messages
    assert (message.content, message.content_file) == (b"", "0000000001")
    assert (message.size, message.checksum) == (len(content), zlib.crc32(content.encode()))
    assert message.data_size == len(content) + content.count("\n")
    assert entrance.writer.large["0000000001"].finished


async def test_content_that_outgrows_the_row_by_our_headers() -> None:
    entrance = Entrance()
    body = b"x" * (INLINE_LIMIT - 3) + b"\n"
    assert await entrance.stored(b"\n" + body) == f"{TRACE}{ADDED}\n{body.decode()}"
    assert entrance.messages[0].content_file


async def test_endless_header_takes_bounded_memory() -> None:
    entrance = Entrance(header_size_limit="1000")
    pieces = [b"X-Long: x\n"] + [b" more\n" * 1000] * 100 + [b" ev", b"en more\n", b"Subject: x\n", b"\nbody\n"]
    content = await entrance.stored(*pieces, begin=True)
    head, _, body = content.partition("\n\n")
    assert body == "body\n"
    assert 900 < head.index("Subject: x\n") - head.index("X-Long") <= 1001


async def test_headers_only_in_large_pieces() -> None:
    entrance = Entrance()
    pieces = [b"X-H: y\n z\n" * 1000 for _ in range(30)]
    content = await entrance.stored(*pieces, begin=True)
    assert content == TRACE + "X-H: y\n z\n" * 30000 + ADDED


async def test_no_space() -> None:
    entrance = Entrance()
    entrance.writer.failure = QueueFull()
    assert (await entrance.send(b"\nx\n")).outcome == "space"
    entrance.writer.failure = None
    entrance.writer.full_at = 150000
    for begin in (False, True):
        assert (await entrance.send(*[b"\n" + b"x" * 90000] * 3, begin=begin)).outcome == "space"
    assert all(content.abandoned for content in entrance.writer.large.values())


async def test_a_content_file_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entrance = Entrance()
    monkeypatch.setattr(entrance.writer, "large_content", lambda queue_id: LargeFile(str(tmp_path), queue_id))
    assert (await entrance.send(b"\n" + b"x" * 200000, begin=True)).outcome == "write"
    line = (
        f"warning: 0000000001: write queue file: [Errno 2] No such file or directory: '{tmp_path}/content/0000000001'"
    )
    assert line in entrance.log


async def test_queue_gone_keeps_what_may_be_stored() -> None:
    entrance = Entrance()
    entrance.writer.failure = QueueUnavailable()
    assert (await entrance.send(b"\n" + b"x" * 200000)).outcome == "write"
    assert not entrance.writer.large["0000000001"].abandoned


async def test_abandoned() -> None:
    entrance = Entrance()
    incoming = entrance.cleanup.open()
    incoming.begin(given())
    incoming.write(b"\n" + b"x" * 200000)
    incoming.abandon()
    assert entrance.writer.large["0000000001"].abandoned


@pytest.mark.parametrize(
    ("content", "log"),
    [
        (b"Message-ID: <a@b>\nSubject: x\n\nbody", ["0000000001: message-id=<a@b>"]),
        (b"Subject: x\n\nbody", [f"0000000001: message-id={ID}"]),
        (b"Message-ID: <a@b>\nSubj", ["0000000001: message-id=<a@b>"]),
        (b"Subj", []),
    ],
)
async def test_message_id_of_a_lost_client(content: bytes, log: list[str]) -> None:
    entrance = Entrance()
    incoming = entrance.cleanup.open()
    incoming.begin(given())
    incoming.write(content)
    incoming.abandon()
    incoming.abandon()
    assert entrance.log == log


@pytest.mark.parametrize(
    ("origin", "lines"),
    [
        (
            LOCAL,
            "Received: from helo.name (laptop.example [192.0.2.7])\n\tby mail.ours.example (Postfix) with ESMTP id",
        ),
        (
            Origin("unknown", "2001:db8::1", helo="[1.2.3.4]", protocol="SMTP"),
            "Received: from [1.2.3.4] (unknown [IPv6:2001:db8::1])\n\tby mail.ours.example (Postfix) with SMTP id",
        ),
        (
            Origin("a.example", "192.0.2.7", protocol="ESMTP", login="bob"),
            "Received: from a.example (a.example [192.0.2.7])\n\tby mail.ours.example (Postfix) with ESMTPA id",
        ),
        (Origin(), "Received: by mail.ours.example (Postfix)\n\tid 0000000001; "),
    ],
)
async def test_received(origin: Origin, lines: str) -> None:
    assert (await Entrance().stored(b"\nx\n", transaction=given(origin=origin))).startswith(lines)


async def test_received_for_several_names_nobody() -> None:
    content = await Entrance().stored(b"\nx\n", transaction=given("a@b.example", "x@y.example", "z@y.example"))
    assert f"with ESMTP id 0000000001;\n\t{DATE}\n" in content


async def test_received_names_what_the_client_said() -> None:
    transaction = given()
    transaction.recipients = [Recipient("a b@ours.example", "a b")]
    assert f'\tfor <"a b">; {DATE}' in await Entrance().stored(b"\nx\n", transaction=transaction)


async def test_received_words() -> None:
    utf8 = await Entrance().stored(b"\nx\n", transaction=given(smtputf8=True))
    assert "with UTF8SMTP id" in utf8
    tls = Origin("a", "192.0.2.7", protocol="ESMTP", login="b(o")
    content = await Entrance().stored(b"\nx\n", transaction=given(origin=tls, encrypted=True))
    assert "Authenticated" not in content
    content = await Entrance().stored(b"\nx\n", transaction=given(origin=tls, encrypted=True, login_shown=True))
    assert "\n\t(Authenticated sender: b(o))\n\tby mail.ours.example (Postfix) with ESMTPSA id" in content


async def test_prepended_headers_stand_on_top() -> None:
    content = await Entrance().stored(b"Subject: x\n\nb\n", transaction=given(prepend=["X-Pre: one", "To: a"]))
    assert content.startswith(f"X-Pre: one\nTo: a@mail.ours.example\n{TRACE}Subject: x\n")


@pytest.fixture
def aliased() -> Entrance:
    return Entrance(virtual_alias_maps="inline:{ {v1@ours.example = a@else.example, b@else.example, a@else.example} }")


async def test_virtual_aliases_and_duplicates(aliased: Entrance) -> None:
    recipients = ("v1@ours.example", "a@else.example", "A@else.example", "v1@ours.example")
    await aliased.send(b"\nx\n", transaction=given("me@x.example", *recipients))
    assert aliased.messages[0].recipients == [
        Recipient("a@else.example", "v1@ours.example"),
        Recipient("b@else.example", "v1@ours.example"),
        Recipient("a@else.example"),
    ]


async def test_who_asked_for_it_hears_of_an_alias(aliased: Entrance) -> None:
    transaction = given()
    both = NOTIFY_SUCCESS | NOTIFY_FAILURE
    transaction.recipients = [Recipient("v1@ours.example", "", both), Recipient("n@x.example", "", NOTIFY_SUCCESS)]
    await aliased.send(b"\nx\n", transaction=transaction)
    (message,) = aliased.messages
    assert message.expanded == (Recipient("v1@ours.example", "", both),)
    assert [recipient.notify for recipient in message.recipients] == [NOTIFY_FAILURE, NOTIFY_FAILURE, NOTIFY_SUCCESS]


async def test_without_original_recipients() -> None:
    table = "inline:{ {v1@ours.example = a@else.example, b@else.example} }"
    entrance = Entrance(virtual_alias_maps=table, enable_original_recipient="no")
    await entrance.send(b"\nx\n", transaction=given("me@x.example", "v1@ours.example", "A@else.example"))
    assert entrance.messages[0].recipients == [Recipient("a@else.example"), Recipient("b@else.example")]


async def test_addresses_get_standard_form() -> None:
    entrance = Entrance()
    await entrance.send(b"\nx\n", transaction=given("joe", "fred", "a%b.example"))
    (message,) = entrance.messages
    assert message.sender == "joe@mail.ours.example"
    assert message.recipients == [Recipient("fred@mail.ours.example", "fred"), Recipient("a@b.example", "a%b.example")]


async def test_alias_table_cannot_tell() -> None:
    entrance = Entrance(virtual_alias_maps="fail:x")
    result = await entrance.send(b"\nx\n")
    assert (result.outcome, entrance.messages) == ("write", [])
    assert entrance.log == [
        "warning: 0000000001: virtual_alias_maps map lookup problem for x@dest.example -- message not accepted, "
        "try again later",
    ]


async def test_what_is_discarded_from_the_start_is_not_looked_at() -> None:
    entrance = Entrance(virtual_alias_maps="fail:x")
    body = b"Message-ID: <a@b>\n\n" + b"x" * 1000 + b"\n"
    for pieces in ([body], [body] * (INLINE_LIMIT // 1000 + 1)):
        assert (await entrance.send(*pieces, transaction=given(discard=True), begin=True)).outcome == "ok"
    incoming = entrance.cleanup.open()
    incoming.begin(given(discard=True))
    incoming.write(body)
    incoming.abandon()
    assert (entrance.messages, entrance.writer.large, entrance.log) == ([], {}, [])


async def test_what_is_discarded_at_the_end_of_data_was_looked_at() -> None:
    entrance = Entrance()
    incoming = entrance.cleanup.open()
    incoming.begin(given())
    incoming.write(b"Message-ID: <a@b>\n\nx\n")
    assert (await incoming.finish(given(discard=True))).outcome == "ok"
    assert (entrance.messages, entrance.log) == ([], ["0000000001: message-id=<a@b>"])


async def test_alias_without_end() -> None:
    table = "inline:{ {c1@x.example = c2@x.example}, {c2@x.example = c1@x.example, y@x.example} }"
    result = await Entrance(virtual_alias_maps=table).send(b"\nx\n", transaction=given("me@x.example", "c1@x.example"))
    assert (result.outcome, result.text) == ("defer", "4.6.0 Alias expansion error")


async def test_effects(aliased: Entrance) -> None:
    redirect = given("me@x.example", "a@b.example", "v1@ours.example", redirect="r@redir.example")
    await aliased.send(b"\nx\n", transaction=redirect)
    assert aliased.messages[0].recipients == [Recipient("r@redir.example", "a@b.example")]
    bcc = given("me@x.example", "x@y.example", bcc=["v1@ours.example", "v1@ours.example"])
    await aliased.send(b"\nx\n", transaction=bcc)
    assert aliased.messages[1].recipients == [
        Recipient("x@y.example"),
        Recipient("a@else.example", "v1@ours.example", NOTIFY_NEVER),
        Recipient("b@else.example", "v1@ours.example", NOTIFY_NEVER),
    ]
    await aliased.send(b"\nx\n", transaction=given(hold=True, filter="smtp:[127.0.0.1]"))
    assert (aliased.messages[2].hold, aliased.messages[2].filter) == (True, "smtp:[127.0.0.1]")
    assert (await aliased.send(b"\nx\n", transaction=given(discard=True))).outcome == "ok"
    assert len(aliased.messages) == 3


async def test_dsn_parameters_stay_with_the_recipient() -> None:
    entrance = Entrance()
    transaction = given()
    transaction.recipients = [Recipient("fred", "", NOTIFY_SUCCESS, "rfc822;f@x.example")]
    await entrance.send(b"\nx\n", transaction=transaction)
    expected = Recipient("fred@mail.ours.example", "fred", NOTIFY_SUCCESS, "rfc822;f@x.example")
    assert entrance.messages[0].recipients == [expected]


async def test_stray_carriage_returns_become_blanks() -> None:
    content = await Entrance().stored(b"Subject: a\rb\n\nbody\r.\rx\r\r\n\r.\n")
    assert content == f"{TRACE}Subject: a b\n{ADDED}\nbody . x\n .\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_carriage_returns_that_arrive_apart_from_their_line_end(size: int) -> None:
    given_content = b"Subject: a\rb\r\n\r\n\r\r\nx\r\r\n\ry\r.\r\n" + b"z\r\r"
    pieces = [given_content[at : at + size] for at in range(0, len(given_content), size)]
    content = await Entrance().stored(*pieces)
    assert content == f"{TRACE}Subject: a b\n{ADDED}\n\nx\n y .\nz\n"


async def test_carriage_returns_without_end() -> None:
    content = await Entrance().stored(b"\n", *[b"\r" * 1000] * 3, b"\n")
    assert content == f"{TRACE}{ADDED}\n{' ' * 3000}\n"


async def test_stray_carriage_returns_may_stay() -> None:
    entrance = Entrance(cleanup_replace_stray_cr_lf="no")
    assert (await entrance.stored(b"\na\rb\n")).endswith("\na\rb\n")


async def test_undisclosed_recipients_header() -> None:
    undisclosed = "To: undisclosed-recipients:;"
    entrance = Entrance(undisclosed_recipients_header=undisclosed)
    assert await entrance.stored(b"Subject: x\n\nb\n") == f"{TRACE}Subject: x\n{ADDED}{undisclosed}\n\nb\n"
    assert undisclosed not in await entrance.stored(b"Subject: x\nCc: a@b.example\n\nb\n")
    assert undisclosed not in await entrance.stored(b"Subject: x\n\nb\n", transaction=given(origin=REMOTE))


async def test_undisclosed_recipients_header_that_is_none() -> None:
    entrance = Entrance(undisclosed_recipients_header="nonsense")
    assert "nonsense" not in await entrance.stored(b"Subject: x\n\nb\n")
    assert (
        'warning: bad undisclosed_recipients_header header text "nonsense" -- need "headername: headervalue"'
        in entrance.log
    )
