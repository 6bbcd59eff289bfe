"""Verifiers: the forms that tables may hold, made by others."""

import subprocess

import argon2
import pytest
import scramp
from hypothesis import given
from hypothesis import strategies as st

from gatepost.sasl.base64_text import encode
from gatepost.sasl.passwords import is_right, new_verifiers
from gatepost.sasl.saslprep import saslprep
from gatepost.sasl.scram import ScramKeys, keys_of
from gatepost.sasl.verifier import BadVerifier, scram_text, verifiers


def by_openssl(kind: str) -> str:
    command = ["openssl", "passwd", kind, "-salt", "saltstring", "secret"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def by_perl(setting: str) -> str:
    """crypt(3), of libcrypt."""
    command = ["perl", "-e", "print crypt('secret', $ARGV[0])", setting]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("text", [
    by_openssl("-6"), by_openssl("-5"), by_openssl("-1"), "{CRYPT}" + by_openssl("-6"),
    "{SHA512-CRYPT}" + by_openssl("-6"), "{MD5-CRYPT}" + by_openssl("-1"),
    by_perl("$2b$05$abcdefghijklmnopqrstuu"), by_perl("$y$j9T$F5Jx5fExrKuPp53xLKQ..1"),
    argon2.PasswordHasher(1, 1024, 1).hash("secret"), "{ARGON2ID}" + argon2.PasswordHasher(1, 1024, 1).hash("secret"),
    "{ARGON2I}" + argon2.PasswordHasher(1, 1024, 1, type=argon2.Type.I).hash("secret"),
    "{PLAIN}secret", "{clear}secret", "{CLEARTEXT}secret",
], ids=lambda _: "form")  # fmt: skip
def test_forms_of_passwords(text: str) -> None:
    (verifier,) = verifiers(text)
    assert is_right("secret", verifier)
    assert not is_right("Secret", verifier) and not is_right("", verifier) and not is_right("secret\0", verifier)
    assert "secret" not in repr(verifier) and "$" not in repr(verifier)


def test_scram_keys_made_by_another() -> None:
    mechanism = scramp.ScramMechanism("SCRAM-SHA-256")
    salt, stored, server, iterations = mechanism.make_auth_info("secret", 4096)
    (verifier,) = verifiers(f"{{SCRAM-SHA-256}}{iterations},{encode(salt)},{encode(stored)},{encode(server)}")
    assert verifier.keys == keys_of("sha256", b"secret", salt, iterations)
    assert is_right("secret", verifier) and not is_right("bad", verifier)


def test_keys_as_text() -> None:
    for name in ("sha1", "sha256"):
        keys = keys_of(name, b"x", b"salt", 4096)  # type: ignore[arg-type]
        assert verifiers(scram_text(keys))[0].keys == keys


def test_what_is_stored_of_a_new_password() -> None:
    found = verifiers(new_verifiers("pässword"))
    assert [one.kind for one in found] == ["argon2", "scram"]
    assert all(is_right("pässword", one) for one in found)


@pytest.mark.parametrize("text", [
    "", " ", "secret", "{PLAI}x", "{CRYPT}secret", "{ARGON2ID}$6$a$b", "{SSHA}abc", "$argon2id$v=19$", "$6$", "*", "!",
    "{SCRAM-SHA-256}", "{SCRAM-SHA-256}4096,AAAA,AAAA,AAAA", "{SCRAM-SHA-256}0,AAAA,AAAA,AAAA",
    "{SCRAM-SHA-256}4096,!,!,!",
])  # fmt: skip
def test_what_is_no_verifier(text: str) -> None:
    with pytest.raises(BadVerifier) as raised:
        verifiers(text)
    assert "secret" not in str(raised.value)


@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    try:
        verifiers(text)
    except BadVerifier as bad:
        assert str(bad)


def test_a_hash_that_crypt_cannot_make() -> None:
    for text in ("$6$rounds=x$", "$7$zz", "$y$j9T$x$y", "$2b$99$abc"):
        for verifier in verifiers(text):
            assert not is_right("secret", verifier)


def test_saslprep() -> None:
    # RFC 4013 3.
    assert saslprep("I\xadX") == "IX"
    assert saslprep("user") == "user"
    assert saslprep("USER") == "USER"
    assert saslprep("\xaa") == "a"
    assert saslprep("\u2168") == "IX"
    assert saslprep("a\xa0b") == "a b"
    for text in ("\x07", "\u0627\x31", "\u0627a\u0627", "\ue000", "\u0221"):
        with pytest.raises(ValueError):
            saslprep(text)


def test_keys_do_not_show() -> None:
    assert repr(ScramKeys("sha256", b"salt", 1, b"stored", b"server")) == "ScramKeys(...)"
