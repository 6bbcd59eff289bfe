"""The texts are those that Postfix 3.7.11 has written for the same files, but for the lines of OpenSSL's source."""

import os
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.tls.chain import load_chains, load_dh_parameters
from gatepost.tls.values import BadTlsValue, Chain
from tests.tls.handshakes import certificates_of, client, key_of, leaf, shake

_LAST = "error loading private keys and certificates from: c.pem: disabling TLS support"
_OTHER_KIND = (
    "TLS library problem: error:03000065:digital envelope routines::different key types",
    "TLS library problem: error:0A000120:SSL routines::private key mismatch",
)


def rsa_key() -> bytes:
    return key_of(leaf("rsa"))


def rsa() -> bytes:
    return certificates_of(leaf("rsa"))


def ec_key() -> bytes:
    return key_of(leaf("ec"))


def ec() -> bytes:
    return certificates_of(leaf("ec"))


def broken() -> bytes:
    return rsa().replace(b"\nMII", b"\nMIJ", 1)


def parameters() -> bytes:
    return b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


def encrypted() -> bytes:
    return subprocess.run(
        ["openssl", "pkey", "-aes128", "-passout", "pass:x"], input=rsa_key(), capture_output=True, check=True
    ).stdout


def load(*chains: Chain) -> tuple[ssl.SSLContext, list[str]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    told: list[str] = []
    load_chains(context, chains, told.append)
    return context, told


def files(*contents: bytes) -> list[Chain]:
    return [Chain(name="c.pem" if at == 0 else f"c{at}.pem", certificates=each) for at, each in enumerate(contents)]


def shown(context: ssl.SSLContext, *, kind: str) -> bool:
    """Does it serve a client that takes only such certificates?"""
    cipher = {"rsa": "aRSA", "ec": "aECDSA"}[kind]
    theirs = client(protocols="<=TLSv1.2")
    theirs.set_ciphers(cipher)
    try:
        shake(context, theirs)
    except ssl.SSLError:
        return False
    return True


def test_two_kinds_in_one_file_and_in_two() -> None:
    for chains in (files(rsa_key() + rsa() + ec_key() + ec()), files(rsa_key() + rsa(), ec_key() + ec())):
        context, told = load(*chains)
        assert not told and shown(context, kind="rsa") and shown(context, kind="ec")


def test_what_one_file_begins_the_next_may_go_on_with() -> None:
    context, _ = load(*files(rsa_key(), rsa()))
    assert shown(context, kind="rsa") and not shown(context, kind="ec")


def test_other_objects_are_ignored() -> None:
    context, told = load(*files(parameters() + ec_key() + parameters() + ec()))
    assert told == ["loading c.pem: ignoring PEM type: EC PARAMETERS"] * 2
    assert shown(context, kind="ec")


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (lambda: rsa() + rsa_key(), ("error loading chain from c.pem: key not first",)),
        (lambda: rsa_key() + ec(), ("key at index 1 in c.pem does not match next certificate", *_OTHER_KIND)),
        (
            lambda: rsa_key() + rsa() + ec_key() + rsa(),
            ("key at index 3 in c.pem does not match next certificate", *_OTHER_KIND),
        ),
        (
            lambda: rsa_key() + certificates_of(leaf("rsa", "other.example")),
            ("key at index 1 in c.pem does not match next certificate", _OTHER_KIND[1]),
        ),
        (rsa_key, ("No certs for key at index 1 in c.pem",)),
        (lambda: rsa_key() + rsa() + ec_key(), ("No certs for key at index 3 in c.pem",)),
        (
            lambda: rsa_key() + ec_key() + ec(),
            ("error loading certificate chain: key at index 1 in c.pem not followed by a certificate",),
        ),
        (lambda: b"", ("No PEM data in c.pem",)),
        (lambda: b"hello\n", ("No PEM data in c.pem",)),
    ],
)
def test_what_is_wrong_with_a_chain_file(content: Callable[[], bytes], lines: tuple[str, ...]) -> None:
    with pytest.raises(BadTlsValue) as bad:
        load(*files(content()))
    assert bad.value.lines == (*lines, _LAST)


@pytest.mark.parametrize("number", [2, 3])
def test_a_certificate_that_is_none(number: int) -> None:
    content = rsa_key() + (rsa() if number == 3 else b"") + broken()
    with pytest.raises(BadTlsValue) as bad:
        load(*files(content))
    first, problem, last = bad.value.lines
    assert first == f"error loading certificate (PEM object number {number}) from c.pem" and last == _LAST
    assert problem.startswith("TLS library problem: ")


def test_a_key_that_is_none() -> None:
    with pytest.raises(BadTlsValue) as bad:
        load(*files(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" + rsa()))
    assert bad.value.lines[0] == "error loading private key (PEM object number 1) from c.pem"


def test_encrypted_keys_are_no_keys() -> None:
    with pytest.raises(BadTlsValue) as bad:
        load(*files(encrypted() + rsa()))
    assert bad.value.lines == ("error loading chain from c.pem: key not first", _LAST)


def pair(certificates: bytes, key: bytes, name: str = "k.pem", algorithm: str = "RSA") -> Chain:
    return Chain(name="c.pem", certificates=certificates, key_name=name, key=key, algorithm=algorithm)


def test_pairs() -> None:
    context, _ = load(pair(rsa(), rsa_key()), pair(ec(), ec_key(), algorithm="ECDSA"))
    assert shown(context, kind="rsa") and shown(context, kind="ec")


@pytest.mark.parametrize(
    ("chain", "lines"),
    [
        (
            lambda: pair(rsa(), ec_key()),
            ("RSA private key in k.pem does not match public key in c.pem: disabling TLS support",),
        ),
        (
            lambda: pair(ec(), rsa_key(), algorithm="ECDSA"),
            ("ECDSA private key in k.pem does not match public key in c.pem: disabling TLS support",),
        ),
        (
            lambda: pair(rsa(), key_of(leaf("rsa", "other.example"))),
            (
                'cannot get RSA private key from file "k.pem": disabling TLS support',
                "TLS library problem: error:05800074:x509 certificate routines::key values mismatch",
            ),
        ),
    ],
)
def test_what_is_wrong_with_a_pair(chain: Callable[[], Chain], lines: tuple[str, ...]) -> None:
    with pytest.raises(BadTlsValue) as bad:
        load(chain())
    assert bad.value.lines == lines


@pytest.mark.parametrize(
    ("certificates", "key", "what"),
    [(b"hello\n", b"", "certificate"), (b"", b"", "certificate"), (None, b"hello\n", "private key")],
)
def test_files_of_a_pair_that_hold_nothing(certificates: bytes | None, key: bytes, what: str) -> None:
    with pytest.raises(BadTlsValue) as bad:
        load(pair(rsa() if certificates is None else certificates, key or rsa_key()))
    name = "c.pem" if what == "certificate" else "k.pem"
    assert bad.value.lines[0] == f'cannot get RSA {what} from file "{name}": disabling TLS support'


def mixed(content: bytes) -> Chain:
    return pair(content, content, "c.pem")


def test_certificates_and_key_in_one_file() -> None:
    for content in (rsa() + rsa_key(), rsa_key() + rsa()):
        context, told = load(mixed(content))
        assert not told and shown(context, kind="rsa")
    _, told = load(mixed(rsa() + rsa_key() + ec() + ec_key()))
    assert told == ["ignoring 2nd key at index 4 in c.pem after 1st at 2"]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (rsa, ("No private key found in c.pem",)),
        (rsa_key, ("No certs for key at index 1 in c.pem",)),
        (lambda: ec() + rsa_key(), ("key at index 2 in c.pem does not match next certificate", *_OTHER_KIND)),
        (lambda: b"x", ("No PEM data in c.pem",)),
    ],
)
def test_what_is_wrong_with_such_a_file(content: Callable[[], bytes], lines: tuple[str, ...]) -> None:
    with pytest.raises(BadTlsValue) as bad:
        load(mixed(content()))
    assert bad.value.lines == (*lines, _LAST)


def test_keys_are_nowhere_to_be_seen() -> None:
    secret = rsa_key().decode()
    body = secret.splitlines()[2]
    assert body not in repr(Chain(name="c.pem", certificates=rsa_key(), key=rsa_key()))
    with pytest.raises(BadTlsValue) as bad:
        load(*files(rsa_key() + ec()))
    assert body not in repr(bad.value) + str(bad.value.__context__) + str(bad.value.lines)


def test_keys_touch_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = ssl.SSLContext.load_cert_chain

    def spied(self: ssl.SSLContext, path: str, *args: object, **more: object) -> None:
        opened.append(path)
        assert os.stat(path).st_nlink == 0  # noqa: PTH116  # in no folder
        real(self, path, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", spied)
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    load(*files(rsa_key() + rsa()))
    assert opened and set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@given(st.data())
def test_any_octets(data: st.DataObject) -> None:
    parts = [rsa_key(), rsa(), ec_key(), ec(), parameters(), broken(), b"-----BEGIN PRIVATE KEY-----\n", b"\0\xff\n"]
    content = b"".join(data.draw(st.lists(st.sampled_from(parts), max_size=5)))
    cut = data.draw(st.integers(0, len(content)))
    try:
        load(*files(content[:cut]))
    except BadTlsValue as bad:
        assert bad.lines[-1] == _LAST


def test_dh_parameters() -> None:
    # RFC 7919's 2048 bits, as `openssl dhparam` writes them.
    made = subprocess.run(
        ["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048"],
        capture_output=True,
        check=True,
    ).stdout
    assert load_dh_parameters(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), made)
    for bad in (b"", b"hello\n", rsa()):
        assert not load_dh_parameters(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), bad)
