"""Probes over SMTP against a scripted server; lines as Postfix 3.7.11 logs them."""

import pytest

from gatepost.mail.envelope import PROBE, PROBE_UNCACHED
from tests.delivery.smtp_peer import PLAIN, peer
from tests.delivery.test_smtp import Bench, make, outcome  # noqa: F401  (make is a fixture)

SAID = "host H said:"
NO_USER = "host H said: 550 5.1.1 no such user (in reply to RCPT TO command)"


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("ehlo", [None, PLAIN], ids=["pipelined", "plain"])
async def test_what_is_said_to_rcpt_counts(make, ehlo: bytes | None, keep: bool) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    bench: Bench = make()
    replies: dict[str, bytes | None] = {"RCPT:bad@there.example": b"550 5.1.1 no such user\r\n"}
    if ehlo is not None:
        replies["EHLO"] = ehlo
    async with peer(replies) as it:
        for address, expected in (
            ("good@there.example", ("sent", "2.1.5", "250 2.1.5 Ok")),
            ("bad@there.example", ("bounced", "5.1.1", NO_USER)),
        ):
            done = await bench.deliver(it.nexthop, address, trace=PROBE, keep=keep)
            assert outcome(done, it) == [expected]
            assert not done.site_failure
        assert it.connections == (1 if keep else 2)
        assert not it.messages and "DATA" not in it.commands
        assert [command for command in it.commands if command == "RSET"] or (ehlo is PLAIN and not keep)
    good, bad = (line for line in bench.lines if "status=" in line)
    assert "dsn=2.1.5, status=deliverable (250 2.1.5 Ok)" in good
    assert "dsn=5.1.1, status=undeliverable (host" in bad


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ({"MAIL": b"550 5.7.1 no\r\n"}, ("bounced", "5.7.1", f"{SAID} 550 5.7.1 no (in reply to MAIL FROM command)")),
        ({"RCPT": b"450 4.2.1 no\r\n"}, ("deferred", "4.2.1", f"{SAID} 450 4.2.1 no (in reply to RCPT TO command)")),
        ({"RCPT": None}, ("deferred", "4.4.2", "lost connection with H while sending RCPT TO")),
        ({"RSET": None}, ("sent", "2.1.5", "250 2.1.5 Ok")),
        ({"greeting": b"554 5.7.1 no\r\n"}, ("deferred", "4.7.1", "host H refused to talk to me: 554 5.7.1 no")),
    ],
)
@pytest.mark.parametrize("keep", [False, True])
async def test_other_ends(make, replies: dict[str, bytes | None], expected: tuple[str, str, str], keep: bool) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    bench: Bench = make()
    async with peer(replies) as it:
        done = await bench.deliver(it.nexthop, "u@there.example", trace=PROBE | PROBE_UNCACHED, keep=keep)
        assert outcome(done, it) == [expected]
        word = "deliverable" if expected[0] == "sent" else "undeliverable-but-not-cached"
        assert f"status={word} (" in bench.lines[-1]


async def test_soft_bounce_makes_no_difference(make) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    bench: Bench = make(soft_bounce=True)
    async with peer({"RCPT": b"550 5.1.1 no such user\r\n"}) as it:
        done = await bench.deliver(it.nexthop, "u@there.example", trace=PROBE)
        assert outcome(done, it) == [("bounced", "5.1.1", NO_USER)]
        assert "dsn=5.1.1, status=undeliverable (host" in bench.lines[-1]


async def test_what_is_said_to_data_counts_if_wished(make) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    bench: Bench = make(address_verify_target="data")
    async with peer({}) as it:
        done = await bench.deliver(it.nexthop, "u@there.example", trace=PROBE)
        assert outcome(done, it) == [("sent", "2.0.0", "354 go")]
        await it.all_closed.wait()
        assert it.commands[-1] == "DATA" and not it.messages
    async with peer({"DATA": b"554 5.7.1 not today\r\n"}) as it:
        done = await bench.deliver(it.nexthop, "u@there.example", trace=PROBE)
        text = "host H said: 554 5.7.1 not today (in reply to DATA command)"
        assert outcome(done, it) == [("bounced", "5.7.1", text)]
    async with peer({"RCPT": b"550 5.1.1 no such user\r\n", "DATA": b"554 5.5.1 no valid recipients\r\n"}) as it:
        done = await bench.deliver(it.nexthop, "u@there.example", trace=PROBE)
        assert outcome(done, it) == [("bounced", "5.1.1", NO_USER)]
