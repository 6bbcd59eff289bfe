"""What an SMTP server offers in its reply to EHLO (RFC 5321 4.1.1.1)."""

import re
from collections.abc import Callable

import msgspec

from gatepost.protocol.smtp_reply import SmtpReply


class Capabilities(msgspec.Struct, frozen=True):
    """The offers that matter to a client. `size_limit` in octets, 0: none known; `size`: MAIL may have SIZE=.

    `xforward`: attributes that XFORWARD may have, in upper case.
    """

    pipelining: bool = False
    size: bool = False
    size_limit: int = 0
    eightbitmime: bool = False
    dsn: bool = False
    smtputf8: bool = False
    enhancedstatuscodes: bool = False
    chunking: bool = False
    starttls: bool = False
    keywords: frozenset[str] = frozenset()
    xforward: frozenset[str] = frozenset()
    hostname: str = ""


_SEPARATORS = re.compile(r"[ \t=]+")

NOTHING = Capabilities()


def parse_capabilities(
    reply: SmtpReply, ignored: frozenset[str] = frozenset(), bad_size: Callable[[str], object] | None = None
) -> Capabilities:
    """Read the lines after the first. `ignored`: keywords in lower case to overlook (smtp_discard_ehlo_keywords).

    `bad_size` is called with the argument of a SIZE that is no number.
    """
    lines = reply.text.split("\n")
    hostname = (lines[0][4:].split(None, 1) or [""])[0]
    offered: dict[str, list[str]] = {}  # the arguments; a server may offer a thing twice
    for line in lines[1:]:
        # Some old servers write AUTH=LOGIN.
        keyword, *argument = _SEPARATORS.split(line[4:].strip(" \t="), maxsplit=1)
        keyword = keyword.lower()
        if keyword and keyword not in ignored:
            offered.setdefault(keyword, []).extend(argument)
    size_limit = 0
    for text in offered.get("size", ()):
        size = text.partition(" ")[0]
        if size.isascii() and size.isdigit():
            size_limit = int(size[:20])
        elif bad_size is not None:
            bad_size(size)
    return Capabilities(
        pipelining="pipelining" in offered,
        size="size" in offered,
        size_limit=size_limit,
        eightbitmime="8bitmime" in offered or "smtputf8" in offered,  # which implies it (RFC 6531 3.1)
        dsn="dsn" in offered,
        smtputf8="smtputf8" in offered,
        enhancedstatuscodes="enhancedstatuscodes" in offered,
        chunking="chunking" in offered,
        starttls="starttls" in offered,
        keywords=frozenset(offered),
        xforward=frozenset(" ".join(offered.get("xforward", ())).upper().split()),
        hostname=hostname,
    )
