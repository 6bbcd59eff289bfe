"""How far the peer's certificate is to be trusted, in Postfix's words."""

import ssl
from typing import Literal

import msgspec

Status = Literal["Anonymous", "Untrusted", "Trusted", "Verified"]


class Verification(msgspec.Struct, frozen=True):
    """`trusted`: a chain leads to a CA that we know. `complaint`: the log's line about it if not (without peer name

    filled in: `{peer}`), empty if trusted or if there is no certificate.
    """

    present: bool
    trusted: bool
    complaint: str = ""


def verification(ssl_object: ssl.SSLObject, side: Literal["client", "server"]) -> Verification:
    """Of a finished handshake, resumed ones included. `side`: whose certificate it is."""
    raise NotImplementedError


def status(checked: Verification, matched: bool = False) -> Status:
    """The first word of `... TLS connection established`. `matched`: name or fingerprint is what the policy wants."""
    raise NotImplementedError
