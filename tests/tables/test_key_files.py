"""Certificates and keys by the parameters that name them, and their renewal."""

import errno
import os
import stat
from pathlib import Path

import pytest

from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.key_files import LOOK_INTERVAL, STILL, KeyFiles, NamedChains, Renewed, UnreadableFile, named


class Surroundings:
    """Clocks that stand still until they are moved, and what was said."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.said: list[str] = []
        self.env = TableEnvironment(
            clock=lambda: self.now, warn=self.said.append, wall_clock=lambda: self.now
        )  # files are changed with `put`, which gives them the time of this clock


def put(path: Path, text: str, when: float = 0.0) -> None:
    path.write_text(text)
    os.utime(path, (when, when))


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch) -> Surroundings:
    # The change time is the system's own; here only what the tests set is to count.
    import gatepost.tables.key_files as module

    def signature(status: os.stat_result) -> tuple[int, int, int, int, int]:
        return status.st_size, status.st_mtime_ns, 0, status.st_ino, stat.S_IMODE(status.st_mode)

    monkeypatch.setattr(module, "signature_of", signature)
    return Surroundings()


def listing(files: KeyFiles) -> str:
    """What stands for a context: it wants the key to be that of the certificate."""
    certificate, key = files.read("smtpd_tls_cert_file"), files.read("smtpd_tls_key_file")
    if certificate.removeprefix(b"cert ") != key.removeprefix(b"key "):
        raise ConfigError("key and certificate do not match")
    return certificate.decode().strip()


def pair(tmp_path: Path, around: Surroundings) -> tuple[Path, Path, KeyFiles]:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    put(certificate, "cert 1\n")
    put(key, "key 1\n")
    files = KeyFiles(around.env, {"smtpd_tls_cert_file": [str(certificate)], "smtpd_tls_key_file": [str(key)]})
    return certificate, key, files


def test_the_parameters_of_a_listener_and_of_a_transport(tmp_path: Path) -> None:
    env = Surroundings().env
    put(tmp_path / "a.pem", "A")
    put(tmp_path / "b.pem", "B\n")
    settings = Configuration.parse(
        f"smtpd_tls_chain_files = {tmp_path}/a.pem, {tmp_path}/b.pem\n"
        f"smtp_tls_cert_file = {tmp_path}/b.pem\nsmtp_tls_eccert_file = {tmp_path}/a.pem\n"
        f"smtp_tls_eckey_file = {tmp_path}/b.pem\nlmtp_tls_eccert_file = none\n"
    ).settings
    server = KeyFiles.of(env, settings, "smtpd_tls")
    assert server.read("smtpd_tls_chain_files") == b"A\nB\n"
    assert server.read("smtpd_tls_cert_file") == b""
    assert [(chain.name, chain.certificates) for chain in server.chains("smtpd_tls")] == [
        (f"{tmp_path}/a.pem", b"A\n"),
        (f"{tmp_path}/b.pem", b"B\n"),
    ]
    client = KeyFiles.of(env, settings, "smtp_tls")
    assert [(chain.algorithm, chain.certificates, chain.key) for chain in client.chains("smtp_tls")] == [
        ("RSA", b"B\n", b"B\n"),  # the default of the key's parameter is the certificate's file
        ("ECDSA", b"A\n", b"B\n"),
    ]
    with pytest.raises(UnreadableFile, match="open none: No such file"):
        list(KeyFiles.of(env, settings, "lmtp_tls").chains("lmtp_tls"))


@pytest.mark.parametrize("name", ["smtpd_tls_chain_files", "smtpd_tls_cert_file"])
def test_a_server_may_have_none(name: str) -> None:
    settings = Configuration.parse(f"{name} = None\n").settings
    assert not KeyFiles.of(Surroundings().env, settings, "smtpd_tls").files.get(name)


def test_only_lists_are_split() -> None:
    assert named("smtp_tls_cert_file", "/a b,c.pem") == ["/a b,c.pem"]
    assert named("smtp_tls_chain_files", "/a, /b") == ["/a", "/b"]


@pytest.mark.parametrize(
    ("gone", "parameters", "kind", "first", "more"),
    [
        ("a", {"chain_files": "aA"}, "chain", "error opening chain file: {}: No such file", 0),
        ("a", {"cert_file": "a", "key_file": "a"}, "chain", "error opening chain file: {}: No such file", 0),
        ("a", {"eccert_file": "a", "eckey_file": "A"}, "ECDSA certificate", "cannot get {} from", 3),
        ("a", {"dcert_file": "A", "dkey_file": "a"}, "DSA private key", "cannot get {} from", 3),
        ("", {"cert_file": "A", "key_file": ""}, "RSA private key", "cannot get {} from", 3),
    ],
)
def test_a_file_that_is_not_there_is_named_with_its_parameter(
    tmp_path: Path, gone: str, parameters: dict[str, str], kind: str, first: str, more: int
) -> None:
    put(tmp_path / "A", "A")
    named = {f"smtp_tls_{suffix}": [f"{tmp_path}/{each}" for each in names] for suffix, names in parameters.items()}
    with pytest.raises(UnreadableFile) as caught:
        list(KeyFiles(Surroundings().env, named).chains("smtp_tls"))
    error, path = caught.value, f"{tmp_path}/{gone}" if gone else ""
    assert (error.file, error.kind, error.errno) == (path, kind, errno.ENOENT)
    assert error.parameter in named or not gone
    assert str(error).endswith(f"open {path}: No such file or directory")
    assert error.lines[0].startswith(first.format(path if kind == "chain" else kind))
    assert len(error.lines) == 1 + more and all(line.startswith("TLS library problem: ") for line in error.lines[1:])


def test_a_renewal_is_taken_once_the_files_stand_still(tmp_path: Path, around: Surroundings) -> None:
    certificate, key, files = pair(tmp_path, around)
    renewed: list[str] = []
    context = Renewed(files, listing, "smtps", renewed=renewed.append)
    assert context.current() == "cert 1"
    put(certificate, "cert 2\n", when=around.now + LOOK_INTERVAL)
    put(key, "key 2\n", when=around.now + LOOK_INTERVAL)
    assert context.current() == "cert 1"  # the next look is not due
    around.now += LOOK_INTERVAL
    assert context.current() == "cert 1"  # they may still be written
    around.now += STILL
    assert context.current() == "cert 2"
    assert renewed == ["cert 2"]
    assert not around.said


def test_a_change_of_long_ago_is_taken_at_once(tmp_path: Path, around: Surroundings) -> None:
    certificate, key, files = pair(tmp_path, around)
    context = Renewed(files, listing, "smtps")
    put(certificate, "cert 2\n", when=around.now)
    put(key, "key 2\n", when=around.now)
    around.now += 3600
    assert context.current() == "cert 2"


def test_a_key_that_does_not_match_leaves_all_as_it_was_and_is_told_once(tmp_path: Path, around: Surroundings) -> None:
    certificate, key, files = pair(tmp_path, around)
    context = Renewed(files, listing, "smtps")
    put(certificate, "cert 2\n", when=around.now)
    for _ in range(3):
        around.now += 3600
        assert context.current() == "cert 1"
    assert around.said == [
        "smtps: key and certificate do not match, using the certificate and key it had before",
    ]
    put(key, "key 2\n", when=around.now)
    around.now += 3600
    assert context.current() == "cert 2"
    put(key, "key 3\n", when=around.now)
    around.now += 3600
    assert context.current() == "cert 2"
    assert len(around.said) == 2  # another mistake is another warning


def test_a_file_that_goes_and_comes_back(tmp_path: Path, around: Surroundings) -> None:
    certificate, key, files = pair(tmp_path, around)
    context = Renewed(files, listing, "smtps")
    key.unlink()
    around.now += LOOK_INTERVAL
    assert context.current() == "cert 1"
    assert not around.said  # perhaps its successor is on the way
    around.now += LOOK_INTERVAL
    assert context.current() == "cert 1"
    assert len(around.said) == 1
    assert f"open {key}: No such file or directory" in around.said[0]
    put(certificate, "cert 2\n", when=around.now)
    put(key, "key 2\n", when=around.now)
    around.now += 3600
    assert context.current() == "cert 2"


def test_mistakes_at_first_are_the_callers_affair(tmp_path: Path, around: Surroundings) -> None:
    certificate, _, files = pair(tmp_path, around)
    put(certificate, "cert 2\n")
    with pytest.raises(ConfigError, match="do not match"):
        Renewed(files, listing, "smtps")


def test_chains_that_a_table_names(tmp_path: Path, around: Surroundings) -> None:
    def check(octets: bytes) -> None:
        if b"bad" in octets:
            raise ValueError("no certificate")

    first, second = tmp_path / "first.pem", tmp_path / "second.pem"
    put(first, "one\n")
    put(second, "two\n")
    chains = NamedChains(around.env, "tls_server_sni_maps", check, (ValueError,), kept=1)
    assert chains.current(f"{first}, {second}") == b"one\ntwo\n"
    put(second, "better\n", when=around.now)
    around.now += 3600
    assert chains.current(f"{first}, {second}") == b"one\nbetter\n"
    put(second, "bad\n", when=around.now)
    around.now += 3600
    for _ in range(2):
        assert chains.current(f"{first}, {second}") == b"one\nbetter\n"
    assert around.said == [
        f"tls_server_sni_maps: {first}, {second}: no certificate, using the certificate and key it had before"
    ]
    assert chains.current(str(first)) == b"one\n"  # the other one is kept no more
    assert chains.current(f"{first}, {second}") == b"one\nbad\n"
    with pytest.raises(ConfigError, match="No such file"):
        chains.current(f"{tmp_path}/none.pem")


def test_key_material_is_in_no_repr(tmp_path: Path, around: Surroundings) -> None:
    _, _, files = pair(tmp_path, around)
    assert "key 1" not in repr(files) + repr(list(files.chains("smtpd_tls")))
