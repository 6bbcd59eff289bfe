"""PLAIN (RFC 4616), LOGIN, CRAM-MD5 (RFC 2195) as a client speaks them; and how mechanisms are made."""

import hmac
from collections.abc import Callable

from gatepost.sasl.client import GENERIC, ClientFailure, Credentials, Maker, Mechanism
from gatepost.sasl.client_scram import Keys, ScramMechanism

_DONE = "SASL authentication problem: attempting client step after doneflag"


class PlainMechanism:
    """All is in the initial response. `authzid`: send_cyrus_sasl_authzid."""

    proven = True

    def __init__(self, credentials: Credentials, *, authzid: bool = False) -> None:
        self._credentials = credentials
        self._authzid = authzid

    def first(self) -> bytes:
        login = self._credentials.login
        return b"\0".join((login if self._authzid else b"", login, self._credentials.password))

    def step(self, challenge: bytes) -> bytes:
        raise ClientFailure(GENERIC, _DONE)

    def costly(self, challenge: bytes) -> bool:
        return False


class LoginMechanism:
    """The server asks twice; what it asks is of no account (draft-murchison-sasl-login)."""

    proven = True

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._answered = 0

    def first(self) -> bytes:
        return b""

    def step(self, challenge: bytes) -> bytes:
        self._answered += 1
        if self._answered == 1:
            return self._credentials.login
        if self._answered == 2:
            return self._credentials.password
        raise ClientFailure(GENERIC, _DONE)

    def costly(self, challenge: bytes) -> bool:
        return False


class CramMechanism:
    """The password's HMAC of what the server says."""

    proven = True
    limit = 1024

    def __init__(self, credentials: Credentials) -> None:
        self._credentials: Credentials | None = credentials

    def first(self) -> bytes:
        return b""

    def step(self, challenge: bytes) -> bytes:
        credentials, self._credentials = self._credentials, None
        if credentials is None:
            raise ClientFailure(GENERIC, _DONE)
        if len(challenge) > self.limit:
            raise ClientFailure(
                "bad protocol / cancel", "SASL authentication failure: CRAM-MD5 input longer than 1024 bytes"
            )
        digest = hmac.new(credentials.password, challenge, "md5").hexdigest()
        return credentials.login + b" " + digest.encode()

    def costly(self, challenge: bytes) -> bool:
        return False


def maker(
    keys: Keys, nonce: Callable[[], str], *, authzid: bool = False, binding: tuple[str, bytes] | None = None,
    offered: str = "",
) -> Maker:  # fmt: skip
    """What makes mechanisms by name. `nonce`: printable text without commas, never the same again; `binding`: the type
    and the octets of a channel binding; `offered`: the server's list. `keys` remembers what SCRAM has computed.
    """

    def make(name: str, credentials: Credentials) -> Mechanism:
        if name == "PLAIN":
            return PlainMechanism(credentials, authzid=authzid)
        if name == "LOGIN":
            return LoginMechanism(credentials)
        if name == "CRAM-MD5":
            return CramMechanism(credentials)
        plus_seen = any(word.endswith("-PLUS") for word in offered.upper().split())
        return ScramMechanism(
            name, credentials, keys, nonce(), authzid=authzid, binding=binding, plus_offered=plus_seen
        )  # fmt: skip

    return make
