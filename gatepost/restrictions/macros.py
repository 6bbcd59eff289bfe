"""`$name` in texts that clients get: what is known of the session (smtpd_expand(3), postconf(5): default_rbl_reply)."""

import re
import time

from gatepost.restrictions.facts import SessionFacts
from gatepost.restrictions.ports import Log

_ESCAPE = re.compile(r"\\([abfnrtv]|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def unescape(text: str) -> str:
    """The characters that `smtpd_expansion_filter` stands for: C escapes and octal numbers (unescape(3))."""
    return _ESCAPE.sub(_unescaped, text)


def _unescaped(found: re.Match[str]) -> str:
    what = found.group(1)
    return chr(int(what, 8) & 0xFF) if what[0] in "01234567" else _ESCAPED.get(what, what)


def session_macro(facts: SessionFacts, name: str, server_name: str, now: float, log: Log) -> str | None:
    """The value of a name; None, after a warning, if there is no such name. `now`: wall clock, seconds."""
    client = facts.client
    match name:
        case "client":
            return client.namaddr
        case "client_address":
            return client.address
        case "client_name":
            return client.name
        case "client_port":
            return client.port
        case "reverse_client_name":
            return client.reverse_name
        case "helo_name":
            return facts.helo_name or ""
        case "server_name":
            return server_name
        case "localtime":
            return time.strftime("%b %d %H:%M:%S", time.localtime(now))
    if name.startswith("sender"):
        value = _address_macro(facts.sender, name[6:])
    elif name.startswith("recipient"):
        value = _address_macro(facts.recipient, name[9:])
    else:
        value = None
    if value is None:
        log.warning(f'unknown macro name "{name}" in expansion request')
    return value


def _address_macro(address: str | None, part: str) -> str | None:
    """An address, or its part `_name` or `_domain`; empty before it is known, `<>` for the null sender."""
    if address is None:
        return ""
    local, at, domain = address.rpartition("@")
    match part:
        case "":
            return address or "<>"
        case "_name":
            return (local if at else address) or ("" if at else "<>")
        case "_domain":
            return domain if at else ""
    return None
