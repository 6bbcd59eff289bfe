"""Typed answers of the resolver. Names are without the final dot, in lower case."""

from typing import Literal, Protocol

import msgspec

RRType = Literal["A", "AAAA", "MX", "PTR", "NS", "TXT", "CNAME", "TLSA", "SRV", "SOA"]
Outcome = Literal["found", "no_name", "no_data", "try_again", "invalid"]


class Record(msgspec.Struct, frozen=True):
    """One resource record. `data`: address, host name (MX: without preference) or joined text; `preference`: MX, SRV.

    TLSA: usage, selector, matching type, octets in hex (none if the record is cut short). Host names have no final dot;
    the root, which makes a null MX (RFC 7505), is the empty string.
    """

    name: str
    type: RRType
    data: str
    preference: int = 0
    ttl: int = 0


class Answer(msgspec.Struct, frozen=True):
    """What came of one question.

    found: `records` is not empty. no_name: NXDOMAIN. no_data: the name is there, not the type.
    try_again: SERVFAIL, time-out, refused: cannot tell now. invalid: a malformed reply or an invalid name.
    `ttl` in seconds; `authentic`: by DNSSEC, as a validating server told (AD bit), every alias on the way included;
    `reason` is for the log. `malformed`: host names in the answer that are none, and whose records have been left out.
    """

    outcome: Outcome
    records: tuple[Record, ...] = ()
    ttl: int = 0
    authentic: bool = False
    reason: str = ""
    malformed: tuple[str, ...] = ()


class Resolver(Protocol):
    """Ask DNS one question; never raises. CNAMEs are followed."""

    async def query(self, name: str, rrtype: RRType) -> Answer: ...
