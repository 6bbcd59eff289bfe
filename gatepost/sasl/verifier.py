"""What a table keeps of a password, in the forms of Dovecot's and the C library's password schemes.

    $argon2id$...                     or {ARGON2ID}, {ARGON2I}
    $6$..., $5$, $y$, $2b$, $1$ ...   or {CRYPT}, {SHA512-CRYPT}, {SHA256-CRYPT}, {BLF-CRYPT}, {MD5-CRYPT}, {YESCRYPT}
    {SCRAM-SHA-256}4096,SALT,STORED,SERVER   (base64, as Dovecot; also {SCRAM-SHA-1})
    {PLAIN}password                   or {CLEAR}, {CLEARTEXT}

More than one may stand there, parted by blanks: each mechanism takes the one that it can use. A text that is none of
these raises BadVerifier, whose message does not repeat it.
"""

import re
from typing import Literal

import msgspec

from gatepost.sasl import base64_text
from gatepost.sasl.scram import HASHES, ITERATIONS_LIMIT, ScramKeys

_ARGON2 = frozenset(("ARGON2I", "ARGON2ID"))
_CRYPT = frozenset(("CRYPT", "SHA512-CRYPT", "SHA256-CRYPT", "BLF-CRYPT", "MD5-CRYPT", "YESCRYPT"))
_PLAIN = frozenset(("PLAIN", "CLEAR", "CLEARTEXT"))
_SCHEME = re.compile(r"\{([A-Za-z0-9.-]+)\}(.*)", re.DOTALL)
_CRYPT_SETTING = re.compile(r"\$(?:1|2[abxy]|5|6|7|y|gy)\$[!-~]+")
_ARGON2_FORM = re.compile(r"\$argon2(?:i|id)\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+")


class BadVerifier(Exception):
    """The text is of no form that is known."""


class Verifier(msgspec.Struct, frozen=True):
    """One way to tell whether a password is right; `keys` are those of SCRAM."""

    kind: Literal["argon2", "crypt", "plain", "scram"]
    text: str = ""
    keys: ScramKeys | None = None

    def __repr__(self) -> str:
        return f"Verifier({self.kind})"


def verifiers(text: str) -> tuple[Verifier, ...]:
    """Those that a table's value names. Raises BadVerifier."""
    text = text.strip()
    plain = _SCHEME.fullmatch(text)
    if plain is not None and plain[1].upper() in _PLAIN:
        return (Verifier("plain", plain[2]),)  # it may have blanks in it
    found = tuple(_verifier(word) for word in text.split())
    if not found:
        raise BadVerifier("nothing there")
    return found


def _verifier(word: str) -> Verifier:
    scheme = _SCHEME.fullmatch(word)
    if scheme is None:
        if word.startswith("$argon2"):
            return _argon2(word)
        if _CRYPT_SETTING.fullmatch(word):
            return Verifier("crypt", word)
        raise BadVerifier("no {SCHEME}, and not the form of a hash that crypt(3) knows")
    name, value = scheme[1].upper(), scheme[2]
    if name in _ARGON2:
        return _argon2(value)
    if name in _CRYPT:
        if not _CRYPT_SETTING.fullmatch(value):
            raise BadVerifier(f"{{{name}}} without a hash that crypt(3) knows")
        return Verifier("crypt", value)
    if name in _PLAIN:
        return Verifier("plain", value)
    if name in HASHES:
        return Verifier("scram", keys=_scram(name, value))
    raise BadVerifier(f"{{{name}}} is not supported")


def _argon2(value: str) -> Verifier:
    if not _ARGON2_FORM.fullmatch(value):
        raise BadVerifier("not the form of an argon2 hash")
    return Verifier("argon2", value)


def _scram(name: str, value: str) -> ScramKeys:
    """`iterations,salt,StoredKey,ServerKey`."""
    parts = value.split(",")
    if len(parts) == 4 and parts[0].isascii() and parts[0].isdecimal() and len(parts[0]) <= 8:
        iterations = int(parts[0])
        salt, stored, server = (base64_text.decode(part) for part in parts[1:])
        size = 20 if name == "SCRAM-SHA-1" else 32
        if 0 < iterations <= ITERATIONS_LIMIT and salt and stored and server and len(stored) == len(server) == size:
            return ScramKeys(HASHES[name], salt, iterations, stored, server)
    raise BadVerifier(f"not the form of a {{{name}}} verifier")


def scram_text(keys: ScramKeys) -> str:
    """As `verifiers` reads it."""
    name = next(name for name, hash_name in HASHES.items() if hash_name == keys.hash)
    parts = (base64_text.encode(part) for part in (keys.salt, keys.stored_key, keys.server_key))
    return f"{{{name}}}{keys.iterations},{','.join(parts)}"
