"""The form of refusals: enhanced status codes in texts and tables, and what every reply passes before it is sent."""

import re
from collections.abc import Callable

from gatepost.mail.reply import Reply

REPLY_LIMIT = 510
"""Octets of a reply line without its CRLF."""

SERVER_ERROR = Reply(451, "4.3.5", "Server configuration error", "software")

CLIENT_HOST = "Client host"
UNVERIFIED_CLIENT_HOST = "Unverified Client host"
HELO_COMMAND = "Helo command"
SENDER_ADDRESS = "Sender address"
RECIPIENT_ADDRESS = "Recipient address"
DATA_COMMAND = "Data command"
END_OF_DATA = "End-of-data"
ETRN_COMMAND = "Etrn command"

_DSN = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?=[ \t\n\r\f\v]|\Z)")

# RFC 3463 3.2: X.1.n speaks of one kind of address only. Last digits: as given; for a sender, for a recipient.
_ADDRESS_DSN = {
    "1": ("7", "1"),
    "2": ("8", "2"),
    "3": ("7", "3"),
    "4": ("7", "4"),
    "5": ("0", "5"),
    "6": ("7", "6"),
    "7": ("7", "3"),
    "8": ("8", "2"),
}


def split_dsn(default: str, text: str) -> tuple[str, str]:
    """An enhanced status code at the start of `text`, else `default`; and the rest of the text (dsn_split(3))."""
    found = _DSN.match(text)
    if found is None:
        return default, text
    return found.group(), text[found.end() :].lstrip()


def fix_dsn(dsn: str, reply_class: str, log: Callable[[str], None]) -> str:
    """Make an X.1.n status from a table speak of the address (or of none) that the reply is about (smtpd_dsn_fix)."""
    if dsn[1:4] != ".1.":
        return dsn
    if reply_class == SENDER_ADDRESS:
        fixed = "4.1." + _ADDRESS_DSN.get(dsn[4:], ("0", "0"))[0]
    elif reply_class == RECIPIENT_ADDRESS:
        fixed = "4.1." + _ADDRESS_DSN.get(dsn[4:], ("0", "0"))[1]
    else:
        fixed = "4.0.0"
    if fixed[1:] != dsn[1:]:
        log(f"mapping DSN status {dsn} into {reply_class} status {dsn[0]}{fixed[1:]}")
    return fixed


def sound(reply: Reply, warn: Callable[[str], None]) -> Reply:
    """A reply that may go out: code 400-599, a valid status, at most 510 octets, nothing unprintable.

    A reply code or status that the configuration has got wrong becomes `450 4.7.1 Service unavailable`.
    """
    if not 400 <= reply.code <= 599:
        warn(f"SMTP reply code configuration error: {reply.line()}")
        reply = Reply(450, "4.7.1", "Service unavailable")
    elif _DSN.fullmatch(reply.dsn) is None:
        warn(f"DSN detail code configuration error: {reply.dsn} {reply.text}")
        reply = Reply(450, "4.7.1", "Service unavailable")
    text = reply.text
    if text.isprintable() and len(text) < 120:  # at most 480 octets
        return reply
    room = REPLY_LIMIT - len(f"{reply.code} {reply.dsn} ")
    text = text.encode("utf-8", "replace")[:room].decode("utf-8", "ignore")
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    return Reply(reply.code, reply.dsn, text, reply.fault)


def consistent(reply: Reply, *, soft_bounce: bool) -> Reply:
    """With soft_bounce no reply is final; and the status has the code's first digit."""
    code = reply.code - 100 if soft_bounce and reply.code >= 500 else reply.code
    digit = "45"[code >= 500]
    if code == reply.code and reply.dsn[0] == digit:
        return reply
    return Reply(code, digit + reply.dsn[1:], reply.text, reply.fault)
