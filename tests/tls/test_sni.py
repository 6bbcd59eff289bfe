import base64
import ssl

import pytest
from cryptography import x509

from gatepost.tls import sni
from gatepost.tls.summary import summarize
from gatepost.tls.values import BadTlsValue, ServerValues
from tests.tls.handshakes import authority, certificates_of, chain, client, key_of, leaf, server, shake


def pem(kind: str, name: str) -> bytes:
    return key_of(leaf(kind, name)) + certificates_of(leaf(kind, name))


class Table:
    def __init__(self) -> None:
        self.values = {"foo.example": pem("ec", "foo.example"), ".sub.example": pem("ec", "sub.example")}
        self.asked: list[str] = []
        self.told: list[str] = []
        self.context = server()
        sni.serve_names(self.context, ServerValues(), self.find, self.told.append, cached=2)

    def find(self, name: str) -> bytes | None:
        self.asked.append(name)
        if name == "broken.example":
            raise sni.SniUnavailable
        return self.values.get(name)

    def shake(self, name: str | None) -> tuple[ssl.SSLObject, str]:
        """The server's connection, and the name in the certificate that the client has seen."""
        ours, theirs = shake(self.context, client(), name=name)
        seen = x509.load_der_x509_certificate(theirs.getpeercert(True) or b"")
        return ours, str(seen.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


@pytest.mark.parametrize(
    ("name", "shown", "keys"),
    [
        ("foo.example", "foo.example", ["foo.example"]),
        ("FOO.example", "foo.example", ["foo.example"]),
        ("x.sub.example", "sub.example", ["x.sub.example", ".sub.example"]),
        ("y.x.sub.example", "sub.example", ["y.x.sub.example", ".x.sub.example", ".sub.example"]),
    ],
)
def test_a_name_has_its_certificate(name: str, shown: str, keys: list[str]) -> None:
    table = Table()
    ours, seen = table.shake(name)
    assert seen == shown and table.asked == keys
    assert sni.sni_name(ours) == name and not sni.sni_remark(ours)
    assert summarize(ours).server_signature == "ECDSA"


@pytest.mark.parametrize(
    ("name", "remark"),
    [
        ("sub.example", "TLS SNI sub.example from {peer} not matched, using default chain"),
        ("_x", "TLS SNI _x from {peer} not matched, using default chain"),
        ("xn--ls8h.example", "TLS SNI xn--ls8h.example from {peer} not matched, using default chain"),
        ("-bad-.example", "TLS SNI from {peer} is invalid: -bad-.example"),
        ("a b{c}.example", "TLS SNI from {peer} is invalid: a b?c?.example"),
        (None, ""),
    ],
)
def test_others_have_the_default(name: str | None, remark: str) -> None:
    table = Table()
    ours, seen = table.shake(name)
    assert seen == "mail.example"
    assert sni.sni_name(ours) == "" and sni.sni_remark(ours) == remark and not table.told


def test_a_chain_that_changes_is_taken_up() -> None:
    table = Table()
    assert table.shake("foo.example")[1] == "foo.example"
    table.values["foo.example"] = pem("ec", "new.example")
    assert table.shake("foo.example")[1] == "new.example"


def test_few_contexts_are_kept() -> None:
    table = Table()
    for number in range(5):
        table.values["foo.example"] = pem("ec", f"n{number}.example")
        assert table.shake("foo.example")[1] == f"n{number}.example"


def test_a_chain_that_cannot_be_used_ends_the_handshake() -> None:
    table = Table()
    table.values["foo.example"] = key_of(leaf("rsa")) + certificates_of(leaf("ec"))
    with pytest.raises(ssl.SSLError):
        table.shake("foo.example")
    assert table.told[0] == "key at index 1 in SNI data for foo.example does not match next certificate"
    last = "error loading private keys and certificates from: SNI data for foo.example: aborting TLS handshake"
    assert table.told[-1] == last


def test_a_table_that_cannot_tell_ends_the_handshake() -> None:
    table = Table()
    with pytest.raises(ssl.SSLError):
        table.shake("broken.example")
    assert not table.told  # who could not tell has said why


def test_sessions_of_names_are_resumed() -> None:
    table, theirs = Table(), client()
    _, other = shake(table.context, theirs, name="foo.example")
    ours, _ = shake(table.context, theirs, name="foo.example", session=other.session)
    assert ours.session_reused


def test_values() -> None:
    assert sni.map_value(base64.encodebytes(b"pem" * 100)) == b"pem" * 100
    for bad in (b"/etc/ssl/x.pem", b"====", b"\xff"):
        with pytest.raises(BadTlsValue):
            sni.map_value(bad)
    assert authority() and chain()


def test_a_chain_is_checked_without_being_served() -> None:
    sni.check_chain(pem("ec", "foo.example"), ServerValues())
    with pytest.raises(BadTlsValue, match="SNI data for a server name"):
        sni.check_chain(b"no chain", ServerValues())
