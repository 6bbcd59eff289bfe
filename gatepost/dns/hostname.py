"""What may be asked of DNS and what may come out of it as a host name; names in other scripts."""

import idna

from gatepost.dns.answers import RRType
from gatepost.mail.hostname import valid_hostname


def query_name(name: str, rrtype: RRType) -> str | None:
    """The form in which `name` is asked: lower case, no final dot, IDNA A-labels; None if it is no domain name.

    The root (`.`), which is the empty string, may be asked for NS alone.
    """
    if name == "." and rrtype == "NS":
        return ""
    if name.endswith("."):
        name = name[:-1]
    if not name.isascii():
        try:
            name = ".".join(
                label if label.isascii() else idna.alabel(label).decode("ascii")
                for label in idna.uts46_remap(name, std3_rules=False, transitional=False).split(".")
            )
        except (idna.IDNAError, UnicodeError, ValueError):
            return None
    if rrtype in ("PTR", "TXT", "CNAME", "NS") and name.isascii():
        # RFC 2317 delegations put a slash into reverse names (0/25.2.0.192.in-addr.arpa).
        return name.lower() if valid_hostname(name.replace("/", "-").replace("*", "x")) else None
    return name.lower() if valid_hostname(name) else None


def acceptable_target(name: str) -> bool:
    """May `name` stand in MX, NS or CNAME data? As Postfix: host names, IPv4 addresses, and the root (null MX)."""
    if not name or valid_hostname(name):
        return True
    parts = name.split(".")
    return len(parts) == 4 and all(p.isdecimal() and p.isascii() and int(p) < 256 for p in parts)
