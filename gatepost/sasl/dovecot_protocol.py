"""Dovecot's authentication protocol 1.x, client side, without I/O (doc/auth-protocol.txt of Dovecot).

Lines of fields that tabs part. Both sides begin with VERSION; the client says CPID, the server its mechanisms (MECH)
and DONE. Then each AUTH has a number, and is answered by CONT (a challenge), OK or FAIL with that number. `resp=` is
the last field of a request, and base64.
"""

from collections.abc import Mapping

import msgspec

from gatepost.sasl.security import Properties

MAJOR, MINOR = 1, 0
LINE_LIMIT = 64 * 1024
"""Octets that a server's line may have."""

_PROPERTIES = {
    "plaintext": Properties.PLAINTEXT,
    "anonymous": Properties.ANONYMOUS,
    "dictionary": Properties.DICTIONARY,
    "active": Properties.ACTIVE,
    "forward-secrecy": Properties.FORWARD_SECRECY,
    "mutual-auth": Properties.MUTUAL_AUTH,
}


class DovecotError(Exception):
    """What the server says breaks the protocol."""


class Answer(msgspec.Struct, frozen=True):
    """CONT (`text`: the challenge, None: there was none), OK or FAIL to request `number`, with the fields given."""

    verb: str
    number: int
    text: str | None = None
    fields: Mapping[str, str] = {}


class DovecotReader:
    """What the server says, from octets to answers. `mechanisms` is complete once `ready`."""

    def __init__(self) -> None:
        self.mechanisms: dict[str, Properties] = {}
        self.ready = False
        self._buffer = b""
        self._versioned = False

    def feed(self, data: bytes) -> list[Answer]:
        """The answers that are complete now. Raises DovecotError; nothing may be asked of this connection then."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > LINE_LIMIT:
            raise DovecotError("Protocol error")
        found = []
        for line in lines:
            words = line.decode("utf-8", "replace").replace("\ufffd", "?").split("\t")
            if self.ready:
                answer = _answer(words)
                if answer is not None:
                    found.append(answer)
            else:
                self._greeting(words)
        return found

    def _greeting(self, words: list[str]) -> None:
        verb = words[0]
        if verb == "VERSION":
            if len(words) < 3 or words[1] != str(MAJOR):
                theirs = words[1] if len(words) > 1 and words[1].isdecimal() else "?"
                raise DovecotError(f"Protocol version mismatch ({theirs} vs. {MAJOR})")
            self._versioned = True
        elif verb == "MECH" and len(words) > 1 and words[1]:
            # `private` ones are Dovecot's own, for its proxies.
            if "private" not in words[2:]:
                self.mechanisms[words[1]] = _properties(words[2:])
        elif verb == "DONE":
            if not self._versioned:
                raise DovecotError("Protocol error")
            self.ready = True


def _properties(words: list[str]) -> Properties:
    found = Properties.NONE
    for word in words:
        found |= _PROPERTIES.get(word, Properties.NONE)
    return found


def _answer(words: list[str]) -> Answer | None:
    """None for what is no answer: later versions may say more."""
    verb = words[0]
    if verb not in ("CONT", "OK", "FAIL"):
        return None
    if len(words) < 2:
        raise DovecotError("Protocol error")
    if not (words[1].isascii() and words[1].isdecimal()) or len(words[1]) > 10:
        return None
    number = int(words[1])
    if verb == "CONT":
        return Answer(verb, number, "\t".join(words[2:]) if len(words) > 2 else None)
    fields: dict[str, str] = {}
    for word in words[2:]:
        name, _, value = word.partition("=")
        fields[name] = value
    return Answer(verb, number, fields=fields)


def greeting(client: int) -> bytes:
    """What is said first; `client` is a number that no other connection to this server has."""
    return f"VERSION\t{MAJOR}\t{MINOR}\nCPID\t{client}\n".encode()


def authenticate(number: int, mechanism: str, fields: list[str], initial: str | None) -> bytes:
    """AUTH; `initial` is base64, empty: an empty response, None: none. Raises ValueError for what cannot be said."""
    words = ["AUTH", str(number), mechanism, *fields]
    if initial is not None:
        words.append(f"resp={initial}" if initial else "resp==")
    return _line(words)


def go_on(number: int, response: str) -> bytes:
    """CONT with the client's base64. Raises ValueError."""
    return _line(["CONT", str(number), response])


def cancel(number: int) -> bytes:
    """The client has given up."""
    return _line(["CANCEL", str(number)])


def _line(words: list[str]) -> bytes:
    if any(char in word for word in words for char in "\t\n\r\0"):
        raise ValueError("a control character in a request")
    return ("\t".join(words) + "\n").encode()
