"""SCRAM (RFC 5802, RFC 7677): the keys and the words, for either side."""

import hashlib
import hmac
from typing import Literal

import msgspec

from gatepost.sasl import base64_text

Hash = Literal["sha1", "sha256"]
HASHES: dict[str, Hash] = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}

ITERATIONS_LIMIT = 10_000_000
"""More would be an attack on our time."""


class ScramError(Exception):
    """The other side breaks the protocol, or is not who it should be. The message is one of RFC 5802 7 (`e=`)."""


class ScramKeys(msgspec.Struct, frozen=True):
    """What a server keeps instead of a password."""

    hash: Hash
    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return "ScramKeys(...)"


def salted_password(name: Hash, password: bytes, salt: bytes, iterations: int) -> bytes:
    """Hi() of the prepared password: takes its time."""
    return hashlib.pbkdf2_hmac(name, password, salt, iterations)


def keys_of(name: Hash, password: bytes, salt: bytes, iterations: int) -> ScramKeys:
    """What a server keeps of a (prepared) password: takes its time."""
    salted = salted_password(name, password, salt, iterations)
    stored = hashlib.new(name, sign(name, salted, b"Client Key")).digest()
    return ScramKeys(name, salt, iterations, stored, sign(name, salted, b"Server Key"))


def sign(name: Hash, key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, name).digest()


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def is_proof(keys: ScramKeys, proof: bytes, auth_message: bytes) -> bool:
    """Has the client, who signs the dialogue, the password?"""
    if len(proof) != len(keys.stored_key):
        return False
    client_key = xor(proof, sign(keys.hash, keys.stored_key, auth_message))
    return hmac.compare_digest(hashlib.new(keys.hash, client_key).digest(), keys.stored_key)


def attributes(text: str) -> list[tuple[str, str]]:
    """`a=...,b=...` in their order. Raises ScramError."""
    found = []
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or len(name) != 1 or not (name.isascii() and name.isalpha()):
            raise ScramError("other-error")
        found.append((name, value))
    return found


def text_of(data: bytes) -> str:
    """Raises ScramError."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ScramError("invalid-encoding") from None
    if "\0" in text:
        raise ScramError("invalid-encoding")
    return text


def decoded(text: str) -> bytes:
    """Base64. Raises ScramError."""
    data = base64_text.decode(text)
    if data is None:
        raise ScramError("invalid-encoding")
    return data


def unescaped(name: str) -> str:
    """A saslname: `=2C` is a comma, `=3D` an equals sign. Raises ScramError."""
    parts = name.split("=")
    out = [parts[0]]
    for part in parts[1:]:
        if not part.startswith(("2C", "3D")):
            raise ScramError("invalid-username-encoding")
        out.append(("," if part[0] == "2" else "=") + part[2:])
    return "".join(out)


def is_nonce(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and "," not in text
