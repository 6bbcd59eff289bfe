"""Deliveries to servers that DANE verifies: what they are told, and which sessions serve whom."""

import hashlib
import ssl

import pytest

from gatepost.delivery.lmtp import LmtpAgent
from gatepost.dns.zone import parse_zone
from tests.compat.tls_sink import Certificates, TlsSink
from tests.delivery.test_smtp_tls import SENT, Make, certificates, make, sink  # noqa: F401  (fixtures)

DNSSEC = "smtp_dns_support_level = dnssec\nsmtp_tls_connection_reuse = yes\n"
HOSTS = "a.example MX 10 localhost\nb.example MX 10 localhost\nlocalhost A 127.0.0.1\n"
WRONG = "3 0 1 " + "00" * 32
REFUSED = "deferred 4.7.5 Server certificate not verified"


def right(of: Certificates) -> str:
    """The record of the certificate that the server shows."""
    pem = of.path("right").read_text()
    der = ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN CERT") : pem.index("-----END CERT") + 25])
    return f"3 0 1 {hashlib.sha256(der).hexdigest()}"


def zone(server: TlsSink, *records: str) -> str:
    return HOSTS + "".join(f"_{server.port}._tcp.localhost TLSA {record}\n" for record in records)


@pytest.mark.parametrize("level", ["dane", "dane-only"])
async def test_mail_goes_to_the_server_of_the_records(
    level: str,
    make: Make,  # noqa: F811
    sink: TlsSink,  # noqa: F811
    certificates: Certificates,  # noqa: F811
) -> None:
    bench = make(f"{DNSSEC}smtp_tls_security_level = {level}\n", zone=zone(sink, WRONG, right(certificates)))
    assert await bench.deliver("a.example") == SENT
    assert [server_name for _, _, server_name, _ in sink.seen] == ["localhost"]


@pytest.mark.parametrize("level", ["dane", "dane-only"])
async def test_another_server_is_told_nothing(level: str, make: Make, sink: TlsSink) -> None:  # noqa: F811
    bench = make(f"{DNSSEC}smtp_tls_security_level = {level}\n", zone=zone(sink, WRONG))
    for age in (0.0, 10_000.0):
        assert await bench.deliver("a.example", age=age) == REFUSED
    for session in sink.sessions:
        assert [command.split()[0] for command in session][:2] == ["EHLO", "STARTTLS"]
        assert set(session[2:]) <= {"QUIT"}


async def test_sessions_of_several_records_are_not_mixed(
    make: Make,  # noqa: F811
    sink: TlsSink,  # noqa: F811
    certificates: Certificates,  # noqa: F811
) -> None:
    """What was good enough by old records, or none, is not good enough by others."""
    bench = make(f"{DNSSEC}smtp_tls_security_level = dane\nsmtp_tls_session_cache_database = btree:x\n", zone=HOSTS)
    good = right(certificates)
    for records, outcome, connections in (
        ((), SENT, 1), ((), SENT, 1),
        ((good,), SENT, 2), ((good,), SENT, 2),
        ((good, WRONG), SENT, 3),
        ((WRONG,), REFUSED, 4), ((WRONG,), REFUSED, 5),
        ((good,), SENT, 5), ((), SENT, 5),
    ):  # fmt: skip
        bench.resolver.zone = parse_zone(zone(sink, *records))
        assert await bench.deliver("a.example", keep=True) == outcome
        assert len(sink.sessions) == connections
    assert not any(resumed for *_, resumed in sink.seen)


async def test_a_resumed_session_is_as_good_as_its_first_handshake(
    make: Make,  # noqa: F811
    sink: TlsSink,  # noqa: F811
    certificates: Certificates,  # noqa: F811
) -> None:
    caching = "smtp_tls_session_cache_database = btree:x\nsmtp_tls_loglevel = 1\n"
    bench = make(f"{DNSSEC}smtp_tls_security_level = dane\n{caching}", zone=zone(sink, right(certificates)))
    for _ in range(2):
        assert await bench.deliver("a.example") == SENT
    assert [resumed for *_, resumed in sink.seen] == [False, True]
    assert sum(line.startswith("Verified TLS connection established") for line in bench.lines) == 2
    bench.resolver.zone = parse_zone(zone(sink, WRONG))
    assert await bench.deliver("a.example") == REFUSED
    assert not any(resumed for *_, resumed in sink.seen[2:])


async def test_a_verified_session_serves_its_next_hop_alone(
    make: Make,  # noqa: F811
    sink: TlsSink,  # noqa: F811
    certificates: Certificates,  # noqa: F811
) -> None:
    bench = make(f"{DNSSEC}smtp_tls_security_level = dane\n", zone=zone(sink, right(certificates)))
    for nexthop, connections in (("a.example", 1), ("a.example", 1), ("b.example", 2)):
        assert await bench.deliver(nexthop, keep=True) == SENT
        assert len(sink.sessions) == connections


async def test_records_of_no_use_mean_encryption(make: Make, certificates: Certificates) -> None:  # noqa: F811
    server = TlsSink({}, certificates.context("anonymous"))
    useless = zone(server, "3 1 1 00ff")
    bench = make(f"{DNSSEC}smtp_tls_security_level = dane-only\n", server, zone=useless)
    assert (await bench.deliver("a.example")).startswith("deferred 4.7.5 ")
    plain = TlsSink({"EHLO": "250 peer.example"}, certificates.context("right"))
    bench = make(f"{DNSSEC}smtp_tls_security_level = dane\n", plain, zone=zone(plain, "3 1 1 00ff"))
    text = "deferred 4.7.4 TLS is required, but was not offered by host localhost[127.0.0.1]"
    assert await bench.deliver("a.example", age=10_000.0) == text
    server.stop()
    plain.stop()


async def test_lmtp(make: Make, certificates: Certificates) -> None:  # noqa: F811
    server = TlsSink({}, certificates.context("right"), lmtp=True)
    level = "lmtp_tls_security_level = dane-only\nlmtp_dns_support_level = dnssec\n"
    for record, outcome in ((right(certificates), SENT), (WRONG, REFUSED)):
        bench = make(level, server, kind=LmtpAgent, zone=zone(server, record))
        assert await bench.deliver("localhost") == outcome
    server.stop()
