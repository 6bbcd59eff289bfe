"""The Received: header of SMTP mail, as smtpd(8) writes it, and the dates that go with a message."""

import time
from collections.abc import Callable

from gatepost.cleanup.interface import Transaction
from gatepost.mail.address_quoting import quote_822_local
from gatepost.mail.date import compact_utc, mail_date

LocalTime = Callable[[float], time.struct_time]


class Dates:
    """The two forms of a moment that headers need, worked out once a second."""

    __slots__ = ("_local_time", "_second", "compact", "date")

    def __init__(self, local_time: LocalTime = time.localtime) -> None:
        self._local_time = local_time
        self._second = -1
        self.date = ""
        self.compact = ""

    def at(self, seconds: float) -> "Dates":
        """Make `date` (for Date: and Received:) and `compact` (for Message-ID:) those of this wall-clock moment."""
        second = int(seconds)
        if second != self._second:
            local = self._local_time(second)
            self.date = mail_date(second, local.tm_gmtoff, local.tm_zone)
            self.compact = compact_utc(second)
            self._second = second
        return self


def received_header(transaction: Transaction, queue_id: str, myhostname: str, mail_name: str, date: str) -> str:
    """The whole header, with its last line end.

    The recipient is named only if there is just one, so that blind copies stay blind.
    """
    origin = transaction.origin
    if not origin.address:
        return f"Received: by {myhostname} ({mail_name})\n\tid {queue_id}; {date}\n"
    address = f"IPv6:{origin.address}" if ":" in origin.address else origin.address
    name = origin.name or "unknown"
    protocol = "UTF8SMTP" if transaction.smtputf8 else origin.protocol or "SMTP"
    if protocol != "SMTP" and not protocol.endswith(("S", "A")):
        # RFC 3848 has no such words for the protocol without extensions.
        protocol += ("S" if transaction.encrypted else "") + ("A" if origin.login else "")
    shown = transaction.login_shown and origin.login
    login = f"\t(Authenticated sender: {comment_text(origin.login)})\n" if shown else ""
    client = f"{origin.helo or name} ({name} [{address}])\n{transaction.tls_lines}{login}"
    head = f"Received: from {client}\tby {myhostname} ({mail_name}) "
    if len(transaction.recipients) == 1:
        recipient = transaction.recipients[0]
        address = quote_822_local(recipient.original or recipient.address)
        return f"{head}with {protocol} id {queue_id}\n\tfor <{address}>; {date}\n"
    return f"{head}with {protocol} id {queue_id};\n\t{date}\n"


def comment_text(text: str) -> str:
    """`text` as it may stand in a comment of a header: parentheses that do not match, backslashes and controls go."""
    depth = 0
    out = []
    for char in text:
        if char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        if depth < 0 or char == "\\" or char < " " or char == "\x7f":
            depth = max(depth, 0)
            char = "?"
        out.append(char)
    return "".join(out) + ")" * depth
