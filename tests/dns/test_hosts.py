from pathlib import Path

from gatepost.dns.hosts import HostsFile, parse_hosts

TEXT = """127.0.0.1\tlocalhost localhost.localdomain # comment
192.0.2.1 Mail.example.org mail
192.0.2.2 mail.example.org
192.0.2.1 second.example.org
2001:DB8:0::1 mail
::1 localhost
nonsense here
fe80::1%lo0 linklocal
"""


def test_parsing() -> None:
    names, addresses = parse_hosts(TEXT)
    assert names["192.0.2.1"] == "Mail.example.org"
    assert addresses["mail.example.org"] == ("192.0.2.1", "192.0.2.2")
    assert addresses["mail"] == ("192.0.2.1", "2001:db8::1")
    assert addresses["localhost"] == ("127.0.0.1", "::1")
    assert names["fe80::1"] == "linklocal"


def test_the_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    now = [0.0]
    hosts = HostsFile(lambda: now[0], str(path))
    assert hosts.name("127.0.0.1") is None
    path.write_text(TEXT)
    now[0] = 1.0
    assert hosts.name("2001:db8:0:0::1") == "mail"
    assert hosts.addresses("MAIL.example.org.") == ("192.0.2.1", "192.0.2.2")
    path.unlink()
    now[0] = 2.0
    assert hosts.name("127.0.0.1") is None
