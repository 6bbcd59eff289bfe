"""Syntax of host names, network addresses and address literals, as Postfix checks it.

Each check takes an optional `warn`, called with the reason in Postfix's words when the answer is no; the
caller logs it.
"""

import re
from collections.abc import Callable

VALID_HOSTNAME_LEN = 255
VALID_LABEL_LEN = 63

Warn = Callable[[str], None]

# Good names, at a glance; the slow way says what is wrong with the others. (All of digits and dots: not here.)
_LABEL = r"[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?"
_GOOD_HOSTNAME = re.compile(rf"(?=[0-9.]*+[A-Za-z_-]){_LABEL}(?>(?:\.{_LABEL})*)")

_LABEL_CHARS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_DIGITS = frozenset("0123456789")
_HEX_RUN = re.compile(r"[0-9A-Fa-f]*")
# The longest text that getnameinfo() gives for an address, with its terminating zero octet (NI_MAXHOST is larger).
_MAX_LITERAL = 46


def _fail(warn: Warn | None, text: str) -> bool:
    if warn is not None:
        warn(text)
    return False


def valid_hostname(name: str, warn: Warn | None = None) -> bool:
    """Whether `name` is letters, digits, "_", "-" in labels of 1..63, at most 255 in all, not just digits and dots."""
    if len(name) <= VALID_HOSTNAME_LEN and _GOOD_HOSTNAME.fullmatch(name):
        return True
    gripe = hostname_gripe(name)
    return True if gripe is None else _fail(warn, f"valid_hostname: {gripe}")


def hostname_gripe(name: str) -> str | None:
    """What is wrong with a host name, None if nothing is."""
    if not name:
        return "empty hostname"
    label_length = 0
    non_numeric = False
    last = len(name) - 1
    for at, char in enumerate(name):
        if char in _LABEL_CHARS:
            label_length += 1
            if label_length > VALID_LABEL_LEN:
                return f"hostname label too long: {name[:100]}"
            if char not in _DIGITS:
                non_numeric = True
        elif char == ".":
            if label_length == 0 or at == last:
                return f"misplaced delimiter: {name[:100]}"
            label_length = 0
        elif char == "-":
            non_numeric = True
            label_length += 1
            if label_length == 1 or at == last or name[at + 1] == ".":
                return f"misplaced hyphen: {name[:100]}"
        else:
            return f"invalid character {_first_octet(char)}(decimal): {name[:100]}"
    if not non_numeric:
        return f"numeric hostname: {name[:100]}"
    if len(name) > VALID_HOSTNAME_LEN:
        return f"bad length {len(name)} for {name[:100]}..."
    return None


def _first_octet(char: str) -> int:
    return char.encode("utf-8", "surrogatepass")[0]


def domain_to_ascii(domain: str) -> str | None:
    """The A-label form of a domain that may be UTF-8 (UTS 46, nontransitional, STD3); None: malformed."""
    if domain.isascii():
        return domain
    import idna  # takes a fiftieth of the time of a short command, and few names need it

    try:
        return idna.encode(domain, uts46=True, transitional=False, std3_rules=True).decode("ascii")
    except (idna.IDNAError, UnicodeError, IndexError):
        return None


def domain_to_utf8(domain: str) -> str:
    """The domain as people read it; labels that cannot be shown so stay as they are."""
    if "xn--" not in domain.lower():
        return domain
    import idna  # takes a fiftieth of the time of a short command, and few names need it

    try:
        return idna.decode(domain, uts46=True)
    except (idna.IDNAError, UnicodeError):
        return domain


def valid_utf8_hostname(name: str, *, utf8: bool = True, warn: Warn | None = None) -> bool:
    """As valid_hostname; with `utf8` (smtputf8_enable) a domain beyond ASCII is judged by its A-label form."""
    if not name:
        return _fail(warn, "valid_utf8_hostname: empty domain name")
    if utf8 and not name.isascii():
        ascii_name = domain_to_ascii(name)
        if ascii_name is None:
            return _fail(warn, "valid_utf8_hostname: malformed UTF-8 domain name")
        name = ascii_name
    return valid_hostname(name, warn)


def valid_hostaddr(address: str, warn: Warn | None = None) -> bool:
    """Whether `address` is an IPv4 or (with a colon in it) IPv6 address, without brackets."""
    if not address:
        return _fail(warn, "valid_hostaddr: empty address")
    return valid_ipv6_hostaddr(address, warn) if ":" in address else valid_ipv4_hostaddr(address, warn)


def valid_ipv4_hostaddr(address: str, warn: Warn | None = None) -> bool:
    """Four decimal octets; the first may be 0 only in 0.0.0.0. Leading zeros are decimal."""
    gripe = _ipv4_gripe(address)
    return True if gripe is None else _fail(warn, f"valid_ipv4_hostaddr: {gripe}")


def _ipv4_gripe(address: str) -> str | None:
    count = value = 0
    in_octet = False
    last = len(address) - 1
    for at, char in enumerate(address):
        if char in _DIGITS:
            if not in_octet:
                in_octet, value, count = True, 0, count + 1
            value = value * 10 + int(char)
            if value > 255:
                return f"invalid octet value: {address[:100]}"
        elif char == ".":
            if not in_octet or at == last:
                return f"misplaced dot: {address[:100]}"
            if count == 1 and value == 0 and address.strip("0."):
                return f"bad initial octet value: {address[:100]}"
            in_octet = False
        else:
            return f"invalid character {_first_octet(char)}(decimal): {address[:100]}"
    return None if count == 4 else f"invalid octet count: {address[:100]}"


def valid_ipv6_hostaddr(address: str, warn: Warn | None = None) -> bool:
    """Up to eight hexadecimal fields, one "::", an IPv4 address for the last two fields."""
    gripe = _ipv6_gripe(address)
    return True if gripe is None else _fail(warn, gripe)


def _ipv6_gripe(address: str) -> str | None:
    me = "valid_ipv6_hostaddr"
    shown = address[:100]
    null_field = field = length = at = 0
    end = len(address)
    while at < end:
        char = address[at]
        if char == ".":
            if field < 2 or field > 6:
                return f"{me}: malformed IPv4-in-IPv6 address: {shown}"
            gripe = _ipv4_gripe(address[at - length :])
            return None if gripe is None else f"valid_ipv4_hostaddr: {gripe}"
        if char == ":":
            if field == 0 and length == 0 and address[at + 1 : at + 2].isascii() and address[at + 1 : at + 2].isalnum():
                return f"{me}: bad null first field in IPv6 address: {shown}"
            field += 1
            if field > 7:
                return f"{me}: too many `:' in IPv6 address: {shown}"
            at += 1
            length = 0
            if address[at : at + 1] == ":":
                if null_field > 0:
                    return f"{me}: too many `::' in IPv6 address: {shown}"
                null_field = field
            continue
        length = len(_HEX_RUN.match(address, at).group())  # type: ignore[union-attr]  # it matches the empty text too
        if length > 4:
            return f"{me}: malformed IPv6 address: {shown}"
        if length == 0:
            return f"{me}: invalid character {_first_octet(char)}(decimal) in IPv6 address: {shown}"
        at += length
    if field < 2:
        return f"{me}: too few `:' in IPv6 address: {shown}"
    if length == 0 and null_field != field - 1:
        return f"{me}: bad null last field in IPv6 address: {shown}"
    return None


def valid_mailhost_addr(address: str, warn: Warn | None = None) -> str | None:
    """The bare network address in the text of an address literal (`192.0.2.1`, `IPv6:2001:db8::1`); None: invalid.

    RFC 5321 section 4.1.3: IPv6 needs its tag, IPv4 has none.
    """
    if address[:5].lower() == "ipv6:":
        bare = address[5:]
        return bare if valid_ipv6_hostaddr(bare, warn) else None
    return address if valid_ipv4_hostaddr(address, warn) else None


def valid_mailhost_literal(literal: str, warn: Warn | None = None) -> bool:
    """Whether `literal` is an address literal with its brackets."""
    gripe: str | None = None
    end = literal.find("]")
    if not literal.startswith("["):
        gripe = "'[' expected at start"
    elif end < 0:
        gripe = "']' expected at end"
    elif end != len(literal) - 1:
        gripe = "unexpected text after ']'"
    elif end - 1 >= _MAX_LITERAL:
        gripe = "too much text"
    if gripe is not None:
        return _fail(warn, f"valid_mailhost_literal: {gripe}: {literal[:100]}")
    return valid_mailhost_addr(literal[1:end], warn) is not None
