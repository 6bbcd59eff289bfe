"""lmtp(8) against a scripted server. Texts and codes are those that Postfix 3.7.11 logs for the same server."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from gatepost.delivery.lmtp import LmtpAgent
from gatepost.delivery.smtp_params import SmtpParams
from gatepost.dns.fake import FakeResolver
from gatepost.ipc.messages import DeliveryDone, DeliveryRequest
from gatepost.mail.envelope import PROBE
from tests.delivery.requests import request
from tests.delivery.smtp_peer import peer

THREE = ("one@there.example", "two@there.example", "three@there.example")
NO_DSN = b"250-peer.example\r\n250 SIZE\r\n"


class Bench:
    """An agent with what it logs."""

    def __init__(self, **options: Any) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []
        params = SmtpParams(**{"myhostname": "me.example", "helo_name": "me.example", "tcp_port": "24", **options})
        self.agent = LmtpAgent(
            params, FakeResolver(""), None, self.lines.append, self.warnings.append, time.time, random.Random(1)
        )

    async def deliver(self, nexthop: str, *recipients: str, **options: Any) -> DeliveryDone:
        asked: DeliveryRequest = request(*(recipients or THREE), nexthop=nexthop, **options)
        return await self.agent.deliver(asked)


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def start(**options: Any) -> Bench:
        made.append(Bench(**options))
        return made[-1]

    yield start
    for it in made:
        await it.agent.close()
    await asyncio.sleep(0)


def outcomes(done: DeliveryDone) -> list[tuple[str, str, str]]:
    return [(s.action, s.dsn, s.text) for s in sorted(done.statuses, key=lambda s: s.index)]


async def test_an_answer_for_each_recipient(make: Callable[..., Bench]) -> None:
    replies: dict[str, bytes | None] = {
        "END:two@there.example": b"452 4.2.2 full\r\n",
        "END:three@there.example": b"550 5.1.1 gone\r\n",
    }
    async with peer(replies, lmtp=True) as it:
        bench = make()
        done = await bench.deliver(f"inet:127.0.0.1:{it.port}")
        assert outcomes(done) == [
            ("sent", "2.0.0", "250 2.0.0 Ok: queued as X"),
            ("deferred", "4.2.2", f"host {it.name} said: 452 4.2.2 full (in reply to end of DATA command)"),
            ("bounced", "5.1.1", f"host {it.name} said: 550 5.1.1 gone (in reply to end of DATA command)"),
        ]
        assert it.commands[:2] == ["LHLO me.example", "MAIL FROM:<me@client.example> SIZE=20"]
        assert it.messages == [b"Subject: x\r\n\r\nbody\r\n"]
        assert all(f"relay={it.name}:{it.port}, " in line for line in bench.lines)
        assert not done.site_failure


async def test_a_recipient_that_is_refused_before_has_no_answer(make: Callable[..., Bench]) -> None:
    replies: dict[str, bytes | None] = {"RCPT:one@there.example": b"550 5.1.1 no\r\n", "LHLO": NO_DSN}
    async with peer(replies, lmtp=True) as it:
        done = await make().deliver(f"[127.0.0.1]:{it.port}")
        assert outcomes(done) == [
            ("bounced", "5.1.1", f"host {it.name} said: 550 5.1.1 no (in reply to RCPT TO command)"),
            ("sent", "2.0.0", "250 2.0.0 Ok: queued as X"),
            ("sent", "2.0.0", "250 2.0.0 Ok: queued as X"),
        ]


@pytest.mark.parametrize(("final", "action"), [(False, "relayed"), (True, "delivered")])
async def test_success_without_dsn(make: Callable[..., Bench], final: bool, action: str) -> None:
    async with peer({"LHLO": NO_DSN}, lmtp=True) as it:
        done = await make(assume_final=final).deliver(f"inet:127.0.0.1:{it.port}")
        assert [status.dsn_action for status in done.statuses] == [action] * 3


async def test_a_unix_socket(make: Callable[..., Bench], tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    async with peer(lmtp=True, path=f"{tmp_path}/private/lmtp") as it:
        bench = make(queue_directory=str(tmp_path), fallback_relay=("[127.0.0.1]:9",))
        for nexthop in ("unix:private/lmtp", f"unix:{tmp_path}/private/lmtp"):
            done = await bench.deliver(nexthop, "one@there.example")
            assert outcomes(done) == [("sent", "2.0.0", "250 2.0.0 Ok: queued as X")]
            assert done.statuses[0].remote_mta == "me.example"
        assert len(it.messages) == 2
    assert "relay=me.example[private/lmtp], delay=" in bench.lines[0]
    assert bench.warnings == ['ignoring "lmtp_fallback_relay = [127.0.0.1]:9" setting for non-TCP connections'] * 2


async def test_no_such_socket(make: Callable[..., Bench], tmp_path: Path) -> None:
    done = await make(queue_directory=str(tmp_path)).deliver("unix:private/lmtp", "one@there.example")
    text = "connect to me.example[private/lmtp]: No such file or directory"
    assert outcomes(done) == [("deferred", "4.4.1", text)]
    assert (done.statuses[0].relay, done.site_failure) == ("none", text)


@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        ({"greeting": b"554 5.1.1 no\r\n"}, ("deferred", "4.1.1", "host HOST refused to talk to me: 554 5.1.1 no")),
        ({"LHLO": b"500 5.5.1 what\r\n"}, ("bounced", "5.5.1", "host HOST refused to talk to me: 500 5.5.1 what")),
        ({"LHLO": None}, ("deferred", "4.4.2", "lost connection with HOST while performing the LHLO handshake")),
    ],
)
async def test_refusals(
    make: Callable[..., Bench], tmp_path: Path, replies: dict[str, bytes | None], outcome: tuple[str, str, str]
) -> None:
    path = f"{tmp_path}/lmtp"
    async with peer(replies, lmtp=True, path=path) as it:
        done = await make().deliver(f"unix:{path}", "one@there.example")
        assert outcomes(done) == [(*outcome[:2], outcome[2].replace("HOST", f"me.example[{path}]"))]
        assert done.site_failure
        assert all(command.startswith(("LHLO", "QUIT")) for command in it.commands)


async def test_hanging_up_between_the_answers(make: Callable[..., Bench], tmp_path: Path) -> None:
    path = f"{tmp_path}/lmtp"
    async with peer({"END:two@there.example": None}, lmtp=True, path=path):
        done = await make().deliver(f"unix:{path}")
        lost = (
            f"lost connection with me.example[{path}] while sending end of data -- message may be sent more than once"
        )
        assert outcomes(done) == [
            ("sent", "2.0.0", "250 2.0.0 Ok: queued as X"),
            ("deferred", "4.4.2", lost),
            ("deferred", "4.4.2", lost),
        ]


async def test_a_session_is_used_again(make: Callable[..., Bench], tmp_path: Path) -> None:
    path = f"{tmp_path}/lmtp"
    async with peer({"END:two@there.example": b"452 4.2.2 full\r\n"}, lmtp=True, path=path) as it:
        bench = make()
        for keep in (True, True, False):
            done = await bench.deliver(f"unix:{path}", keep=keep)
            assert [status.action for status in done.statuses] == ["sent", "deferred", "sent"]
        assert it.connections == 1
        assert ", conn_use=3, " in bench.lines[-1]


async def test_a_probe_asks_for_recipients_only(make: Callable[..., Bench]) -> None:
    async with peer({"RCPT:two@there.example": b"550 5.1.1 no\r\n"}, lmtp=True) as it:
        done = await make().deliver(f"inet:127.0.0.1:{it.port}", *THREE[:2], trace=PROBE)
        assert [status.dsn for status in sorted(done.statuses, key=lambda s: s.index)] == ["2.1.5", "5.1.1"]
        assert "DATA" not in it.commands


async def test_changed_content_is_accepted_for_nobody(make: Callable[..., Bench], tmp_path: Path) -> None:
    (tmp_path / "message").write_bytes(b"Subject: x\n\nb\xefdy\n")
    async with peer() as it:
        it.lmtp = True
        file = {"content_file": str(tmp_path / "message"), "checksum": crc32(b"Subject: x\n\nbody\n")}
        done = await make().deliver(f"inet:{it.nexthop}", content=b"", **file)
        await it.all_closed.wait()
        assert {status.action for status in done.statuses} == {"deferred"} and done.damaged and not it.messages
