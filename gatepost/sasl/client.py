"""The client's side of SASL (RFC 4422), without I/O: which mechanism, what to send, what the server's answers mean.

Mechanisms, their order and the words about what went wrong are those of libsasl2, which Postfix's client uses: the
strongest that server and options allow is tried, and no other after it. Passwords show up in what goes to the server,
and nowhere else: no repr, no exception has them.
"""

import base64
import re
from collections.abc import Callable
from typing import Protocol

from gatepost.sasl.security import Properties, SecurityOptions, allowed

ANOTHER_STEP = "another step is needed in authentication"
BAD_PROTOCOL = "bad protocol / cancel"
GENERIC = "generic failure"
NOT_AUTHENTIC = "authentication failure"
NO_MECHANISM = "no mechanism available"
MUTUAL_AUTH_FAILED = "server failed mutual authentication step"

_SCRAM = Properties.DICTIONARY | Properties.MUTUAL_AUTH
MECHANISMS: dict[str, Properties] = {
    **{f"SCRAM-SHA-{size}{plus}": _SCRAM for size in ("512", "384", "256", "224", "1") for plus in ("-PLUS", "")},
    "CRAM-MD5": Properties.DICTIONARY | Properties.ACTIVE,
    "PLAIN": Properties.PLAINTEXT | Properties.DICTIONARY | Properties.ACTIVE,
    "LOGIN": Properties.PLAINTEXT | Properties.DICTIONARY | Properties.ACTIVE,
}
"""The strongest first. The properties are those that libsasl2's client part gives them."""


class ClientFailure(Exception):
    """The exchange cannot go on. The message is for the outcome; `warning` for the log, if it is not empty."""

    def __init__(self, words: str, warning: str = "") -> None:
        super().__init__(words)
        self.words = words
        self.warning = warning


class Credentials:
    """Who we are for a server. Compares by what it holds; shows nothing of it."""

    __slots__ = ("_password", "user")

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        self._password = password

    @classmethod
    def parse(cls, text: str, delimiter: str = ":") -> "Credentials":
        """`user:password`; without the delimiter the password is empty, as in Postfix."""
        user, _, password = text.partition(delimiter)
        return cls(user, password)

    @property
    def password(self) -> bytes:
        """As it goes over the wire; tables may hold octets that are no UTF-8."""
        return self._password.encode("utf-8", "surrogateescape")

    @property
    def login(self) -> bytes:
        """The user name without white space around it. Raises ClientFailure if nothing is left."""
        login = self.user.strip(" \t\n\v\f\r").encode("utf-8", "surrogateescape")
        if not login:
            raise ClientFailure(GENERIC, "SASL authentication failure: All-whitespace username.")
        return login

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Credentials) and (self.user, self._password) == (other.user, other._password)

    def __hash__(self) -> int:
        return hash((self.user, self._password))

    def __repr__(self) -> str:
        return "Credentials(...)"

    def __reduce__(self) -> str:
        raise TypeError("credentials are not to be copied elsewhere")


class Mechanism(Protocol):
    """One way to log in, in octets."""

    def first(self) -> bytes:
        """The initial response; empty: there is none."""
        ...

    def step(self, challenge: bytes) -> bytes:
        """The answer to a challenge. Raises ClientFailure."""
        ...

    def costly(self, challenge: bytes) -> bool:
        """Does the answer to this challenge take so long that it is better made in a thread?"""
        ...

    @property
    def proven(self) -> bool:
        """May a success be believed? False while a server owes us the proof that it knows the password."""
        ...


Maker = Callable[[str, Credentials], Mechanism]


def choose(offered: str, options: SecurityOptions, *, binding: bool = False) -> str:
    """The strongest mechanism of a server's list (words in any case); empty if there is none. `binding`: there is a
    channel binding, so -PLUS can be had.
    """
    names = set(_NOT_A_NAME.split(offered.upper()))
    for name, properties in MECHANISMS.items():
        if name in names and allowed(properties, options) and (binding or not name.endswith("-PLUS")):
            return name
    return ""


class ClientExchange:
    """One login with a mechanism, in the form it has in SMTP (RFC 4954). Raises ClientFailure where it cannot begin."""

    __slots__ = ("_mechanism", "name")

    def __init__(self, name: str, credentials: Credentials, make: Maker) -> None:
        self.name = name
        self._mechanism = make(name, credentials)

    def command(self) -> str:
        """The AUTH command, without a line end. Raises ClientFailure."""
        initial = self._mechanism.first()
        return f"AUTH {self.name} {base64.b64encode(initial).decode()}" if initial else f"AUTH {self.name}"

    def answer(self, challenge: str) -> str:
        """The line that answers the text of a 3xx reply. Raises ClientFailure."""
        return base64.b64encode(self._mechanism.step(decoded(challenge))).decode()

    def costly(self, challenge: str) -> bool:
        """Does `answer` take so long that it is better called in a thread?"""
        try:
            return self._mechanism.costly(decoded(challenge))
        except ClientFailure:
            return False

    @property
    def proven(self) -> bool:
        """May a success be believed?"""
        return self._mechanism.proven


_NOT_A_NAME = re.compile(r"[^A-Z0-9_-]+")
_QUAD = re.compile(r"[A-Za-z0-9+/]{4}")
_LAST = re.compile(r"[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==")


def decoded(text: str) -> bytes:
    """Base64 as libsasl2 reads it. Raises ClientFailure: a group that is none, or one that is not whole at the end."""
    groups = [text[at : at + 4] for at in range(0, len(text), 4)]
    rest = groups.pop() if len(text) % 4 else ""
    for group in groups[:-1]:
        if not _QUAD.fullmatch(group):
            raise ClientFailure(BAD_PROTOCOL)
    if groups and not _LAST.fullmatch(groups[-1]):
        raise ClientFailure(BAD_PROTOCOL)
    if rest:
        raise ClientFailure(ANOTHER_STEP if not groups or "=" not in groups[-1] else BAD_PROTOCOL)
    return base64.b64decode(text)


def challenge_of(reply: str) -> str:
    """The challenge in a reply's text: what is behind its first word."""
    text = reply.lstrip("- \t\n")
    found = re.search(r"[- \t\n]", text)
    return text[found.end() :] if found else ""
