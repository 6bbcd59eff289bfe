from pathlib import Path

import pytest

from gatepost.dns.fake import FakeResolver
from gatepost.dns.hosts import HostsFile
from gatepost.dns.names import NO_NAME, TEMPORARY_NO_NAME, ClientName, client_name

ZONE = """
1.2.0.192.in-addr.arpa PTR good.example
good.example A 192.0.2.9
good.example A 192.0.2.1
2.2.0.192.in-addr.arpa PTR forged.example
forged.example A 192.0.2.77
3.2.0.192.in-addr.arpa PTR gone.example
4.2.0.192.in-addr.arpa PTR sick.example
sick.example SERVFAIL
5.2.0.192.in-addr.arpa SERVFAIL
6.2.0.192.in-addr.arpa PTR 192.0.2.6
7.2.0.192.in-addr.arpa PTR bad-.example
8.2.0.192.in-addr.arpa PTR v6only.example
v6only.example AAAA 2001:db8::8
8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR v6only.example
11.2.0.192.in-addr.arpa PTR local.example
"""


@pytest.fixture
def hosts(tmp_path: Path) -> HostsFile:
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n192.0.2.10 fromfile.example\n192.0.2.11 local.example\n")
    return HostsFile(lambda: 0.0, str(tmp_path / "hosts"))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", ClientName("good.example", 2, "good.example", 2)),
        (
            "192.0.2.2",
            ClientName(
                "unknown", 6, "forged.example", 2, "hostname forged.example does not resolve to address 192.0.2.2"
            ),
        ),
        (
            "192.0.2.3",
            ClientName(
                "unknown",
                6,
                "gone.example",
                2,
                "hostname gone.example does not resolve to address 192.0.2.3: Name or service not known",
            ),
        ),
        (
            "192.0.2.4",
            ClientName(
                "unknown",
                4,
                "sick.example",
                2,
                "hostname sick.example does not resolve to address 192.0.2.4: Temporary failure in name resolution",
            ),
        ),
        ("192.0.2.5", TEMPORARY_NO_NAME),
        ("192.0.2.6", ClientName("unknown", 5, "unknown", 5, "numeric hostname: 192.0.2.6")),
        (
            "192.0.2.7",
            ClientName("unknown", 5, "unknown", 5, "valid_hostname: misplaced hyphen: bad-.example"),
        ),
        (
            "192.0.2.8",
            ClientName(
                "unknown",
                6,
                "v6only.example",
                2,
                "hostname v6only.example does not resolve to address 192.0.2.8: No address associated with hostname",
            ),
        ),
        ("2001:db8::8", ClientName("v6only.example", 2, "v6only.example", 2)),
        ("192.0.2.10", ClientName("fromfile.example", 2, "fromfile.example", 2)),
        ("192.0.2.11", ClientName("local.example", 2, "local.example", 2)),
        ("127.0.0.1", ClientName("localhost", 2, "localhost", 2)),
        ("192.0.2.200", NO_NAME),
        ("not an address", NO_NAME),
    ],
)
async def test_client_names(address: str, expected: ClientName, hosts: HostsFile) -> None:
    assert await client_name(address, FakeResolver(ZONE), hosts) == expected


async def test_the_hosts_file_spares_dns(hosts: HostsFile) -> None:
    resolver = FakeResolver(ZONE)
    await client_name("192.0.2.10", resolver, hosts)
    assert resolver.asked == []
