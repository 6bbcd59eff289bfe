"""Refused logins are remembered as long as they are young and the password is the same."""

import subprocess
import sys
from pathlib import Path

import pytest

from gatepost.config.errors import ConfigError
from gatepost.delivery.smtp_sasl_cache import LoginFailures, cache_path
from gatepost.sasl.client import Credentials

USER = Credentials("user", "secret word")


class Bench:
    def __init__(self, path: Path) -> None:
        self.now = 1000.0
        self.warnings: list[str] = []
        self.path = path
        self.failures = self.other()

    def other(self) -> LoginFailures:
        """As another process has it."""
        return LoginFailures(self.path, 60, lambda: self.now, self.warnings.append)


def test_a_refusal_is_remembered_by_all(tmp_path: Path) -> None:
    it = Bench(tmp_path / "failures.sqlite")
    assert it.failures.find("peer.example", USER) is None
    it.failures.store("peer.example", USER, "5.7.8", "535 5.7.8 no")
    for each in (it.failures, it.other()):
        assert each.find("PEER.example", USER) == ("5.7.8", "535 5.7.8 no")
        assert each.find("peer2.example", USER) is None
        assert each.find("peer.example", Credentials("other", "secret word")) is None
        each.close()
    assert not it.warnings


def test_names_may_be_of_any_octets(tmp_path: Path) -> None:
    it, odd = Bench(tmp_path / "failures.sqlite"), Credentials("\udce4", "\udcf6")
    it.failures.store("peer.example", odd, "5.7.8", "535 no")
    assert it.failures.find("peer.example", odd) == ("5.7.8", "535 no")


def test_another_password_is_tried(tmp_path: Path) -> None:
    it = Bench(tmp_path / "failures.sqlite")
    it.failures.store("peer.example", USER, "5.7.8", "535 no")
    assert it.failures.find("peer.example", Credentials("user", "better")) is None
    assert it.failures.find("peer.example", USER) is None, "it is forgotten, as in Postfix"


def test_it_is_forgotten_in_time(tmp_path: Path) -> None:
    it = Bench(tmp_path / "failures.sqlite")
    it.failures.store("peer.example", USER, "5.7.8", "535 no")
    it.now += 59
    assert it.failures.find("peer.example", USER) is not None
    it.now += 1
    assert it.failures.find("peer.example", USER) is None


def test_the_password_is_not_in_the_file(tmp_path: Path) -> None:
    it = Bench(tmp_path / "failures.sqlite")
    it.failures.store("peer.example", USER, "5.7.8", "535 no")
    it.failures.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"peer.example" in kept
    assert b"secret" not in kept
    assert it.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("what", ["garbage", "folder"])
def test_a_file_that_is_of_no_use_is_told_of_once(tmp_path: Path, what: str) -> None:
    path = tmp_path / "failures.sqlite"
    if what == "garbage":
        path.write_bytes(b"no database at all, but text" * 100)
    else:
        path.mkdir()
    it = Bench(path)
    it.failures.store("peer.example", USER, "5.7.8", "535 no")
    assert it.failures.find("peer.example", USER) is None
    assert len(it.warnings) == 1
    assert str(path) in it.warnings[0]


def test_several_processes_open_a_new_file_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from gatepost.delivery.smtp_sasl_cache import LoginFailures\n"
        "from gatepost.sasl.client import Credentials\n"
        "it = LoginFailures(Path(sys.argv[1]), 60, lambda: 1000.0, print)\n"
        "it.store('peer.example', Credentials(sys.argv[2], 'x'), '5.7.8', 'no'); it.close()"
    )
    path = tmp_path / "failures.sqlite"
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(number)], stdout=subprocess.PIPE)
        for number in range(4)
    ]
    assert [process.communicate(timeout=60)[0] for process in running] == [b""] * 4
    it = Bench(path)
    assert all(it.failures.find("peer.example", Credentials(str(number), "x")) for number in range(4))


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ("", None),
        ("proxy:btree:/var/lib/postfix/sasl_auth_cache", "/var/lib/postfix/sasl_auth_cache.sqlite"),
        ("lmdb:/a/b", "/a/b.sqlite"),
    ],
)
def test_where_it_is(spec: str, path: str | None) -> None:
    found = cache_path(spec, "smtp_sasl_auth_cache_name")
    assert (str(found) if found else None) == path


@pytest.mark.parametrize("spec", ["/a/b", "memcache:/etc/x", "btree:"])
def test_where_it_cannot_be(spec: str) -> None:
    with pytest.raises(ConfigError, match="the cache cannot be kept in"):
        cache_path(spec, "smtp_sasl_auth_cache_name")
