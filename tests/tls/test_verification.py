import datetime
import ssl
from typing import Any

import pytest

from gatepost.tls.openssl import VerifyError
from gatepost.tls.values import Chain
from gatepost.tls.verification import Verification, _complaint, looked_at, status, verification
from tests.tls.handshakes import authority, certificates_of, chain, client, key_of, server, shake

FAILED = "certificate verification failed for {peer}"


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority().cert_pem.write_to_path(str(path))
    return str(path)


def judged(own: Chain, version: str = ">=TLSv1", **values: Any) -> tuple[Verification, Verification]:
    """The client's opinion of a server, and a server's of the same as a client."""
    _, other = shake(server(chains=(own,)), client(protocols=version, **values))
    asked = {"ccert_verifydepth" if name == "scert_verifydepth" else name: value for name, value in values.items()}
    ours, _ = shake(server(ask_ccert=True, **asked), client(protocols=version, chains=(own,)))
    return verification(other), verification(ours)


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_trusted(ca: str, version: str) -> None:
    for found in judged(chain(), version, CAfile=ca):
        assert found == Verification(True, True)
        assert status(found) == "Trusted" and status(found, matched=True) == "Verified"


def test_what_was_looked_at_is_remembered_where_it_is_to_be_told(ca: str) -> None:
    for known, seen in ((True, [(1, 1), (0, 1)]), (False, [(0, 0), (0, 0), (0, 1)])):
        own = chain(known=known)
        ours, theirs = shake(
            server(chains=(own,), ask_ccert=True, CAfile=ca, telling=True), client(chains=(own,), CAfile=ca)
        )
        assert [(depth, good) for depth, good, _ in looked_at(ours)] == seen
        assert looked_at(ours)[-1][2].endswith("/CN=mail.example")
        assert looked_at(theirs) == ()


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_untrusted_issuer(ca: str, version: str) -> None:
    for found in judged(chain(known=False), version, CAfile=ca):
        assert found.present and not found.trusted and status(found) == "Untrusted"
        assert found.complaint.startswith(f"{FAILED}: untrusted issuer /O=Other CA/OU=Testing CA")


def test_nobody_is_known() -> None:
    for found in judged(chain()):
        assert found.complaint.startswith(f"{FAILED}: untrusted issuer /O=Test CA/OU=Testing CA")


def test_expired(ca: str) -> None:
    made = authority().issue_cert("mail.example", not_after=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    own = Chain(name="old", certificates=key_of(made) + certificates_of(made))
    told = [found.complaint for found in judged(own, CAfile=ca)]
    assert told == [f"{whose} {FAILED}: certificate has expired" for whose in ("server", "client")]


def test_not_yet(ca: str) -> None:
    made = authority().issue_cert("mail.example", not_before=datetime.datetime(2190, 1, 1, tzinfo=datetime.UTC))
    own = Chain(name="new", certificates=key_of(made) + certificates_of(made))
    told = [found.complaint for found in judged(own, CAfile=ca)]
    assert told == [f"{whose} {FAILED}: certificate not yet valid" for whose in ("server", "client")]


def test_a_chain_that_is_too_long(ca: str) -> None:
    made = authority().create_child_ca().create_child_ca().issue_cert("mail.example")
    own = Chain(name="long", certificates=key_of(made) + certificates_of(made))
    assert all(found.trusted for found in judged(own, CAfile=ca, scert_verifydepth=3))
    for found in judged(own, CAfile=ca, scert_verifydepth=2):
        assert found.complaint == f"{FAILED}: certificate chain longer than limit(2)" and not found.trusted


def test_self_signed() -> None:
    authority_itself = authority()
    pem = authority_itself.private_key_pem.bytes() + authority_itself.cert_pem.bytes()
    for found in judged(Chain(name="own", certificates=pem)):
        assert found.complaint == f"{FAILED}: self-signed certificate"


def test_no_certificate() -> None:
    ours, _ = shake(server(ask_ccert=True), client())
    assert verification(ours) == Verification(False, False)
    assert status(verification(ours)) == "Anonymous"


def test_resumed_sessions(ca: str) -> None:
    for own, trusted in ((chain(), True), (chain(known=False), False)):
        ours, theirs = server(chains=(own,)), client(CAfile=ca)
        _, first = shake(ours, theirs)
        _, again = shake(ours, theirs, session=first.session)
        assert again.session_reused
        assert verification(again) == Verification(True, trusted)


@pytest.mark.parametrize(
    ("code", "depth", "text"),
    [
        (26, 0, FAILED + ": not designated for use as a server certificate"),
        (26, 1, FAILED + ": not designated for use as a CA certificate"),
        (27, 0, FAILED + ": not trusted by local or TLSA policy"),
        (10, 1, "CA " + FAILED + ": certificate has expired"),
        (20, 0, FAILED + ": untrusted issuer <unknown>"),
        (7, 0, "server " + FAILED + ": num=7:the words"),
    ],
)
def test_words(code: int, depth: int, text: str) -> None:
    assert _complaint(VerifyError(code, depth, "", 9), "server", "the words") == text


def test_an_issuer_cannot_write_into_our_line() -> None:
    found = _complaint(VerifyError(20, 0, "/CN={peer}", 9), "server", "")
    assert found == FAILED + ": untrusted issuer /CN=?peer?"


def test_the_context_of_somebody_else() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _, other = shake(server(), context)
    assert verification(other) == Verification(True, False)
