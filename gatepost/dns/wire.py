"""Questions to octets, replies to records. dnspython knows the wire format; nothing else here does."""

import struct
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import msgspec

from gatepost.dns.answers import Record, RRType

EDNS_PAYLOAD = 1232  # octets; fits one unfragmented IPv6 packet
CNAME_LIMIT = 10  # as Postfix's dns_lookup

_MALFORMED = (dns.exception.DNSException, ValueError, struct.error, IndexError, KeyError)

# Private: dnspython's own class takes no record whose length does not fit its digest, and with it refuses the whole
# reply. To us that is a record which is of no use, one of several maybe (RFC 7671 4.1), and no fault of the server.
dns.rdata._rdata_classes[dns.rdataclass.IN, dns.rdatatype.TLSA] = dns.rdata.GenericRdata


class MalformedReply(Exception):
    """The octets are no DNS message, or not the answer to the question that was asked."""


class Reply(msgspec.Struct, frozen=True):
    """A reply as far as it matters. `target` is where the CNAME chain in it ends; `negative_ttl` is in seconds."""

    rcode: str
    truncated: bool
    authentic: bool
    records: tuple[Record, ...]
    target: str
    ttl: int
    negative_ttl: int
    hops: int


def encode_query(name: str, rrtype: RRType, query_id: int, *, edns: bool, dnssec: bool = False) -> bytes:
    """The question, with recursion desired; `dnssec`: with AD and DO set as well, "tell me whether it is authentic"
    (RFC 6840 5.7; there are servers that look at DO alone).

    Raises ValueError if `name` cannot be a domain name.
    """
    try:
        message = dns.message.make_query(
            dns.name.from_text(name),
            rrtype,
            use_edns=0 if edns else False,
            payload=EDNS_PAYLOAD if edns else None,
            id=query_id,
            flags=dns.flags.RD | (dns.flags.AD if dnssec else 0),
            want_dnssec=dnssec and edns,
        )
        return message.to_wire()
    except dns.exception.DNSException as exc:
        raise ValueError(str(exc)) from exc


def decode_reply(wire: bytes, name: str, rrtype: RRType, query_id: int) -> Reply:
    """Read the reply to (`name`, `rrtype`, `query_id`). Raises MalformedReply and nothing else."""
    try:
        message = dns.message.from_wire(wire, ignore_trailing=True)
        _check_question(message, name, rrtype, query_id)
        return _digest(message, name, rrtype)
    except _MALFORMED as exc:
        raise MalformedReply(str(exc)) from exc


def _check_question(message: dns.message.Message, name: str, rrtype: RRType, query_id: int) -> None:
    if message.id != query_id or not message.flags & dns.flags.QR:
        raise ValueError("not our reply")
    if not message.question:
        # Servers that cannot read a question may leave it out (RFC 1035 4.1.1, FORMERR).
        if message.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise ValueError("no question in reply")
        return
    question = message.question[0]
    if host_text(question.name) != name or question.rdtype != dns.rdatatype.from_text(rrtype):
        raise ValueError("reply to another question")


def _digest(message: dns.message.Message, name: str, rrtype: RRType) -> Reply:
    wanted = dns.rdatatype.from_text(rrtype)
    aliases: dict[str, dns.rrset.RRset] = {}
    found: dict[str, dns.rrset.RRset] = {}
    for rrset in message.answer:
        if rrset.rdclass != dns.rdataclass.IN:
            continue
        if rrset.rdtype == wanted:
            found[host_text(rrset.name)] = rrset
        elif rrset.rdtype == dns.rdatatype.CNAME:
            aliases[host_text(rrset.name)] = rrset
    target, hops, ttl = name, 0, 1 << 31
    while target not in found and target in aliases and hops <= CNAME_LIMIT:
        ttl = min(ttl, aliases[target].ttl)
        target = host_text(aliases[target][0].target)
        hops += 1
    records: tuple[Record, ...] = ()
    if target in found:
        rrset = found[target]
        ttl = min(ttl, rrset.ttl)
        records = tuple(_record(target, rrtype, rdata, rrset.ttl) for rdata in rrset)
    return Reply(
        rcode=dns.rcode.to_text(message.rcode()),
        truncated=bool(message.flags & dns.flags.TC),
        authentic=bool(message.flags & dns.flags.AD),
        records=records,
        target=target,
        ttl=ttl if records or hops else 0,
        negative_ttl=_negative_ttl(message),
        hops=hops,
    )


def _negative_ttl(message: dns.message.Message) -> int:
    """RFC 2308 5: the smaller of the SOA's own TTL and its minimum field; 0 without an SOA."""
    for rrset in message.authority:
        if rrset.rdtype == dns.rdatatype.SOA and len(rrset) > 0:
            return min(rrset.ttl, int(rrset[0].minimum))
    return 0


def host_text(name: dns.name.Name) -> str:
    """A name as our records carry it: lower case, no final dot; the root is the empty string."""
    return name.to_text(omit_final_dot=True).lower() if len(name) > 1 else ""


def _record(owner: str, rrtype: RRType, rdata: Any, ttl: int) -> Record:
    # dnspython's record classes have their fields only at run time, hence Any.
    data, preference = "", 0
    match rrtype:
        case "MX":
            data, preference = host_text(rdata.exchange), rdata.preference
        case "PTR" | "NS" | "CNAME":
            data = host_text(rdata.target)
        case "TXT":
            data = b"".join(rdata.strings).decode("utf-8", "replace")
        case "TLSA":
            usage, selector, matching = (*rdata.data[:3], 255, 255, 255)[:3]
            data = f"{usage} {selector} {matching} {rdata.data[3:].hex()}"
        case "SRV":
            data, preference = f"{rdata.weight} {rdata.port} {host_text(rdata.target)}", rdata.priority
        case _:
            data = rdata.to_text()
    return Record(owner, rrtype, data, preference, ttl)
