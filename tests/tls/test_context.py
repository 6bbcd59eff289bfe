import ssl
from pathlib import Path
from typing import Any

import pytest

from gatepost.tls.context import client_context, server_context
from gatepost.tls.values import BadTlsValue, ClientValues, LibraryValues, ServerValues
from gatepost.tls.verification import verification
from tests.tls.handshakes import (
    authority,
    chain,
    client,
    leaf,
    no_warning,
    server,
    shake,
    stranger,
    warnings_of,
)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority().cert_pem.write_to_path(str(path))
    return str(path)


@pytest.mark.parametrize(
    ("ours", "theirs", "version"),
    [
        (">=TLSv1", ">=TLSv1", "TLSv1.3"),
        (">=TLSv1", "<=TLSv1.2", "TLSv1.2"),
        ("TLSv1.2", ">=TLSv1", "TLSv1.2"),
        (">=TLSv1", "<=TLSv1", "TLSv1"),
        (">=TLSv1, !TLSv1.3, !TLSv1.2", ">=TLSv1", "TLSv1.1"),
        (">=0x0305", ">=TLSv1", "TLSv1.3"),
        ("", ">=TLSv1", "TLSv1.3"),
    ],
)
def test_protocols(ours: str, theirs: str, version: str) -> None:
    connection, _ = shake(server(protocols=ours), client(protocols=theirs))
    assert connection.version() == version


@pytest.mark.parametrize(("ours", "theirs"), [(">=TLSv1.3", "<=TLSv1.2"), (">=TLSv1.3 <=TLSv1.2", "")])
def test_no_protocol(ours: str, theirs: str) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol"):
        shake(server(protocols=ours), client(protocols=theirs))


def test_ciphers() -> None:
    old = "<=TLSv1.2"
    connection, _ = shake(server(exclude_ciphers="AES256"), client(protocols=old))
    assert connection.cipher()[0] == "ECDHE-RSA-CHACHA20-POLY1305"  # type: ignore[index]
    connection, _ = shake(server(ciphers="null"), client(protocols=old, ciphers="null"))
    assert connection.cipher()[0] == "ECDHE-RSA-NULL-SHA"  # type: ignore[index]


@pytest.mark.parametrize("preempt", [True, False])
def test_whose_preference_counts(preempt: bool) -> None:
    library = LibraryValues(tls_preempt_cipherlist=preempt, tls_medium_cipherlist="AES128-SHA256:AES256-SHA256")
    theirs = client(protocols="<=TLSv1.2", library=LibraryValues(tls_medium_cipherlist="AES256-SHA256:AES128-SHA256"))
    connection, _ = shake(server(library=library), theirs)
    assert connection.cipher()[0] == ("AES128-SHA256" if preempt else "AES256-SHA256")  # type: ignore[index]


def test_anonymous_ciphers_without_certificate() -> None:
    connection, other = shake(server(chains=()), client(protocols="<=TLSv1.2", exclude_ciphers=""))
    assert connection.cipher()[0].startswith(("ADH-", "AECDH-"))  # type: ignore[index]
    assert other.getpeercert(True) is None
    with pytest.raises(ssl.SSLError):
        shake(server(chains=(), ask_ccert=True), client(protocols="<=TLSv1.2", exclude_ciphers=""))


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ({"protocols": "!SSLv2, FOO"}, ('Invalid TLS protocol list "!SSLv2, FOO": disabling TLS support',)),
        ({"ciphers": "foo"}, ('invalid cipher grade: "foo"',)),
        (
            {"exclude_ciphers": "ALL"},
            (
                'error setting cipher grade: "medium"',
                "TLS library problem: error:0A0000B9:SSL routines::no cipher match",
            ),
        ),
        (
            {"CAfile": "/nowhere"},
            (
                'cannot load Certification Authority data, CAfile="/nowhere": disabling TLS support',
                "TLS library problem: error:80000002:system library::No such file or directory",
            ),
        ),
        (
            {"CAfile": "/dev/null", "CApath": "/tmp"},
            (
                'cannot load Certification Authority data, CAfile="/dev/null", CApath="/tmp": disabling TLS support',
                "TLS library problem: error:05800088:x509 certificate routines::no certificate or crl found",
            ),
        ),
    ],
)
def test_bad_values(values: dict[str, Any], lines: tuple[str, ...]) -> None:
    with pytest.raises(BadTlsValue) as bad:
        server_context(ServerValues(**values), no_warning)
    assert bad.value.lines == lines
    with pytest.raises(BadTlsValue) as bad:
        client_context(ClientValues(**values), no_warning)
    assert bad.value.lines == lines


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"dh1024_param": b"x", "dh1024_param_file": "/dh"}, 'error decoding DH parameters from file "/dh" -- using'),
        ({"library": LibraryValues(tls_eecdh_auto_curves="FOO X25519")}, 'ignoring unknown ECDHE curve "FOO"'),
        ({"library": LibraryValues(tls_ssl_options="FOO")}, 'unknown tls_ssl_options value "FOO" in "FOO"'),
        (
            {"library": LibraryValues(tls_session_ticket_cipher="aes-256-gcm")},
            "tls_session_ticket_cipher: invalid value: aes-256-gcm; session tickets disabled",
        ),
    ],
)
def test_what_is_only_warned_about(values: dict[str, Any], line: str) -> None:
    told = warnings_of(lambda warn: server_context(ServerValues(**values), warn))
    assert len(told) == 1 and told[0].startswith(line)


def test_groups() -> None:
    one = server(library=LibraryValues(tls_eecdh_auto_curves="secp384r1 X448"))
    shake(one, client(library=LibraryValues(tls_eecdh_auto_curves="X25519 X448")))
    with pytest.raises(ssl.SSLError):
        shake(one, client(library=LibraryValues(tls_eecdh_auto_curves="X25519")))


@pytest.mark.parametrize("dh", [b"", b"own"])
def test_finite_field_key_exchange(dh: bytes) -> None:
    import subprocess

    command = ["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe3072"]
    octets = subprocess.run(command, capture_output=True, check=True).stdout if dh else b""
    theirs = client(protocols="<=TLSv1.2")
    theirs.set_ciphers("kDHE+AESGCM:@SECLEVEL=0")
    connection, _ = shake(server(dh1024_param=octets, dh1024_param_file="dh.pem"), theirs)
    assert connection.cipher()[0] == "DHE-RSA-AES256-GCM-SHA384"  # type: ignore[index]


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("known", [True, False])
def test_any_client_certificate_is_taken(ca: str, version: str, known: bool) -> None:
    """Who is trusted is told by `verification`, and a stranger is served."""
    own = chain("rsa", "client.example", known)
    connection, _ = shake(server(ask_ccert=True, CAfile=ca), client(protocols=version, chains=(own,)))
    assert connection.getpeercert(True) is not None
    connection, _ = shake(server(CAfile=ca), client(protocols=version, chains=(own,)))
    assert connection.getpeercert(True) is None


def test_authorities_may_come_as_octets() -> None:
    """Of a file that only another process can open."""
    octets = authority().cert_pem.bytes()
    own = chain("rsa", "client.example")
    ours, theirs = shake(
        server(ask_ccert=True, CAfile="/nowhere", CA=octets), client(CAfile="/nowhere", CA=octets, chains=(own,))
    )
    assert verification(ours).trusted and verification(theirs).trusted


def test_a_client_certificate_may_be_required(ca: str) -> None:
    strict = server(req_ccert=True, CAfile=ca)
    with pytest.raises(ssl.SSLError):
        shake(strict, client(protocols="TLSv1.2"))
    shake(strict, client(protocols="TLSv1.2", chains=(chain("rsa", "client.example", False),)))
    shake(server(ask_ccert=True), client(protocols="TLSv1.2"))


def test_any_server_is_taken() -> None:
    for name in (None, "mail.example", "another.example"):
        _, other = shake(server(chains=(chain(known=False),)), client(), name=name)
        assert other.getpeercert(True) is not None


def test_no_compression_no_renegotiation() -> None:
    for context in (server(), client()):
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.options & ssl.OP_NO_COMPRESSION


def test_workarounds_may_be_disabled() -> None:
    assert client().options & ssl.OP_ALL == ssl.OP_ALL
    assert not client(library=LibraryValues(tls_disable_workarounds="0xFFFFFFFF")).options & ssl.OP_ALL
    assert not client(library=LibraryValues(tls_disable_workarounds="0xFFFFFFFF")).options & 4
    assert client(library=LibraryValues(tls_disable_workarounds="0xFFFFFFFF")).options & ssl.OP_NO_COMPRESSION


def test_trust_anchors_need_not_be_self_signed() -> None:
    child = authority().create_child_ca()
    made = child.issue_cert("mail.example")
    from gatepost.tls.values import Chain
    from gatepost.tls.verification import verification
    from tests.tls.handshakes import certificates_of, key_of

    own = Chain(name="x", certificates=key_of(made) + certificates_of(made))
    for anchor, trusted in ((child.cert_pem, True), (stranger().cert_pem, False), (made.cert_chain_pems[0], True)):
        _, other = shake(server(chains=(own,)), client(trust_anchors=anchor.bytes()))
        assert verification(other).trusted is trusted
    with pytest.raises(BadTlsValue, match="trust anchors"):
        client(trust_anchors=b"hello\n")


def test_system_authorities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ca: str) -> None:
    """tls_append_default_CA: the system's beside, or instead of, our own."""
    from gatepost.tls.verification import verification

    foreign = tmp_path / "foreign.pem"
    stranger().cert_pem.write_to_path(str(foreign))
    monkeypatch.setenv("SSL_CERT_FILE", ca)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    append = LibraryValues(tls_append_default_CA=True)
    for values, trusted in (
        ({"library": append}, True),
        ({}, False),
        ({"CAfile": str(foreign), "library": append}, True),
        ({"CAfile": str(foreign)}, False),
    ):
        _, other = shake(server(), client(**values))
        assert verification(other).trusted is trusted
    assert leaf()
