"""Quoting of local parts: between the internal form of an address and the forms of RFC 822 and RFC 5321."""

import re

# RFC 822 3.3: an atom holds no specials, blanks or controls; a local part is atoms separated by single dots. Text
# beyond ASCII is left alone, as RFC 6531 wants it and as Postfix does (8BITCLEAN).
_NO_ATOM = re.compile(r'[\x00-\x20\x7f()<>@,;:\\"\[\]]')
_SPECIAL_822 = re.compile(r'["\\\r]')
_SPECIAL_821 = re.compile(r'["\\\r\n]')
_ESCAPE = re.compile(r'\\(.)|["\\]', re.S)
# Nearly every address: atoms with single dots, and one `@`. It needs no quotes in either form.
_PLAIN = re.compile(r"[A-Za-z0-9_+=-]+(?:\.[A-Za-z0-9_+=-]+)*@[^@]*")


def quote_822_local(address: str) -> str:
    """External (RFC 822) form of an internal address: the local part in quotes if it needs them, `""` if it is empty.

    A source route (`@a,@b:`) before the local part stays as it is. Source: Postfix quote_822_local(3).
    """
    if _PLAIN.fullmatch(address):
        return address
    route, local, at, domain = _parts(address)
    if _is_dot_string(local):
        return address
    return f'{route}"{_SPECIAL_822.sub(_backslash, local)}"{at}{domain}'


def quote_821_local(address: str) -> str:
    """External form for SMTP commands (RFC 5321 section 4.1.2): as quote_822_local, but it knows no source routes."""
    if _PLAIN.fullmatch(address):
        return address
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = address, ""
    if _is_dot_string(local):
        return address
    return f'"{_SPECIAL_821.sub(_backslash, local)}"{at}{domain}'


def unquote_822_local(address: str) -> str:
    """Internal form of an external address: quotes and backslashes of the local part removed."""
    if '"' not in address and "\\" not in address:
        return address
    route, local, at, domain = _parts(address)
    return route + _ESCAPE.sub(_escaped, local) + at + domain


def _parts(address: str) -> tuple[str, str, str, str]:
    """Source route (with its colon), local part, `@` and domain; empty what is not there."""
    route = ""
    if address.startswith("@"):
        head, colon, tail = address.partition(":")
        if colon:
            route, address = head + colon, tail
    local, at, domain = address.rpartition("@")
    return (route, local, at, domain) if at else (route, address, "", "")


def _is_dot_string(local: str) -> bool:
    if not local or _NO_ATOM.search(local):
        return False
    return not (local[0] == "." or local[-1] == "." or ".." in local)


def _backslash(found: re.Match[str]) -> str:
    return "\\" + found.group()


def _escaped(found: re.Match[str]) -> str:
    return found.group(1) or ""
