"""Rewriting of the addresses in a message's headers (cleanup(8), ADDRESS_REWRITING_README).

A header is touched only if one of its addresses changes. Then it is put together anew from its tokens: one address
after another, folded so that lines stay short.
"""

import re
from collections.abc import Callable

from gatepost.mail import address_tokens
from gatepost.mail.headers import header_value
from gatepost.rewrite.rewrite import Context, Rewriter

# Headers whose every address is in standard form already (Rewriter.STANDARD_FORM), perhaps with a phrase or a comment:
# what nearly all mail has. They need no tokenizing.
_ADDRESS = rb"[0-9A-Za-z_+=~#$&'*/?^`{}.-]++@[0-9A-Za-z_-]++(?>(?:\.[0-9A-Za-z_-]++)+)"
_ELEMENT = (
    rb"[ \t\n]*+(?:"
    + _ADDRESS
    + rb'|(?>(?:[0-9A-Za-z_+=~#$&\'*/?^`{} \t\n-]++|"[^"\\\n]*+")*)<'
    + _ADDRESS
    + rb">)[ \t\n]*+(?>(?:\([^()\\\n]*+\)[ \t\n]*+)?)"
)
_STANDARD = re.compile(_ELEMENT + rb"(?>(?:," + _ELEMENT + rb")*)\Z")
_ODD_DOTS = re.compile(rb"\.[.@]|(?:\A|[ \t\n,<])\.")
_FOLD_AT = 70

# One address, with or without a phrase: what nearly all mail has, seen at a glance.
_ATOM = rb"[0-9A-Za-z_+=~#$&'*/?^`{}-]++"
_ONE = rb"%s(?>(?:\.%s)*)@[0-9A-Za-z_-]++(?>(?:\.[0-9A-Za-z_-]++)+)" % (_ATOM, _ATOM)
_PHRASE = rb"(?>(?:[0-9A-Za-z_+=~#$&'*/?^`{} -]++|\"[^\"\\\n]*+\")*)"
is_standard = re.compile(rb"[ \t]*+(?:%s|%s<%s>)\n" % (_ONE, _PHRASE, _ONE)).fullmatch
"""Is this header value (with its line end) such that rewriting would not change it? If not, it may all the same."""


class AddressHeaders:
    """Rewrites headers in one context. `token_limit`: header_address_token_limit; `warn` takes a log warning's text."""

    __slots__ = ("_context", "_rewriter", "_token_limit", "_warn")

    def __init__(self, rewriter: Rewriter, context: Context, token_limit: int, warn: Callable[[str], None]) -> None:
        self._rewriter = rewriter
        self._context: Context = context
        self._token_limit = token_limit
        self._warn = warn

    def rewrite(self, name: bytes, header: bytes) -> bytes | None:
        """The logical header `header` (with its line end) rewritten, or None if it stays as it is."""
        value = header_value(header).rstrip(b"\n")
        if not value or (_STANDARD.match(value) and not _ODD_DOTS.search(value)):
            return None
        tree = address_tokens.parse(value.decode("utf-8", "surrogateescape"), self._token_limit)
        changed = False
        for address in address_tokens.addresses(tree):
            before = address_tokens.externalize(address.children, inside_address=True)
            after = self._rewriter.rewrite(self._context, before)
            if after != before:
                address.children = address_tokens.scan(after)
                changed = True
        if not changed:
            return None
        text = address_tokens.externalize(tree, newlines=True, truncate=True, warn=self._warn)
        return fold_list(name, text.encode("utf-8", "surrogateescape"))


def fold_list(name: bytes, listed: bytes) -> bytes:
    """The header of a list of addresses: one element a line comes in, as many as fit go out on each line."""
    first, *more = (name + b": " + listed).split(b"\n")
    out = [first]
    length = len(first)
    for line in more:
        length += 1 + len(line)
        if length < _FOLD_AT:
            out.append(b" ")
        else:
            out.append(b"\n" if line[:1] in (b" ", b"\t") else b"\n\t")  # a comment without end goes on as it did
            length = len(line)
        out.append(line)
    out.append(b"\n")
    return b"".join(out)
