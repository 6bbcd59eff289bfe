import dns.flags
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.dns.wire import MalformedReply, decode_reply, encode_query


def test_a_query_asks_for_recursion_and_authenticity() -> None:
    message = dns.message.from_wire(encode_query("example.org", "MX", 0x1234, edns=True))
    assert message.id == 0x1234
    assert message.flags & dns.flags.RD
    assert message.flags & dns.flags.AD
    assert (message.edns, message.payload) == (0, 1232)
    assert dns.message.from_wire(encode_query("example.org", "MX", 1, edns=False)).edns == -1


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
