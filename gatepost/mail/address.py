"""Mail addresses: their parts, and the paths of MAIL FROM and RCPT TO.

Addresses are plain `str` in internal (unquoted) form unless a name says otherwise; "" is the null sender.
"""

import re

from gatepost.mail import address_tokens

_NEVER_SPLIT = frozenset(("postmaster", "mailer-daemon"))

# What nearly every client sends. Free of specials, so that tokenizing would give the same text back; the domain may be
# an address literal. The null path is handled apart.
_PLAIN_PATH = re.compile(
    r'<([^\x00-\x20\x7f()<>@,;:\\"\[\]]+@(?:[^\x00-\x20\x7f()<>@,;:\\"\[\]]+|\[[0-9A-Za-z.:]+\]))>'
)


def fold(text: str) -> str:
    """Text as tables and lists compare it: without case, beyond ASCII too."""
    return text.lower() if text.isascii() else text.casefold()


def split_address(address: str) -> tuple[str, str | None]:
    """Local part and domain, parted at the last "@"; the domain is None where there is no "@"."""
    local, at, domain = address.rpartition("@")
    return (local, domain) if at else (address, None)


def localpart_of(address: str) -> str:
    """What stands before the last "@", the whole if there is none."""
    return address.rpartition("@")[0] if "@" in address else address


def split_extension(
    localpart: str,
    delimiter: str,
    *,
    owner_request_special: bool = True,
    double_bounce_sender: str = "double-bounce",
) -> tuple[str, str | None]:
    """User and address extension of an internal local part (`user+ext` to `user`, `ext`); None: it has no extension.

    `delimiter` is recipient_delimiter: each of its characters parts, the first occurrence counts. Some names are never
    split: postmaster, mailer-daemon, the double bounce sender and, where "-" is a delimiter, owner-foo and foo-request
    (owner_request_special). Nor would the user be left empty.
    """
    if not delimiter:
        return localpart, None
    cut = -1
    if len(delimiter) == 1:
        cut = localpart.find(delimiter)
    else:
        cut = next((number for number, char in enumerate(localpart) if char in delimiter), -1)
    if cut <= 0:
        return localpart, None
    name = fold(localpart)
    if name in _NEVER_SPLIT or name == fold(double_bounce_sender):
        return localpart, None
    if (
        owner_request_special
        and "-" in delimiter
        and (name.startswith("owner-") or (len(name) > 8 and name.endswith("-request")))
    ):
        return localpart, None
    return localpart[:cut], localpart[cut + 1 :]


def parse_path(text: str, *, strict: bool, allow_empty: bool = True) -> str | None:
    """The internal address of a MAIL FROM or RCPT TO argument, without its ESMTP parameters; None: bad syntax.

    Lenient as Postfix's server is, for clients that send RFC 822 forms: the brackets may be missing, comments and
    phrases are dropped, source routes too. `strict` (strict_rfc821_envelopes) wants `<address>` and nothing else.
    "" is the null address: `<>`, and with `allow_empty=False` (recipients) an error. A result still has to pass
    resolving: only there are bad domains found.
    """
    plain = _PLAIN_PATH.fullmatch(text)
    if plain is not None:
        return plain.group(1)
    if text == "<>":
        return "" if allow_empty else None
    return _parse_odd_path(text, strict, allow_empty)


def _parse_odd_path(text: str, strict: bool, allow_empty: bool) -> str | None:
    inner = text[1:-1] if len(text) >= 2 and text[0] == "<" and text[-1] == ">" else text
    if inner.startswith("@"):
        _, colon, behind = inner.partition(":")
        if colon:
            inner = behind
    found: list[address_tokens.Token] = []
    other = 0
    for token in address_tokens.parse(inner):
        if token.kind == address_tokens.ADDR:
            found.append(token)
        elif token.kind not in ("<", ">"):
            other += 1
    if len(found) > 1 or (strict and (other or not text.startswith("<"))):
        return None
    address = address_tokens.internalize(found[0].children, inside_address=True) if found else ""
    if (not address and not allow_empty) or (strict and address.startswith("@")):
        return None
    return address
