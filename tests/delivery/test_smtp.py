"""The agent against a scripted server. Texts and codes are those that Postfix 3.7.11 logs for the same server."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from gatepost.delivery.smtp import SmtpAgent
from gatepost.delivery.smtp_params import SmtpParams
from gatepost.dns.fake import FakeResolver
from gatepost.ipc.messages import DeliveryDone, DeliveryRecipient, DeliveryRequest
from gatepost.net.gathered_writes import GatheredWrites
from gatepost.net.stepping import carry_out_taskless
from tests.delivery.smtp_peer import PLAIN, Peer, peer
from tests.net.counted_sends import count_sends

CONTENT = b"Subject: x\n\nhello\n.dot\n"


class Bench:
    """An agent with what it logs."""

    def __init__(self, zone: str = "", **options: Any) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self._under_way: set[Any] = set()
        own = options.pop("own_addresses", frozenset())
        writes = options.pop("writes", None)
        params = SmtpParams(**{"myhostname": "me.example", "helo_name": "me.example", **options})
        self.resolver = FakeResolver(zone)
        self.agent = SmtpAgent(
            params, self.resolver, None, self.lines.append, self.warnings.append, time.time, random.Random(1),
            own_addresses=own, writes=writes,
        )  # fmt: skip

    async def deliver(self, nexthop: str, *recipients: str, **options: Any) -> DeliveryDone:
        content = options.pop("content", CONTENT)
        request = DeliveryRequest(
            request_id=7, epoch=1, queue_id="ABC", transport="smtp", nexthop=nexthop, sender="s@me.example",
            recipients=[DeliveryRecipient(i, r) for i, r in enumerate(recipients or ("one@there.example",))],
            size=len(content), arrival=time.time(), active=time.time(), content=content, **options,
        )  # fmt: skip
        # As delivery workers do it: without a task, so that who waits for a server goes on within its callback.
        done: asyncio.Future[DeliveryDone] = asyncio.get_running_loop().create_future()
        carry_out_taskless(self._deliver(request, done), self._under_way)
        return await done

    async def _deliver(self, request: DeliveryRequest, done: "asyncio.Future[DeliveryDone]") -> None:
        try:
            done.set_result(await self.agent.deliver(request))
        except Exception as fault:
            done.set_exception(fault)


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def start(zone: str = "", **options: Any) -> Bench:
        made.append(Bench(zone, **options))
        return made[-1]

    yield start
    for it in made:
        await it.agent.close()
    await asyncio.sleep(0)


def outcome(done: DeliveryDone, it: Peer) -> list[tuple[str, str, str]]:
    """Action, DSN and text of each recipient; the server's name stands as H."""
    statuses = sorted(done.statuses, key=lambda status: status.index)
    return [(s.action, s.dsn, s.text.replace(it.name, "H")) for s in statuses]


def closed(key: str) -> dict[str, bytes | None]:
    return {key: None}


CASES: list[tuple[dict[str, bytes | None], str, str, str]] = [
    ({}, "sent", "2.0.0", "250 2.0.0 Ok: queued as X"),
    ({"EHLO": PLAIN}, "sent", "2.0.0", "250 2.0.0 Ok: queued as X"),
    ({"EHLO": b"500 what\r\n"}, "sent", "2.0.0", "250 2.0.0 Ok: queued as X"),
    ({"greeting": b"220-hello\r\n220 x\r\n"}, "sent", "2.0.0", "250 2.0.0 Ok: queued as X"),
    ({"greeting": b"hello there\r\n220 x\r\n"}, "sent", "2.0.0", "250 2.0.0 Ok: queued as X"),
    ({"greeting": b"554 5.7.1 no\r\n"}, "deferred", "4.7.1", "host H refused to talk to me: 554 5.7.1 no"),
    ({"greeting": b"421 4.3.2 busy\r\n"}, "deferred", "4.3.2", "host H refused to talk to me: 421 4.3.2 busy"),
    ({"greeting": b"450 later\r\n"}, "deferred", "4.0.0", "host H refused to talk to me: 450 later"),
    (closed("greeting"), "deferred", "4.4.2", "lost connection with H while receiving the initial server greeting"),
    ({"EHLO": b"421 busy\r\n"}, "deferred", "4.0.0", "host H refused to talk to me: 421 busy"),
    (
        {"EHLO": b"502 no\r\n", "HELO": b"550 5.7.1 go\r\n"},
        "bounced", "5.7.1", "host H refused to talk to me: 550 5.7.1 go",
    ),
    (closed("EHLO"), "deferred", "4.4.2", "lost connection with H while performing the EHLO handshake"),
    ({"MAIL": b"550 5.1.8 bad\r\n"}, "bounced", "5.1.8", "host H said: 550 5.1.8 bad (in reply to MAIL FROM command)"),
    ({"MAIL": b"451 4.3.0 no\r\n"}, "deferred", "4.3.0", "host H said: 451 4.3.0 no (in reply to MAIL FROM command)"),
    (
        {"EHLO": PLAIN, "MAIL": b"550 bad\r\n"},
        "bounced", "5.0.0", "host H said: 550 bad (in reply to MAIL FROM command)",
    ),
    ({"MAIL": b"354 what\r\n"}, "bounced", "5.5.0", "host H said: 354 what (in reply to MAIL FROM command)"),
    (closed("MAIL"), "deferred", "4.4.2", "lost connection with H while sending MAIL FROM"),
    (
        {"RCPT": b"550-5.1.1 unknown\r\n550 5.1.1 user\r\n"},
        "bounced", "5.1.1", "host H said: 550-5.1.1 unknown 550 5.1.1 user (in reply to RCPT TO command)",
    ),
    ({"RCPT": b"450 4.2.1 grey\r\n"}, "deferred", "4.2.1", "host H said: 450 4.2.1 grey (in reply to RCPT TO command)"),
    ({"RCPT": b"550 4.2.0 odd\r\n"}, "bounced", "5.0.0", "host H said: 550 4.2.0 odd (in reply to RCPT TO command)"),
    ({"RCPT": b"450 5.2.0 odd\r\n"}, "deferred", "4.0.0", "host H said: 450 5.2.0 odd (in reply to RCPT TO command)"),
    ({"RCPT": b"600 odd\r\n"}, "bounced", "5.5.0", "host H said: 600 odd (in reply to RCPT TO command)"),
    ({"RCPT": b"350 odd\r\n"}, "bounced", "5.5.0", "host H said: 350 odd (in reply to RCPT TO command)"),
    (
        {"EHLO": PLAIN, "RCPT": b"550 5.1.1 no\r\n"},
        "bounced", "5.1.1", "host H said: 550 5.1.1 no (in reply to RCPT TO command)",
    ),
    (closed("RCPT"), "deferred", "4.4.2", "lost connection with H while sending RCPT TO"),
    ({"DATA": b"550 5.7.1 no\r\n"}, "bounced", "5.7.1", "host H said: 550 5.7.1 no (in reply to DATA command)"),
    ({"DATA": b"451 4.3.0 no\r\n"}, "deferred", "4.3.0", "host H said: 451 4.3.0 no (in reply to DATA command)"),
    (
        {"DATA": b"250 2.0.0 huh\r\n"},
        "bounced", "5.5.0", "Protocol error: host H said: 250 2.0.0 huh (in reply to DATA command)",
    ),
    (closed("DATA"), "deferred", "4.4.2", "lost connection with H while sending DATA command"),
    ({"END": b"550 5.7.1 no\r\n"}, "bounced", "5.7.1", "host H said: 550 5.7.1 no (in reply to end of DATA command)"),
    ({"END": b"451 4.3.0 no\r\n"}, "deferred", "4.3.0", "host H said: 451 4.3.0 no (in reply to end of DATA command)"),
    ({"END": b"354 more\r\n"}, "bounced", "5.5.0", "host H said: 354 more (in reply to end of DATA command)"),
    (
        closed("END"),
        "deferred", "4.4.2", "lost connection with H while sending end of data -- message may be sent more than once",
    ),
    ({"END": b"250-2.0.0 first\r\n250 2.0.0 second\r\n"}, "sent", "2.0.0", "250-2.0.0 first 250 2.0.0 second"),
    ({"END": b"250 OK id=1\r\n"}, "sent", "2.0.0", "250 OK id=1"),
    ({"END": b"250 5.0.0 odd\r\n"}, "sent", "2.0.0", "250 5.0.0 odd"),
    ({"END": b"250 2.0.0 a\tb\x01\xe9 z  \r\n"}, "sent", "2.0.0", "250 2.0.0 a?b?? z  "),
    ({"END": b"250 2.0.0 lf only\n"}, "sent", "2.0.0", "250 2.0.0 lf only"),
    ({"END": b"250\r\n"}, "sent", "2.0.0", "250"),
    ({"END": b"hm\r\n250 2.0.0 Ok\r\n"}, "sent", "2.0.0", "hm 250 2.0.0 Ok"),
    (
        {"EHLO": b"250-x\r\n250 SIZE 10\r\n"},
        "bounced", "5.3.4", f"message size {len(CONTENT)} exceeds size limit 10 of server H",
    ),
]  # fmt: skip


@pytest.mark.parametrize("one_by_one", [False, True], ids=["whole", "octets"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[3][:40])
async def test_replies(
    case: tuple[dict[str, bytes | None], str, str, str], one_by_one: bool, make: Callable[..., Bench]
) -> None:
    replies, action, dsn, text = case
    async with peer(replies) as it:
        it.one_by_one = one_by_one
        bench = make()
        done = await bench.deliver(it.nexthop)
        assert outcome(done, it) == [(action, dsn, text)]
        relay = f"{it.name}:{it.port}"
        assert done.statuses[0].relay == relay
        assert len(bench.lines) == 1
        assert bench.lines[0].startswith(f"ABC: to=<one@there.example>, relay={relay}, delay=")
        assert bench.lines[0].endswith(f", dsn={dsn}, status={action} ({done.statuses[0].text})")
        if action == "sent":
            assert it.messages == [b"Subject: x\r\n\r\nhello\r\n..dot\r\n"]
        else:
            assert it.messages in ([], [b""], [b"Subject: x\r\n\r\nhello\r\n..dot\r\n"])


async def test_pipelined_groups(make: Callable[..., Bench]) -> None:
    async with peer() as it:
        await make().deliver(it.nexthop, "one@x.example", "two@x.example", ret="HDRS", envid="e+1", body="8bitmime")
        assert it.chunks[1] == (
            b"MAIL FROM:<s@me.example> SIZE=23 BODY=8BITMIME ENVID=e+2B1 RET=HDRS\r\n"
            b"RCPT TO:<one@x.example> ORCPT=rfc822;one@x.example\r\n"
            b"RCPT TO:<two@x.example> ORCPT=rfc822;two@x.example\r\nDATA\r\n"
        )
        assert it.chunks[2].endswith(b"..dot\r\n.\r\nQUIT\r\n")


async def test_messages_to_several_servers_leave_together(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_sends(monkeypatch)
    bench = make(writes=GatheredWrites())
    async with peer() as it:
        for turn in range(1, 1001):
            done = await asyncio.gather(*[bench.deliver(it.nexthop) for _ in range(10)])
            assert [one.statuses[0].action for one in done] == ["sent"] * 10
            assert len(it.messages) == 10 * turn
            if calls and max(calls) > 1:
                break
        assert max(calls) > 1
        assert set(it.messages) == {b"Subject: x\r\n\r\nhello\r\n..dot\r\n"}


async def test_lock_step_without_pipelining(make: Callable[..., Bench]) -> None:
    async with peer({"EHLO": PLAIN}) as it:
        await make().deliver(it.nexthop, "one@x.example", "two@x.example")
        assert [c.partition(b":")[0] for c in it.chunks[1:5]] == [b"MAIL FROM", b"RCPT TO", b"RCPT TO", b"DATA\r\n"]


async def test_each_recipient_has_its_own_outcome(make: Callable[..., Bench]) -> None:
    async with peer({"RCPT:one@x.example": b"550 5.1.1 no\r\n", "RCPT:three@x.example": b"450 4.1.1 later\r\n"}) as it:
        done = await make().deliver(it.nexthop, "one@x.example", "two@x.example", "three@x.example")
        assert [action for action, _, _ in outcome(done, it)] == ["bounced", "sent", "deferred"]
        assert done.site_failure == ""


async def test_421_to_rcpt_then_hang_up(make: Callable[..., Bench]) -> None:
    async with peer({"RCPT": b"421 4.7.0 enough\r\n"}, close_after=("RCPT",)) as it:
        done = await make().deliver(it.nexthop, "one@x.example", "two@x.example")
        assert outcome(done, it) == [
            ("deferred", "4.7.0", "host H said: 421 4.7.0 enough (in reply to RCPT TO command)"),
            ("deferred", "4.4.2", "lost connection with H while sending RCPT TO"),
        ]


async def test_nobody_listens(make: Callable[..., Bench]) -> None:
    async with peer() as it:
        port = it.port
    bench = make()
    done = await bench.deliver(f"[127.0.0.1]:{port}")
    text = f"connect to 127.0.0.1[127.0.0.1]:{port}: Connection refused"
    assert bench.lines[0] == text
    assert [(s.action, s.dsn, s.relay, s.text) for s in done.statuses] == [("deferred", "4.4.1", "none", text)]
    assert (done.site_failure, done.site_dsn) == (text, "4.4.1")


async def test_the_next_server_is_tried_after_a_temporary_failure(make: Callable[..., Bench]) -> None:
    async with (
        peer({"RCPT:one@x.example": b"450 4.1.1 later\r\n"}, host="127.0.0.2") as bad,
        peer(host="127.0.0.3", port=bad.port) as good,
    ):
        bench = make(
            "x.example MX 10 a.example\nx.example MX 20 b.example\na.example A 127.0.0.2\nb.example A 127.0.0.3"
        )
        done = await bench.deliver(f"x.example:{bad.port}", "one@x.example", "two@x.example")
        assert [s.action for s in done.statuses] == ["sent", "sent"]
        assert [s.relay for s in sorted(done.statuses, key=lambda s: s.index)] == [
            f"b.example[127.0.0.3]:{bad.port}",
            f"a.example[127.0.0.2]:{bad.port}",
        ]
        assert bench.lines[0] == "ABC: host a.example[127.0.0.2] said: 450 4.1.1 later (in reply to RCPT TO command)"
        assert [c for c in good.commands if c.startswith("RCPT")] == [
            "RCPT TO:<one@x.example> ORCPT=rfc822;one@x.example"
        ]


async def test_a_refused_connection_goes_to_the_next_server(make: Callable[..., Bench]) -> None:
    async with peer(host="127.0.0.3") as good:
        bench = make(
            "x.example MX 10 a.example\nx.example MX 20 b.example\na.example A 127.0.0.2\nb.example A 127.0.0.3"
        )
        done = await bench.deliver(f"x.example:{good.port}")
        assert [s.action for s in done.statuses] == ["sent"]
        assert bench.lines[0] == f"connect to a.example[127.0.0.2]:{good.port}: Connection refused"


async def test_fallback_relay_and_lists(make: Callable[..., Bench]) -> None:
    async with peer() as it:
        bench = make("x.example SERVFAIL", fallback_relay=(it.nexthop,))
        assert [s.action for s in (await bench.deliver("x.example")).statuses] == ["sent"]
        assert [s.action for s in (await make("x.example SERVFAIL").deliver(f"x.example, {it.nexthop}")).statuses] == [
            "sent"
        ]


@pytest.mark.parametrize(
    ("zone", "action", "dsn", "text"),
    [
        (
            "",
            "bounced", "5.4.4",
            "Host or domain name not found. Name service error for name=x.example type=AAAA: Host not found",
        ),
        (
            "x.example SERVFAIL",
            "deferred", "4.4.3",
            "Host or domain name not found. Name service error for name=x.example type=MX: Host not found, try again",
        ),
        ("x.example MX 0 .", "bounced", "5.1.0", "Domain x.example does not accept mail (nullMX)"),
        (
            "x.example MX 10 a.example",
            "bounced", "5.4.4",
            "Host or domain name not found. Name service error for name=a.example type=AAAA: Host not found",
        ),
        (
            "x.example MX 10 a.example\na.example A 127.0.0.9",
            "bounced", "5.4.6", "mail for x.example loops back to myself",
        ),
        ("x.example A 127.0.0.9", "bounced", "5.4.6", "mail for x.example loops back to myself"),
        (
            "x.example MX 10 gone.example\nx.example MX 20 a.example\na.example A 127.0.0.9",
            "deferred", "4.4.4", "unable to find primary relay for x.example",
        ),
    ],
)  # fmt: skip
async def test_no_address(zone: str, action: str, dsn: str, text: str, make: Callable[..., Bench]) -> None:
    bench = make(zone, own_addresses=frozenset({"127.0.0.9"}))
    done = await bench.deliver("x.example")
    assert [(s.action, s.dsn, s.relay, s.text) for s in done.statuses] == [(action, dsn, "none", text)]


async def test_a_relayhost_that_does_not_exist_defers(make: Callable[..., Bench]) -> None:
    bench = make(relayhost="x.example")
    done = await bench.deliver("x.example")
    assert [(s.action, s.dsn) for s in done.statuses] == [("deferred", "4.3.5")]
    assert bench.warnings == ["relayhost configuration problem"]


async def test_a_nexthop_that_makes_no_sense_defers(make: Callable[..., Bench]) -> None:
    bench = make()
    for nexthop in ("[", "x.example:nonsense", "[127.0.0.1]:0", "..", "[]:25"):
        done = await bench.deliver(nexthop)
        assert [(s.action, s.dsn) for s in done.statuses] == [("deferred", "4.3.5")]


async def test_sessions_are_reused_while_more_mail_waits(make: Callable[..., Bench]) -> None:
    async with peer() as it:
        bench = make()
        for _ in range(3):
            done = await bench.deliver(it.nexthop, keep=True)
            assert [s.action for s in done.statuses] == ["sent"]
        await bench.deliver(it.nexthop)
        assert it.connections == 1
        assert [c[:4] for c in it.commands] == ["EHLO"] + ["MAIL", "RCPT", "DATA"] * 4 + ["QUIT"]
        assert ", conn_use=" not in bench.lines[0]
        assert ", conn_use=2, " in bench.lines[1]
        assert ", conn_use=4, " in bench.lines[3]


async def test_reuse_count_limit(make: Callable[..., Bench]) -> None:
    async with peer() as it:
        bench = make(reuse_count_limit=2)
        for _ in range(4):  # used again twice
            await bench.deliver(it.nexthop, keep=True)
        assert it.connections == 2


async def test_rejected_recipients_leave_a_reusable_session(make: Callable[..., Bench]) -> None:
    async with peer({"RCPT:no@x.example": b"550 5.1.1 no\r\n"}) as it:
        bench = make()
        await bench.deliver(it.nexthop, "no@x.example", keep=True)
        done = await bench.deliver(it.nexthop, "yes@x.example", keep=True)
        assert [s.action for s in done.statuses] == ["sent"]
        assert it.connections == 1


async def test_a_session_that_the_server_closed_is_not_reused(make: Callable[..., Bench]) -> None:
    async with peer() as it:
        bench = make()
        await bench.deliver(it.nexthop, keep=True)
        for transport in tuple(it.open):
            transport.write(b"421 4.4.2 idle\r\n")
            transport.close()
        await it.all_closed.wait()
        done = await bench.deliver(it.nexthop, keep=True)
        assert [s.action for s in done.statuses] == ["sent"]
        assert it.connections == 2


async def test_a_reused_session_that_breaks_is_replaced(make: Callable[..., Bench]) -> None:
    async with peer() as it:
        bench = make()
        await bench.deliver(it.nexthop, keep=True)
        it.once["MAIL"] = None
        done = await bench.deliver(it.nexthop, keep=True)
        assert [s.action for s in done.statuses] == ["sent"]
        assert it.connections == 2
        assert [", status=sent (" in line for line in bench.lines] == [True, True]


async def test_a_reused_session_that_says_421_is_replaced(make: Callable[..., Bench]) -> None:
    async with peer() as it:
        bench = make()
        await bench.deliver(it.nexthop, keep=True)
        it.once["MAIL"] = b"421 4.4.2 idle for too long\r\n"
        done = await bench.deliver(it.nexthop, keep=True)
        assert [s.action for s in done.statuses] == ["sent"]
        assert it.connections == 2


async def test_idle_sessions_end(make: Callable[..., Bench]) -> None:
    async with peer() as it:
        bench = make(cache_time_limit=0.05)
        await bench.deliver(it.nexthop, keep=True)
        await it.all_closed.wait()
        assert it.commands[-1] == "QUIT"


@pytest.mark.parametrize(
    ("silent", "parameter", "stage"),
    [
        ("greeting", "helo_timeout", "receiving the initial server greeting"),
        ("EHLO", "helo_timeout", "performing the EHLO handshake"),
        ("MAIL", "mail_timeout", "sending MAIL FROM"),
        ("RCPT", "rcpt_timeout", "sending RCPT TO"),
        ("DATA", "data_init_timeout", "sending DATA command"),
        ("END", "data_done_timeout", "sending end of data -- message may be sent more than once"),
    ],
)
async def test_time_limits(silent: str, parameter: str, stage: str, make: Callable[..., Bench]) -> None:
    async with peer({"EHLO": PLAIN, silent: b""}) as it:
        done = await make(**{parameter: 0.03}).deliver(it.nexthop)
        assert outcome(done, it) == [("deferred", "4.4.2", f"conversation with H timed out while {stage}")]
        await it.all_closed.wait()
        assert "QUIT" not in it.commands  # nor anything else, to a server that may still be busy


async def test_content_from_a_file(make: Callable[..., Bench], tmp_path: Any) -> None:
    content = b"Subject: big\n\n" + b"".join(b".line %d of many in this file\n" % n for n in range(100_000))
    (tmp_path / "message").write_bytes(content)
    async with peer() as it:
        bench = make()
        file = {"content_file": str(tmp_path / "message"), "checksum": crc32(content)}
        done = await bench.deliver(it.nexthop, content=b"", keep=True, **file)
        assert [s.action for s in done.statuses] == ["sent"] and not done.damaged
        assert it.messages[0].replace(b"\r\n.", b"\r\n").replace(b"\r\n", b"\n") == content
        assert [s.action for s in (await bench.deliver(it.nexthop, keep=True)).statuses] == ["sent"]


@pytest.mark.parametrize("lines", [200, 200_000])
async def test_a_refusal_in_the_middle_of_the_content(lines: int, make: Callable[..., Bench], tmp_path: Any) -> None:
    (tmp_path / "message").write_bytes(b"Subject: big\n\n" + b"one line of many in this file\n" * lines)
    async with peer({"CUT": b"552 5.3.4 too big\r\n"}) as it:
        it.cut_after = 5000
        done = await make().deliver(it.nexthop, content=b"", content_file=str(tmp_path / "message"))
        text = "host H said: 552 5.3.4 too big (in reply to end of DATA command)"
        assert outcome(done, it) == [("bounced", "5.3.4", text)]


async def test_a_connection_lost_in_the_middle_of_the_content(make: Callable[..., Bench], tmp_path: Any) -> None:
    (tmp_path / "message").write_bytes(b"Subject: big\n\n" + b"one line of many in this file\n" * 200_000)
    async with peer({"CUT": b""}) as it:
        it.cut_after = 5000
        done = await make().deliver(it.nexthop, content=b"", content_file=str(tmp_path / "message"))
        assert outcome(done, it) == [("deferred", "4.4.2", "lost connection with H while sending message body")]


async def test_a_server_that_stops_reading(make: Callable[..., Bench], tmp_path: Any) -> None:
    (tmp_path / "message").write_bytes(b"Subject: big\n\n" + b"one line of many in this file\n" * 500_000)
    async with peer() as it:
        it.stop_reading = True
        done = await make(data_xfer_timeout=0.2).deliver(
            it.nexthop, content=b"", content_file=str(tmp_path / "message")
        )
        text = "conversation with H timed out while sending message body"
        assert outcome(done, it) == [("deferred", "4.4.2", text)]


async def test_long_lines_are_broken_and_logged(make: Callable[..., Bench], tmp_path: Any) -> None:
    content = b"Subject: long\n\n" + b"a" * 1500 + b"\n"
    (tmp_path / "message").write_bytes(content)
    async with peer() as it:
        for options in ({"content": content}, {"content": b"", "content_file": str(tmp_path / "message")}):
            bench = make()
            await bench.deliver(it.nexthop, **options)
            assert bench.lines[0] == "ABC: breaking line > 998 bytes with <CR><LF>SPACE"
            assert it.messages[-1] == b"Subject: long\r\n\r\n" + b"a" * 998 + b"\r\n " + b"a" * 502 + b"\r\n"


@pytest.mark.parametrize("servers", ["{0}", "{0}, {0}"])
@pytest.mark.parametrize("change", [(b"many", b"m\xe1ny"), (b"many", b"mant"), (b"one line", b"")])
async def test_a_content_file_that_has_changed_is_accepted_by_nobody(
    change: tuple[bytes, bytes], servers: str, make: Callable[..., Bench], tmp_path: Any
) -> None:
    """The connection is dropped before the end of the content; no other server is tried; none of them is to blame."""
    content = b"Subject: big\n\n" + b"one line of many in this file\n" * 20_000
    (tmp_path / "message").write_bytes(content.replace(*change, 1))
    async with peer() as it:
        done = await make().deliver(
            servers.format(it.nexthop), content=b"", content_file=str(tmp_path / "message"), checksum=crc32(content)
        )
        assert outcome(done, it) == [("deferred", "4.3.0", "local data error while talking to H")]
        await it.all_closed.wait()
        assert (it.messages, it.connections) == ([], 1)
    assert done.damaged and not done.site_failure


async def test_a_content_file_that_is_gone_defers(make: Callable[..., Bench]) -> None:
    done = await make().deliver("[127.0.0.1]:1", content=b"", content_file="/nonexistent/file")
    assert [(s.action, s.dsn) for s in done.statuses] == [("deferred", "4.3.0")]


async def test_smtputf8_is_required(make: Callable[..., Bench], tmp_path: Path) -> None:
    async with peer() as it:
        done = await make().deliver(it.nexthop, "ü@x.example", smtputf8=True)
        assert outcome(done, it) == [("bounced", "5.6.7", "SMTPUTF8 is required, but was not offered by host H")]
        content = "Subject: ü\n\n".encode() + b"line\n" * 40_000
        (tmp_path / "large").write_bytes(content)
        done = await make().deliver(
            it.nexthop, smtputf8=True, content=b"", content_file=str(tmp_path / "large"), checksum=crc32(content)
        )
        assert outcome(done, it)[0][:2] == ("bounced", "5.6.7")
        done = await make().deliver(it.nexthop, smtputf8=True, content="Subject: u\n\nü\n".encode())
        assert outcome(done, it)[0][0] == "sent"
        it.replies["EHLO"] = b"250-x\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
        done = await make().deliver(it.nexthop, "ü@x.example", smtputf8=True)
        assert outcome(done, it)[0][0] == "sent"
        assert "RCPT TO:<ü@x.example>" in it.commands


async def test_strange_replies_are_warned_of(make: Callable[..., Bench]) -> None:
    async with peer(
        {"END": b"what?\r\n250 2.0.0 Ok\r\n", "EHLO": b"250-x\r\n250-PIPELINING\r\n250 SIZE abc\r\n"}
    ) as it:
        bench = make()
        await bench.deliver(it.nexthop)
        where = f"{it.name}:{it.port}"
        assert bench.warnings == [
            f'bad EHLO SIZE limit "abc" from {where}',
            f"ABC: non-ESMTP response from {where}: what?",
            "to prevent loss of mail, turn off command pipelining for 127.0.0.1 with the"
            " smtp_discard_ehlo_keyword_address_maps parameter",
        ]
        assert "MAIL FROM:<s@me.example>" in it.commands


async def test_a_source_address_that_cannot_be_taken(make: Callable[..., Bench]) -> None:
    warning = "smtp_connect_addr: bind 192.0.2.1: Cannot assign requested address"
    async with peer() as it:
        bench = make(bind_address="192.0.2.1")
        assert [s.action for s in (await bench.deliver(it.nexthop)).statuses] == ["sent"]
        assert bench.warnings == [warning]
        bench = make(bind_address="192.0.2.1", bind_address_enforce=True)
        done = await bench.deliver(it.nexthop)
        assert outcome(done, it) == [("deferred", "4.4.0", "server configuration error")]
        assert bench.warnings == [warning]


async def test_soft_bounce_tries_the_next_server(make: Callable[..., Bench]) -> None:
    async with (
        peer({"RCPT:one@x.example": b"550 5.1.1 never\r\n"}, host="127.0.0.2") as bad,
        peer(host="127.0.0.3", port=bad.port),
    ):
        bench = make(
            "x.example MX 10 a.example\nx.example MX 20 b.example\na.example A 127.0.0.2\nb.example A 127.0.0.3",
            soft_bounce=True,
        )
        done = await bench.deliver(f"x.example:{bad.port}", "one@x.example")
        assert [(s.action, s.relay) for s in done.statuses] == [("sent", f"b.example[127.0.0.3]:{bad.port}")]


async def test_a_server_that_says_later_is_asked_once(make: Callable[..., Bench]) -> None:
    zone = "a.example MX 10 mx.example\nb.example MX 10 mx.example\nmx.example A 127.0.0.1\n"
    async with peer({"RCPT:one@b.example": b"450 4.2.0 later\r\n"}) as it:
        bench = make(zone, tcp_port=str(it.port))
        await bench.deliver("a.example", "one@a.example", keep=True)
        done = await bench.deliver("b.example", "one@b.example", keep=True)
        assert [status.dsn for status in done.statuses] == ["4.2.0"]
        assert it.commands.count("RCPT TO:<one@b.example> ORCPT=rfc822;one@b.example") == 1
        assert it.connections == 1


@pytest.mark.parametrize("transport", ["", "local:"])
async def test_mail_for_ourselves_goes_to_best_mx_transport(make: Callable[..., Bench], transport: str) -> None:
    zone = "loop.example MX 10 me.example\nme.example A 192.0.2.1"
    bench = make(zone, own_addresses=frozenset({"192.0.2.1"}), best_mx_transport=transport)
    done = await bench.deliver("loop.example")
    assert done.pass_to == transport
    assert [status.dsn for status in done.statuses] == ([] if transport else ["5.4.6"])
    assert len(bench.lines) == 1
    assert not transport or bench.lines == ["ABC: passing <one@there.example> to transport=local"]


async def test_a_backup_host_uses_no_fallback_relay(make: Callable[..., Bench]) -> None:
    zone = "x.example MX 10 gone.example\nx.example MX 20 me.example\nme.example A 192.0.2.1"
    async with peer() as it:
        bench = make(zone, own_addresses=frozenset({"192.0.2.1"}), fallback_relay=(it.nexthop,))
        done = await bench.deliver("x.example")
        assert [status.dsn for status in done.statuses] == ["4.4.4"]
        assert not it.connections


async def test_a_message_is_not_tried_again_over_the_session_that_has_just_refused_it(
    make: Callable[..., Bench],
) -> None:
    async with peer() as it:
        bench = make()
        await bench.deliver(it.nexthop, keep=True)
        it.replies["RCPT"] = b"450 4.2.0 greylisted\r\n"
        done = await bench.deliver(it.nexthop, keep=True)
        assert [command[:4] for command in it.commands].count("MAIL") == 2
        assert done.statuses[0].action == "deferred"
        assert f"relay={it.name}:{it.port}, conn_use=2, " in bench.lines[-1]
