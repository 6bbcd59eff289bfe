"""A fast scanner of message headers (RFC 5322 2.2), over bytes with LF line ends. Takes any bytes and never raises."""

import re

# RFC 5322 dot-atom, with the octets above 127 that SMTPUTF8 (RFC 6531) allows.
_DOT_ATOM = re.compile(r"[^\s()<>\[\]:;@\\,.\"\x00-\x1f\x7f]+(?:\.[^\s()<>\[\]:;@\\,.\"\x00-\x1f\x7f]+)*\Z").match


def external_form(address: str) -> str:
    """`address`, given in internal form, with its local part quoted if need be, for logs and headers (RFC 5322 3.4)."""
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = address, ""
    if not local or _DOT_ATOM(local):
        return address
    quoted = local.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\\r")
    return f'"{quoted}"{at}{domain}'
