"""What an SMTP server needs of a SASL back end, as interfaces (Postfix's xsasl).

A `SaslServer` belongs to a listener; for each session it tells which mechanisms there are, and begins an `Exchange` for
each AUTH command. Challenges and responses are in base64, as they stand in SMTP lines (RFC 4954): Dovecot takes and
gives them so. Nothing here raises for what a client says; a back end that cannot be asked is a `Failed` with
`temporary`.
"""

import enum
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from gatepost.sasl.security import SecurityOptions

Binding = Callable[[str], bytes | None]


def no_binding(kind: str) -> bytes | None:
    """There is no TLS session to bind to."""
    return None


class Peers(msgspec.Struct, frozen=True):
    """Between whom an exchange takes place: addresses without brackets, ports as decimal text, empty if unknown.

    `encrypted`: over TLS. `certificate_name`: whom a client certificate that we trust names; empty: there is none.
    `binding`: the channel binding of a type of RFC 5929 or 9266 (`tls-unique`, `tls-server-end-point`,
    `tls-exporter`), None where there is none.
    """

    client_address: str
    client_port: str = ""
    server_address: str = ""
    server_port: str = ""
    encrypted: bool = False
    certificate_name: str = ""
    binding: Binding = no_binding


class Kept(enum.Enum):
    """As Postfix, which goes on with the name of the session's attempt before."""

    KEPT = enum.auto()


KEPT = Kept.KEPT


class Challenge(msgspec.Struct, frozen=True):
    """The client is to answer this base64 text, which may be empty."""

    text: str


class Success(msgspec.Struct, frozen=True):
    """The client is who it says to be."""

    username: str


class Failed(msgspec.Struct, frozen=True):
    """It is not, or (`temporary`) nobody can tell now.

    `reason` is for reply and log. `username` is whom the client claims to be, for the log: None, nobody knows; KEPT,
    the back end has not heard this time. `warning` is one more line of the log.
    """

    reason: str = ""
    temporary: bool = False
    username: str | Kept | None = None
    warning: str = ""


Step = Challenge | Success | Failed


class Exchange(Protocol):
    """One AUTH command. May be stepped where there is no task."""

    def step(self, response: str) -> Awaitable[Step]:
        """The client's answer to the last challenge, base64."""
        ...

    def abort(self) -> None:
        """The client has given up, or is gone. Not to be called after the last step."""
        ...


class SaslServer(Protocol):
    """The back end of one listener."""

    def mechanisms(self, options: SecurityOptions, peers: Peers) -> Awaitable[tuple[str, ...]]:
        """Names of the mechanisms that the options allow, in the order of the back end.

        Raises BackEndUnavailable.
        """
        ...

    def start(
        self, mechanism: str, initial: str | None, options: SecurityOptions, peers: Peers
    ) -> Awaitable[tuple[Step, Exchange | None]]:
        """Begin with a mechanism as the client spells it; `initial`: its initial response, None if it gave none.

        The exchange goes on if the step is a Challenge.
        """
        ...

    def close(self) -> None:
        """No session is left that may ask."""
        ...


class BackEndUnavailable(Exception):
    """The back end cannot be asked; the message says why, for the log."""
