import dns.flags
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.dns.wire import MalformedReply, decode_reply, encode_query


def test_a_query_asks_for_recursion() -> None:
    message = dns.message.from_wire(encode_query("example.org", "MX", 0x1234, edns=True))
    assert message.id == 0x1234
    assert message.flags & dns.flags.RD
    assert not (message.flags & dns.flags.AD or message.ednsflags & dns.flags.DO)
    assert (message.edns, message.payload) == (0, 1232)
    assert dns.message.from_wire(encode_query("example.org", "MX", 1, edns=False)).edns == -1


def test_a_query_asks_for_authenticity_where_that_counts() -> None:
    message = dns.message.from_wire(encode_query("example.org", "MX", 1, edns=True, dnssec=True))
    assert message.flags & dns.flags.AD
    assert message.ednsflags & dns.flags.DO
    plain = dns.message.from_wire(encode_query("example.org", "MX", 1, edns=False, dnssec=True))
    assert (plain.edns, plain.flags & dns.flags.AD) == (-1, dns.flags.AD)


@pytest.mark.parametrize(
    ("octets", "data"),
    [
        ("030101" + "ab" * 32, "3 1 1 " + "ab" * 32),
        ("03010100ff", "3 1 1 00ff"),  # of no use, which is for others to tell
        ("0301", "3 1 255 "),
        ("", "255 255 255 "),
    ],
)
def test_tlsa_records_of_any_length(octets: str, data: str) -> None:
    query = dns.message.from_wire(encode_query("_25._tcp.example.org", "TLSA", 7, edns=True))
    reply = dns.message.make_response(query)
    rdata = dns.rdata.GenericRdata(dns.rdataclass.IN, dns.rdatatype.TLSA, bytes.fromhex(octets))
    reply.answer.append(dns.rrset.from_rdata("_25._tcp.example.org.", 60, rdata))
    assert [r.data for r in decode_reply(reply.to_wire(), "_25._tcp.example.org", "TLSA", 7).records] == [data]


@given(st.binary(max_size=300))
def test_rubbish_is_malformed_never_anything_else(wire: bytes) -> None:
    with pytest.raises(MalformedReply):
        decode_reply(wire, "example.org", "A", 1)


@given(st.integers(0, 120), st.binary(min_size=1, max_size=40))
def test_damaged_replies_are_read_or_malformed(position: int, damage: bytes) -> None:
    query = dns.message.from_wire(encode_query("example.org", "MX", 7, edns=True))
    reply = dns.message.make_response(query)
    for text in ("example.org. 60 IN CNAME a.example.", "a.example. 60 IN MX 10 mail.example."):
        name, ttl, _, rrtype, *rest = text.split()
        reply.answer.append(dns.rrset.from_text(name, int(ttl), "IN", rrtype, " ".join(rest)))
    wire = bytearray(reply.to_wire())
    wire[position : position + len(damage)] = damage
    try:
        decode_reply(bytes(wire), "example.org", "MX", 7)
    except MalformedReply:
        pass


def test_replies_to_other_questions_are_refused() -> None:
    reply = dns.message.make_response(dns.message.from_wire(encode_query("example.org", "MX", 7, edns=True)))
    wire = reply.to_wire()
    assert decode_reply(wire, "example.org", "MX", 7).rcode == "NOERROR"
    for name, rrtype, query_id in (("example.com", "MX", 7), ("example.org", "A", 7), ("example.org", "MX", 8)):
        with pytest.raises(MalformedReply):
            decode_reply(wire, name, rrtype, query_id)  # type: ignore[arg-type]
