"""The agent with TLS, before real TLS servers; what Postfix does as well is compared in tests/compat."""

import asyncio
import dataclasses
import gc
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.delivery.lmtp import LmtpAgent
from gatepost.delivery.smtp import SmtpAgent
from gatepost.delivery.smtp_addresses import Target
from gatepost.delivery.smtp_demand import Demand
from gatepost.delivery.smtp_params import SmtpParams
from gatepost.delivery.smtp_session import SmtpSession
from gatepost.delivery.smtp_tls_policy import BadPolicy, Level, TlsPolicy
from gatepost.dns.fake import FakeResolver
from gatepost.ipc.messages import DeliveryDone, DeliveryRecipient, DeliveryRequest
from gatepost.master.foundation import table_environment
from gatepost.master.smtp_tls import RETRY, smtp_tls
from gatepost.tables.opening import Tables
from tests.compat.scripted_sink import EHLO, ScriptedSink
from tests.compat.tls_sink import STARTTLS_EHLO, Certificates, TlsSink
from tests.delivery.requests import Log

CONTENT = b"Subject: x\n\nhello\n"
ZONE = "a.example MX 10 localhost\nb.example MX 10 localhost\nlocalhost A 127.0.0.1\n"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def sink(certificates: Certificates) -> Iterator[TlsSink]:
    made = TlsSink({}, certificates.context("right"))
    yield made
    made.stop()


class Bench:
    """An agent for a main.cf, with what it logs."""

    def __init__(self, main_cf: str, port: int, kind: type[SmtpAgent] = SmtpAgent, zone: str = ZONE) -> None:
        program = "lmtp" if kind is LmtpAgent else "smtp"
        settings = Configuration.parse(f"{main_cf}\nmyhostname = me.example\n{program}_tcp_port = {port}\n").settings
        self.log = Log(program)
        program_log = self.log.program
        self._skipped = 0.0
        env = table_environment(settings, program_log.warning)
        tables = Tables(dataclasses.replace(env, clock=lambda: time.monotonic() + self._skipped))
        self.resolver = FakeResolver(zone, authentic=True)
        self.tls = smtp_tls(tables, settings, program, program_log, self.resolver)
        self.agent = kind(
            SmtpParams.of(settings, program), self.resolver, None, program_log.info, program_log.warning,
            time.time, random.Random(1), tls=self.tls,
        )  # fmt: skip

    def skip(self, seconds: float) -> None:
        """Let time pass."""
        self._skipped += seconds

    @property
    def lines(self) -> list[str]:
        return self.log.lines

    async def deliver(self, nexthop: str, *, keep: bool = False, age: float = 0.0, content: bytes = CONTENT) -> str:
        """The action and text of the outcome."""
        now = time.time()
        request = DeliveryRequest(
            request_id=7, epoch=1, queue_id="ABC", transport="smtp", nexthop=nexthop, sender="s@me.example",
            recipients=[DeliveryRecipient(0, "one@there.example")], size=len(content), arrival=now - age, active=now,
            content=content, keep=keep,
        )  # fmt: skip
        done: DeliveryDone = await self.agent.deliver(request)
        (status,) = done.statuses
        return f"{status.action} {status.dsn} {status.text}"


SENT = "sent 2.0.0 250 2.0.0 Ok: queued as X"
Make = Callable[..., Bench]


@pytest.fixture
async def make(sink: TlsSink, certificates: Certificates) -> AsyncIterator[Make]:
    made: list[Bench] = []

    def start(main_cf: str, server: ScriptedSink = sink, **options: Any) -> Bench:
        authority = f"smtp_tls_CAfile = {certificates.path('ca')}\n"
        made.append(Bench(authority + main_cf.replace("PORT", str(server.port)), server.port, **options))
        return made[-1]

    yield start
    for it in made:
        await it.agent.close()
    # Else the loop is closed over a session that waits for the reply to its QUIT; nobody tells the test.
    while any(isinstance(it, SmtpSession) and it._transport is not None for it in gc.get_objects()):  # noqa: ASYNC110
        await asyncio.sleep(0.001)


async def test_nothing_is_loaded_without_tls(make: Make, sink: TlsSink) -> None:
    bench = make("")
    assert bench.tls is None
    assert await bench.deliver("[127.0.0.1]") == SENT
    assert sink.seen == []


@pytest.mark.parametrize("level", ["encrypt", "verify", "secure", "fingerprint"])
async def test_nothing_goes_in_plaintext_where_tls_is_required(
    level: str, make: Make, certificates: Certificates
) -> None:
    """Not where it is not offered, nor refused, nor broken, however old the mail."""
    for said in ({"EHLO": EHLO}, {"STARTTLS": "454 no"}, {"HANDSHAKE": ""}, {"HANDSHAKE": "octets"}, {"TLS EHLO": ""}):
        sink = TlsSink(said, certificates.context("right"))
        bench = make(f"smtp_tls_security_level = {level}\nsmtp_tls_fingerprint_cert_match = {'00' * 32}\n", sink)
        assert (await bench.deliver("a.example", age=1e6)).startswith("deferred 4.")
        assert not [command for command in sink.commands if command.startswith("MAIL")]
        sink.stop()


async def test_an_encrypted_session_serves_one_message_if_it_is_to(make: Make, sink: TlsSink) -> None:
    bench = make("smtp_tls_security_level = encrypt\nsmtp_tls_connection_reuse = no\n")
    for _ in range(2):
        assert await bench.deliver("a.example", keep=True) == SENT
    assert len(sink.seen) == 2


@pytest.mark.parametrize("said", ["", "smtp_tls_connection_reuse = yes\n"])
async def test_reuse_by_the_same_policy(said: str, make: Make, sink: TlsSink) -> None:
    bench = make(f"smtp_tls_security_level = encrypt\n{said}")
    for nexthop in ("a.example", "a.example", "b.example"):
        assert await bench.deliver(nexthop, keep=True) == SENT
    assert len(sink.seen) == 1


POLICIES = (
    "smtp_tls_connection_reuse = yes\nsmtp_tls_policy_maps = inline:{{ {{ a.example = {} }} {{ b.example = {} }} }}\n"
)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("may", "encrypt"),
        ("encrypt", "verify"),
        ("verify", "verify"),
        ("encrypt", "encrypt protocols=TLSv1.2"),
        ("encrypt", "encrypt ciphers=high"),
        ("encrypt", "encrypt exclude=RC4"),
        ("encrypt", "encrypt servername=localhost"),
        ("secure match=localhost", "secure match=localhost:other.example"),
        ("none", "encrypt"),
        ("none", "may"),
    ],
)
async def test_no_reuse_by_another_policy(first: str, then: str, make: Make, sink: TlsSink) -> None:
    """The same server; where it proves its name, even the same policy counts for one next hop only."""
    bench = make(POLICIES.format(first, then))
    assert await bench.deliver("a.example", keep=True) == SENT
    assert await bench.deliver("b.example", keep=True) == SENT
    assert await bench.deliver("a.example", keep=True) == SENT
    assert len(sink.sessions) == 2
    assert len(sink.seen) == (1 if first == "none" else 2)


async def test_plaintext_is_not_used_again_for_a_policy_that_changed(make: Make, certificates: Certificates) -> None:
    sink = TlsSink({}, certificates.context("right"), once={"EHLO": EHLO})
    bench = make(POLICIES.format("may", "encrypt"), sink)
    assert await bench.deliver("a.example", keep=True) == SENT
    assert await bench.deliver("b.example", keep=True) == SENT
    assert [len(sink.sessions), len(sink.seen)] == [2, 1]
    sink.stop()


async def test_the_plaintext_of_a_fall_back_serves_nobody_else(make: Make, certificates: Certificates) -> None:
    sink = TlsSink({}, certificates.context("right"), once={"HANDSHAKE": ""})
    bench = make("smtp_tls_security_level = may\n", sink)
    assert await bench.deliver("a.example", keep=True, age=400) == SENT
    assert await bench.deliver("a.example", keep=True) == SENT
    assert bench.lines[0].startswith("SSL_connect error to localhost[127.0.0.1]:")
    assert bench.lines[1] == "ABC: Cannot start TLS: handshake failure"
    assert [len(sink.sessions), len(sink.seen)] == [3, 1]
    sink.stop()


async def test_young_mail_waits_for_tls(make: Make, certificates: Certificates) -> None:
    sink = TlsSink({"HANDSHAKE": ""}, certificates.context("right"))
    bench = make("smtp_tls_security_level = may\n", sink)
    assert await bench.deliver("a.example", age=200) == "deferred 4.7.5 Cannot start TLS: handshake failure"
    assert len(sink.sessions) == 1
    sink.stop()


async def test_sessions_are_resumed(make: Make, sink: TlsSink) -> None:
    cache = "smtp_tls_session_cache_database = btree:x\nsmtp_tls_loglevel = summary,cache\n"
    bench = make(f"smtp_tls_security_level = verify\n{cache}")
    for nexthop in ("a.example", "a.example", "b.example"):
        assert await bench.deliver(nexthop) == SENT
    assert [resumed for *_, resumed in sink.seen] == [False, True, False]
    established = [line for line in bench.lines if " TLS connection established" in line]
    assert len(established) == 3
    assert all(line.startswith("Verified") for line in established)
    assert [line for line in bench.lines if line.endswith(": Reusing old session")]


async def test_without_a_cache_nothing_is_resumed(make: Make, sink: TlsSink) -> None:
    bench = make("smtp_tls_security_level = encrypt\n")
    for _ in range(2):
        assert await bench.deliver("a.example") == SENT
    assert [resumed for *_, resumed in sink.seen] == [False, False]


async def test_a_resumed_session_does_not_make_a_wrong_name_right(make: Make, certificates: Certificates) -> None:
    sink = TlsSink({}, certificates.context("wrong"))
    bench = make("smtp_tls_security_level = verify\nsmtp_tls_session_cache_database = btree:x\n", sink)
    for _ in range(3):
        assert await bench.deliver("a.example") == "deferred 4.7.5 Server certificate not verified"
    assert sink.messages == []
    sink.stop()


async def test_fingerprints(make: Make, sink: TlsSink, certificates: Certificates) -> None:
    make_level = "smtp_tls_security_level = {}\nsmtp_tls_loglevel = 2\n"
    bench = make(make_level.format("verify"))
    assert await bench.deliver("a.example") == SENT
    (facts,) = [line for line in bench.lines if "subject_CN=localhost" in line]
    assert any(line.endswith(": matched peername: localhost") for line in bench.lines)
    assert any(re.search(r"localhost\[.*: depth=0 verify=1 subject=/.*CN=localhost$", line) for line in bench.lines)
    certificate, key = (part.rpartition("=")[2] for part in facts.split(", ")[-2:])
    for digits in (certificate, key, certificate.lower(), key.replace(":", "")):
        again = make(f"{make_level.format('fingerprint')}smtp_tls_fingerprint_cert_match = {digits}\n")
        assert await again.deliver("a.example") == SENT
        assert any(line.startswith("Verified TLS connection") for line in again.lines)
    wrong = make(f"{make_level.format('fingerprint')}smtp_tls_fingerprint_cert_match = {certificate[:-2]}00\n")
    assert await wrong.deliver("a.example") == "deferred 4.7.5 Server certificate not verified"


async def test_client_certificates(make: Make, certificates: Certificates) -> None:
    context = certificates.context("right/1.2")
    context.verify_mode = 2  # type: ignore[assignment]
    context.load_verify_locations(certificates.path("ca"))
    sink = TlsSink({}, context)
    none = make("smtp_tls_security_level = encrypt\n", sink)
    assert await none.deliver("a.example") == "deferred 4.7.5 Cannot start TLS: handshake failure"
    for parameter in ("smtp_tls_cert_file", "smtp_tls_eccert_file", "smtp_tls_chain_files"):
        bench = make(f"smtp_tls_security_level = encrypt\n{parameter} = {certificates.path('client')}\n", sink)
        assert await bench.deliver("a.example") == SENT
    sink.stop()


async def test_early_replies_end_the_session(make: Make, certificates: Certificates) -> None:
    sink = TlsSink({"TLS EHLO": f"{EHLO}\r\n250 2.1.0 early"}, certificates.context("right"))
    bench = make("smtp_tls_security_level = encrypt\nsmtp_tls_block_early_mail_reply = yes\n", sink)
    assert await bench.deliver("a.example") == "deferred 4.7.0 unexpected server message"
    assert not [command for command in sink.commands if command.startswith("MAIL")]
    sink.stop()


async def test_what_is_said_ahead_of_the_handshake_counts_for_nothing(make: Make, certificates: Certificates) -> None:
    """CVE-2011-0411 and its kin, seen from the client."""
    said = "220 go\r\n250-evil.example\r\n250 SMTPUTF8\r\n250 2.1.0 Ok\r\n550 5.1.1 no\r\n"
    sink = TlsSink(
        {"STARTTLS": said, "EHLO": STARTTLS_EHLO.replace("250 DSN", "250 SMTPUTF8")}, certificates.context("right")
    )
    bench = make("smtp_tls_security_level = encrypt\n", sink)
    assert await bench.deliver("a.example") == SENT
    sink.stop()


async def test_lines_are_filtered_under_tls_as_well(make: Make, certificates: Certificates) -> None:
    sink = TlsSink({"RCPT": "550 5.1.1 no"}, certificates.context("right"))
    bench = make("smtp_tls_security_level = encrypt\nsmtp_per_request_deadline = yes\n", sink)
    assert (await bench.deliver("a.example")).startswith("bounced 5.1.1 ")
    sink.stop()


async def test_large_content(make: Make, sink: TlsSink) -> None:
    content = b"Subject: x\n\n" + b"line of text\n" * 200_000
    bench = make("smtp_tls_security_level = encrypt\n")
    assert await bench.deliver("a.example", content=content) == SENT
    assert sink.messages[0] == content.replace(b"\n", b"\r\n")


async def test_a_server_that_hangs_up_in_the_middle(make: Make, certificates: Certificates) -> None:
    sink = TlsSink({"CONTENT": ""}, certificates.context("right"))
    bench = make("smtp_tls_security_level = encrypt\n", sink)
    assert (await bench.deliver("a.example")).startswith(
        "deferred 4.4.2 lost connection with localhost[127.0.0.1] while "
    )
    sink.stop()


def test_what_is_a_must_is_never_sent_in_plaintext() -> None:
    for level in Level:
        demand = Demand(policy=TlsPolicy(level=level))
        assert demand.in_plaintext().policy.level == (level if level > Level.MAY else Level.NONE)


async def test_a_second_try_in_plaintext_is_for_that_server_alone(make: Make, certificates: Certificates) -> None:
    """The table of policies fails just when the second try is due: the next server must not be the one without TLS."""
    sink = TlsSink({"HANDSHAKE": ""}, certificates.context("right"))
    bench = make("smtp_tls_per_site = inline:{ x=y }\n", sink)
    assert bench.tls is not None
    answers = iter((TlsPolicy(level=Level.MAY), None, TlsPolicy(level=Level.ENCRYPT)))

    async def find(nexthop: str, host: str, target: Target | None = None) -> TlsPolicy:
        answer = next(answers)
        if answer is None:
            raise BadPolicy
        return answer

    bench.tls.policies.find = find  # type: ignore[method-assign]
    outcome = await bench.deliver("[127.0.0.1], [127.0.0.1]", age=400)
    assert outcome == "deferred 4.7.5 Cannot start TLS: handshake failure"
    assert not [command for command in sink.commands if command.startswith("MAIL")]
    sink.stop()


async def test_certificates_that_come_late(
    make: Make, sink: TlsSink, certificates: Certificates, tmp_path: Path
) -> None:
    file = tmp_path / "late.pem"
    bench = make(f"smtp_tls_security_level = encrypt\nsmtp_tls_cert_file = {file}\n")
    unavailable = "deferred 4.7.5 TLS is required, but our TLS engine is unavailable"
    assert await bench.deliver("a.example") == unavailable
    file.write_bytes(certificates.path("client").read_bytes())
    assert await bench.deliver("a.example") == unavailable
    bench.skip(RETRY)
    assert await bench.deliver("a.example") == SENT


async def test_port_465_without_wrappermode(make: Make) -> None:
    hint = "SMTPS wrappermode (TCP port 465) requires setting "
    for more, told in (("", True), ("helpful_warnings = no\n", False), ("smtp_tls_wrappermode = yes\n", False)):
        bench = make(more)
        await bench.deliver("nosuch.example:465")
        assert any(line.startswith(hint) for line in bench.lines) is told


@pytest.mark.parametrize("level", ["half-dane", "HALF_DANE", "danes"])
def test_levels_that_are_none(level: str) -> None:
    with pytest.raises(ConfigError, match="smtp_tls_security_level"):
        Bench(f"smtp_tls_security_level = {level}\n", 25)


async def test_lmtp_to_a_socket(make: Make, certificates: Certificates, tmp_path: Path) -> None:
    path = tmp_path / "lmtp"
    sink = TlsSink({"LHLO": EHLO}, certificates.context("right"), lmtp=True, path=str(path))
    bench = make("lmtp_tls_security_level = encrypt\n", sink, kind=LmtpAgent)
    text = f"deferred 4.7.4 TLS is required, but was not offered by host me.example[{path}]"
    assert await bench.deliver(f"unix:{path}") == text
    sink.stop()
