"""SCRAM (RFC 5802, 7677) as a client speaks it. The server has to prove that it knows the password, too."""

import base64
import binascii
import hashlib
import hmac
import re

from gatepost.sasl.client import BAD_PROTOCOL, GENERIC, NOT_AUTHENTIC, ClientFailure, Credentials
from gatepost.sasl.saslprep import saslprep

MOST_ITERATIONS = 1_000_000
"""A server that asks for more wants to keep us busy (that is about half a second)."""
LONGEST = 2048
"""Octets of a server's message. libsasl2 has the same limit."""

_FEW = 10_000  # iterations that hold up nobody
_FAILURE = "SASL authentication failure: "
_DIGITS = re.compile(rb"[0-9]{1,10}")


class Keys:
    """Client keys and server keys that were computed: that takes milliseconds, and they stay the same as long as the
    server keeps its salt (RFC 5802 section 3 has clients remember them). Shows nothing of what it holds.
    """

    __slots__ = ("_kept",)
    limit = 100

    def __init__(self) -> None:
        self._kept: dict[tuple[str, bytes, bytes, int], tuple[bytes, bytes]] = {}

    def known(self, digest: str, password: bytes, salt: bytes, iterations: int) -> bool:
        return (digest, password, salt, iterations) in self._kept

    def pair(self, digest: str, password: bytes, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
        """ClientKey and ServerKey."""
        place = (digest, password, salt, iterations)
        if (found := self._kept.get(place)) is not None:
            return found
        salted = hashlib.pbkdf2_hmac(digest, password, salt, iterations)
        made = hmac.digest(salted, b"Client Key", digest), hmac.digest(salted, b"Server Key", digest)
        while len(self._kept) >= self.limit:
            self._kept.pop(next(iter(self._kept)), None)
        self._kept[place] = made
        return made


class ScramMechanism:
    """`name`: `SCRAM-SHA-256`, `SCRAM-SHA-1-PLUS`, ... `plus_offered`: the server offers a -PLUS mechanism."""

    def __init__(
        self,
        name: str,
        credentials: Credentials,
        keys: Keys,
        nonce: str,
        *,
        authzid: bool = False,
        binding: tuple[str, bytes] | None = None,
        plus_offered: bool = False,
    ) -> None:
        self._name = name
        self._digest = "sha" + name.removeprefix("SCRAM-SHA-").removesuffix("-PLUS")
        self._keys = keys
        self._password = _prepared(credentials.password)
        login = credentials.login.replace(b"=", b"=3D").replace(b",", b"=2C")
        if name.endswith("-PLUS") and binding is not None:
            flag, self._bound = b"p=" + binding[0].encode(), binding[1]
        else:
            # RFC 5802 section 6: `y` says that we could and the server cannot; if somebody in between took -PLUS out
            # of its list, the server finds out.
            flag, self._bound = b"y" if binding is not None and not plus_offered else b"n", b""
        self._header = flag + b"," + (b"a=" + login if authzid else b"") + b","
        self._nonce = nonce.encode("ascii")
        self._bare = b"n=" + login + b",r=" + self._nonce
        self._stage = 0
        self._server_signature = b""

    @property
    def proven(self) -> bool:
        return self._stage == 2

    def first(self) -> bytes:
        return self._header + self._bare

    def costly(self, challenge: bytes) -> bool:
        if self._stage:
            return False
        _, salt, iterations = self._read_first(challenge)
        return iterations > _FEW and not self._keys.known(self._digest, self._password, salt, iterations)

    def step(self, challenge: bytes) -> bytes:
        if self._stage == 0:
            answer = self._answer_first(challenge)
        elif self._stage == 1:
            self._check_last(challenge)
            answer = b""
        else:
            raise ClientFailure(GENERIC, "SASL authentication problem: attempting client step after doneflag")
        self._stage += 1
        return answer

    def _answer_first(self, said: bytes) -> bytes:
        nonce, salt, iterations = self._read_first(said)
        client_key, server_key = self._keys.pair(self._digest, self._password, salt, iterations)
        without = b"c=" + base64.b64encode(self._header + self._bound) + b",r=" + nonce
        everything = b",".join((self._bare, said, without))
        stored_key = hashlib.new(self._digest, client_key).digest()
        signature = hmac.digest(stored_key, everything, self._digest)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self._server_signature = hmac.digest(server_key, everything, self._digest)
        return without + b",p=" + base64.b64encode(proof)

    def _read_first(self, said: bytes) -> tuple[bytes, bytes, int]:
        """Nonce, salt, iterations of `r=...,s=...,i=...`; extensions behind them mean nothing to us."""
        self._check_form(said)
        if said.startswith(b"m="):
            raise self._bad(f"Unsupported mandatory extension to {self._name}")
        parts = said.split(b",")
        if not parts[0].startswith(b"r="):
            raise self._bad(f"Nonce (r=) expected in {self._name} input")
        if len(parts) < 2 or not parts[1].startswith(b"s="):
            raise self._bad(f"Salt expected after the nonce in {self._name} input")
        if len(parts) < 3 or not parts[2].startswith(b"i="):
            raise self._bad(f"iteration-count expected after the salt in {self._name} input")
        nonce, salt, count = (part[2:] for part in parts[:3])
        if not _DIGITS.fullmatch(count) or not int(count):
            raise self._bad(f"Invalid iteration-count in {self._name} input")
        if int(count) > MOST_ITERATIONS:
            raise self._bad("iteration-count is too big, refusing to compute")
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise self._bad("The nonce received from the server doesn't start from the nonce sent by the client")
        if not salt:
            raise self._bad("The salt can't be empty")
        try:
            return nonce, base64.b64decode(salt, validate=True), int(count)
        except binascii.Error:
            where = "" if len(salt) % 4 else f" in {self._name} input"
            raise self._bad(f"Invalid base64 encoding of the salt{where}") from None

    def _check_last(self, said: bytes) -> None:
        self._check_form(said)
        if not said.startswith(b"v="):
            raise self._bad(f"ServerSignature expected in {self._name} input")
        try:
            signature = base64.b64decode(said[2:].partition(b",")[0], validate=True)
        except binascii.Error:
            raise self._bad(f"Invalid base64 encoding of the server proof in {self._name} input") from None
        if len(signature) != len(self._server_signature):
            raise self._bad(f"Invalid server proof (truncated) in {self._name} input")
        if not hmac.compare_digest(signature, self._server_signature):
            raise ClientFailure(NOT_AUTHENTIC, f"{_FAILURE}ServerSignature mismatch")

    def _check_form(self, said: bytes) -> None:
        if not said:
            raise self._bad(f"{'Invalid ' if self._stage else ''}{self._name} input expected")
        if len(said) >= LONGEST:
            raise self._bad(f"{self._name} input longer than (MAX_SERVERIN_LEN) bytes")
        if b"\0" in said:
            raise self._bad(f"NULs found in {self._name} input")
        if (not self._stage and len(said) < 3) or said[1:2] != b"=":
            raise self._bad(f"Invalid {self._name} input")

    @staticmethod
    def _bad(words: str) -> ClientFailure:
        return ClientFailure(BAD_PROTOCOL, _FAILURE + words)


def _prepared(password: bytes) -> bytes:
    """As the server has it (RFC 4013); what that forbids stays as it is, and the server judges."""
    if password.isascii():
        return password
    try:
        return saslprep(password.decode()).encode()
    except ValueError:
        return password
