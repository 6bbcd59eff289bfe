"""What a mechanism, seen from the server, wants next. Mechanisms do no I/O and know no passwords: they ask for them."""

from typing import Protocol

import msgspec

from gatepost.sasl.scram import Hash, ScramKeys


class Say(msgspec.Struct, frozen=True):
    """A challenge: the client's answer goes to `respond`."""

    data: bytes


class Check(msgspec.Struct, frozen=True):
    """Is this the password of that user? The answer goes to `checked`."""

    username: str
    password: str

    def __repr__(self) -> str:
        return "Check(...)"


class Fetch(msgspec.Struct, frozen=True):
    """The SCRAM keys of that user for this hash (None: its password) are wanted; they go to `fetched`."""

    username: str
    hash: Hash | None


class Done(msgspec.Struct, frozen=True):
    """The client is this user."""

    username: str


class Refused(msgspec.Struct, frozen=True):
    """It is not. `username`: whom it claims to be, None: it did not come to that. `reason` is for the log."""

    username: str | None = None
    reason: str = "authentication failure"


Wish = Say | Check | Fetch | Done | Refused
Secret = ScramKeys | str
"""Of SCRAM; of CRAM-MD5 the password itself."""


class Mechanism(Protocol):
    """One exchange. `begin` comes first, then what the wishes ask for; after Done or Refused nothing."""

    def begin(self, initial: bytes | None) -> Wish: ...

    def respond(self, response: bytes) -> Wish: ...

    def checked(self, right: bool) -> Wish: ...

    def fetched(self, secret: Secret | None) -> Wish:
        """None: there is no such user, or nothing of the kind is known of it."""
        ...
