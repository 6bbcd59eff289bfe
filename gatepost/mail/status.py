"""What became of one recipient in one delivery attempt (bounce(8), RFC 3464)."""

from typing import Literal

import msgspec

from gatepost.mail.envelope import PROBE_UNCACHED

Action = Literal["sent", "deferred", "bounced"]


class RecipientStatus(msgspec.Struct, array_like=True):
    """`index` is the recipient's number in the message. `dsn` like `2.0.0`. `relay` as logged: `host[addr]:port`,
    `local`, `none`.

    `text` is the log line's text in parentheses; `diagnostic_type`/`diagnostic` are RFC 3464 Diagnostic-Code parts
    (`smtp`, `550 5.1.1 ...`; `x-sasl`, `no mechanism available`; empty: use `x-postfix` and `text`); `remote_mta` the
    host name for Remote-MTA or empty.
    `dsn_action`: the RFC 3464 action when it is not the plain one (`relayed`, `delivered`, `expanded`).
    """

    index: int
    action: Action
    dsn: str
    relay: str
    text: str
    diagnostic_type: str = ""
    diagnostic: str = ""
    remote_mta: str = ""
    dsn_action: str = ""


def probe_word(action: Action, trace: int) -> str:
    """What the log says instead of the action if the message is a probe (`trace`: as in Message)."""
    if action == "sent":
        return "deliverable"
    return "undeliverable-but-not-cached" if trace & PROBE_UNCACHED else "undeliverable"
