"""Verification by TLSA records, before every kind of chain."""

import datetime
import hashlib
import random
import ssl
from collections.abc import Iterator

import pytest
import trustme

from gatepost.tls import dane
from gatepost.tls.dane import DaneOffer, enable_dane, matched, peer_name
from gatepost.tls.der import public_key_info
from gatepost.tls.openssl_dane import native_dane
from gatepost.tls.sessions import take_session
from gatepost.tls.tlsa import TlsaRecord
from gatepost.tls.values import BadTlsValue, Chain, LibraryValues
from gatepost.tls.verification import Verification, verification
from tests.tls.handshakes import client, key_of, no_warning, server, shake

ROOT = trustme.CA(organization_name="Root")
MIDDLE = ROOT.create_child_ca()
STRANGER = trustme.CA(organization_name="Stranger")
PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
LEAVES = {
    "leaf": MIDDLE.issue_cert("mx.example", "*.below.example", common_name="mx.example"),
    "expired": MIDDLE.issue_cert("mx.example", not_after=PAST),
    "other": MIDDLE.issue_cert("other.example"),
    "forged": STRANGER.issue_cert("mx.example"),
}


def der(pem: bytes) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.decode())


DER = {name: der(leaf.cert_chain_pems[0].bytes()) for name, leaf in LEAVES.items()}
DER |= {"middle": der(MIDDLE.cert_pem.bytes()), "root": der(ROOT.cert_pem.bytes())}


def record(text: str) -> TlsaRecord:
    """`311 leaf`: the record of that kind for that certificate, `311 00`: one with these octets."""
    (usage, selector, matching), _, name = text[:3], text[3], text[4:]
    if name not in DER:
        return TlsaRecord(int(usage), int(selector), int(matching), bytes.fromhex(name))
    octets = public_key_info(DER[name]) if selector == "1" else DER[name]
    if matching != "0":
        octets = hashlib.new({"1": "sha256", "2": "sha512", "9": "sha384"}[matching], octets).digest()
    return TlsaRecord(int(usage), int(selector), int(matching), octets)


def shows(name: str, *, root: bool = True) -> ssl.SSLContext:
    """A server with this certificate and the chain behind it."""
    leaf = LEAVES[name]
    pem = b"".join((key_of(leaf), *(each.bytes() for each in leaf.cert_chain_pems)))
    return server(chains=(Chain(name="x.pem", certificates=pem + (ROOT.cert_pem.bytes() if root else b"")),))


def judged(
    records: str, name: str = "leaf", *, root: bool = True, names: tuple[str, ...] = ("mx.example",), digests: str = ""
) -> tuple[Verification, bool, str, list[str]]:
    """What is found of the server, were there usable records, name and record that matched, warnings."""
    warnings: list[str] = []
    library = LibraryValues(tls_dane_digests=digests) if digests else LibraryValues()
    found = [record(each) for each in records.split(", ")]
    offer = DaneOffer(found, names, None, warnings.append)
    _, ours = shake(shows(name, root=root), client(dane=True, library=library), offer=offer)
    return verification(ours), offer.usable, f"{peer_name(ours)} {matched(ours)}", warnings


ZERO, LONG = "00" * 32, "00" * 64
NO_MATCH = "certificate verification failed for {peer}: num=65:no matching DANE TLSA records"


@pytest.mark.parametrize("kind", ["300", "301", "302", "310", "311", "312"])
def test_end_entity(kind: str) -> None:
    for name in ("leaf", "expired", "other", "forged"):  # neither times nor names nor authorities matter
        found, usable, line, warnings = judged(f"{kind} {name}", name)
        assert (found, usable, warnings) == (Verification(True, True), True, [])
        assert line == f" Matched DANE EE certificate at depth 0: {record(f'{kind} {name}')}"
        found, usable, line, _ = judged(f"{kind} other" if name != "other" else f"{kind} leaf", name)
        assert (found.trusted, usable, line) == (False, True, " ")
        assert found.complaint == f"server {NO_MATCH}"


@pytest.mark.parametrize("kind", ["200", "201", "202", "210", "211", "212"])
def test_trust_anchor(kind: str) -> None:
    for anchor, depth in (("root", 2), ("middle", 1)):
        found, usable, line, _ = judged(f"{kind} {anchor}")
        assert (found, usable) == (Verification(True, True), True)
        assert line.startswith("mx.example Matched DANE TA ") and f" at depth {depth}: 2 {kind[1]}" in line
        assert not judged(f"{kind} {anchor}", "forged")[0].trusted
        expired = judged(f"{kind} {anchor}", "expired")[0]
        assert not expired.trusted and expired.complaint.endswith("certificate has expired")
        other = judged(f"{kind} {anchor}", "other")[0]
        assert not other.trusted and other.complaint.endswith("num=62:hostname mismatch")


@pytest.mark.parametrize("names", [("no.example", "mx.example"), ("x.below.example",), ("a.b.below.example",)])
def test_one_of_the_names_is_enough(names: tuple[str, ...]) -> None:
    assert judged("211 root", names=names)[0].trusted


def test_wildcards_may_be_for_one_label_only() -> None:
    offer = DaneOffer([record("211 root")], ["a.b.below.example"], None, no_warning, multiple_labels=False)
    _, ours = shake(shows("leaf"), client(dane=True), offer=offer)
    assert not verification(ours).trusted


@pytest.mark.parametrize("kind", ["200", "210"])
def test_an_anchor_need_not_be_sent_if_the_record_has_all_of_it(kind: str) -> None:
    assert judged(f"{kind} root", root=False)[0].trusted
    assert not judged(f"{kind} root", "forged", root=False)[0].trusted
    assert not judged(f"{kind} root", "other", root=False)[0].trusted


def test_the_digest_of_an_anchor_that_is_not_sent_is_of_no_help() -> None:
    assert not judged("211 root", root=False)[0].trusted


def test_a_leaf_is_no_anchor_and_an_anchor_no_leaf() -> None:
    assert not judged("211 leaf")[0].trusted
    assert not judged("311 root")[0].trusted


def test_one_record_of_several_is_enough() -> None:
    assert judged(f"311 {ZERO}, 311 leaf")[0].trusted
    assert judged("211 root, 311 other", "other")[0].trusted  # whose name is not right for the anchor
    assert judged("211 root, 301 expired", "expired")[0].trusted


def test_the_strongest_digest_alone_counts() -> None:
    """RFC 7671 9: for each usage and selector."""
    assert not judged(f"311 leaf, 312 {LONG}")[0].trusted
    assert judged(f"311 {ZERO}, 312 leaf")[0].trusted
    assert judged(f"311 leaf, 302 {LONG}")[0].trusted
    assert judged(f"310 leaf, 312 {LONG}")[0].trusted
    assert judged(f"311 leaf, 312 {LONG}", digests="sha256 sha512")[0].trusted
    assert not judged(f"311 leaf, 319 {'00' * 48}", digests="sha384=9, sha256")[0].trusted


@pytest.mark.parametrize(
    "bad", ["411 " + ZERO, "321 " + ZERO, "313 " + ZERO, "311 00ff", "312 " + ZERO, "200 00ff", "310 00ff", "311 "]
)
def test_records_of_no_use(bad: str) -> None:
    found, usable, _, warnings = judged(bad)
    without = "all TLSA records unusable, fallback to unauthenticated TLS"
    assert (found.trusted, usable, warnings) == (False, False, [f"unusable TLSA RR: {record(bad)}", without])
    found, usable, _, warnings = judged(f"{bad}, 311 leaf")
    assert (found.trusted, usable, len(warnings)) == (True, True, 1)


def test_rubbish_verifies_nobody() -> None:
    chance = random.Random(7)
    context, ours = client(dane=True), shows("leaf")
    for _ in range(40):
        records = []
        for _ in range(chance.randrange(1, 5)):
            whole = chance.choice((DER["leaf"], DER["root"], public_key_info(DER["leaf"]), chance.randbytes(64)))
            damaged = bytearray(whole)
            damaged[chance.randrange(len(damaged))] ^= chance.randrange(1, 256)
            cut = bytes(damaged[: chance.choice((len(damaged), 32, 64, chance.randrange(len(damaged))))])
            records.append(TlsaRecord(chance.choice((2, 3, 0, 255)), chance.randrange(4), chance.randrange(4), cut))
        _, theirs = shake(ours, context, offer=DaneOffer(records, ("mx.example",), None, lambda text: None))
        assert not verification(theirs).trusted, records


def test_digests_that_are_not_listed_are_of_no_use() -> None:
    assert judged(f"311 leaf, 312 {LONG}", digests="sha256")[0].trusted
    assert not judged("312 leaf", digests="sha256")[1]
    assert judged("319 leaf", digests="sha384=9")[0].trusted


@pytest.mark.parametrize(
    ("digests", "told"),
    [
        ("sha256 foo", "digest algorithm foo needs an explicit number"),
        ("sha256, foo=9", 'digest algorithm "foo"(9) unknown'),
        ("sha384=2 sha256", "matching type 2 can only be sha512"),
        ("sha512 sha256 sha512", "matching type 2 specified more than once"),
        ("sha256 sha384=x", "Invalid matching type number in tls_dane_digests: sha384=x"),
        ("sha256 sha384=-1", "Invalid matching type number in tls_dane_digests: sha384=-1"),
        ("sha256 sha384=256", "Invalid matching type number in tls_dane_digests: sha384=256"),
        ("sha256 sha384=0", "Reserved matching type number in tls_dane_digests: sha384=0"),
    ],
)
def test_bad_digests_leave_the_others_in_use(digests: str, told: str) -> None:
    """All these lines are those of Postfix 3.7."""
    warnings: list[str] = []
    context = client(dane=True, library=LibraryValues(tls_dane_digests="SHA512="))
    enable_dane(context, digests, warnings.append)
    assert [line.removeprefix("tls_dane_digests: ") for line in warnings] == [told]
    offer = DaneOffer([record("311 leaf")], (), None, no_warning)
    assert verification(shake(shows("leaf"), context, offer=offer)[1]).trusted


def test_a_session_keeps_what_was_found() -> None:
    context, ours = client(dane=True), shows("leaf")
    for records, trusted in (("311 leaf", True), ("311 other", False)):
        found = [record(records)]
        _, first = shake(ours, context, offer=DaneOffer(found, (), None, no_warning))
        _, again = shake(ours, context, offer=DaneOffer(found, (), take_session(first), no_warning))
        assert again.session_reused
        assert (verification(first).trusted, verification(again).trusted) == (trusted, trusted)
        assert matched(again) == ""


def test_authorities_do_not_matter(tmp_path: object) -> None:
    path = f"{tmp_path}/ca.pem"
    ROOT.cert_pem.write_to_path(path)
    offer = DaneOffer([record(f"311 {ZERO}"), record(f"211 {ZERO}")], ("mx.example",), None, no_warning)
    _, ours = shake(shows("leaf"), client(dane=True, CAfile=path), offer=offer)
    assert not verification(ours).trusted


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An OpenSSL without DANE."""
    monkeypatch.setattr(dane, "native_dane", lambda: None)
    yield


def test_without_openssls_dane_nothing_is_verified(absent: None) -> None:
    assert not dane.available()
    with pytest.raises(BadTlsValue, match="OpenSSL DANE initialization failed"):
        client(dane=True)
    with pytest.raises(ValueError, match="error enabling DANE"):
        DaneOffer([record("311 leaf")], (), None, no_warning).offer(client().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO()))


def test_it_is_there() -> None:
    assert native_dane() is not None and dane.available()
