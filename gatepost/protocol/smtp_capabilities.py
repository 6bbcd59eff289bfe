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
    offered: dict[str, str] = {}
    for line in lines[1:]:
        # Some old servers write AUTH=LOGIN.
        keyword, *argument = _SEPARATORS.split(line[4:].strip(" \t="), maxsplit=1)
        keyword = keyword.lower()
        if keyword and keyword not in ignored:
            offered[keyword] = " ".join(argument).strip()
    size_limit = 0
    size_text = offered.get("size", "")
    if size_text.isascii() and size_text.isdigit():
        size_limit = int(size_text[:20])
    elif size_text and bad_size is not None:
        bad_size(size_text)
    return Capabilities(
        pipelining="pipelining" in offered,
        size="size" in offered,
        size_limit=size_limit,
        eightbitmime="8bitmime" in offered,
        dsn="dsn" in offered,
        smtputf8="smtputf8" in offered,
        enhancedstatuscodes="enhancedstatuscodes" in offered,
        chunking="chunking" in offered,
        starttls="starttls" in offered,
        keywords=frozenset(offered),
        xforward=frozenset(offered["xforward"].upper().split()) if "xforward" in offered else frozenset(),
        hostname=hostname,
    )
