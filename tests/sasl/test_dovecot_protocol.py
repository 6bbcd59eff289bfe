"""Dovecot's protocol: what it says in any pieces, and what it had better not say."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.sasl import dovecot_protocol as protocol
from gatepost.sasl.dovecot_protocol import Answer, DovecotError, DovecotReader
from gatepost.sasl.security import Properties, SecurityOptions, allowed

SAID = (
    b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tCRAM-MD5\tdictionary\tactive\nMECH\tX\tprivate\n"
    b"MECH\tY\tforward-secrecy\tmutual-auth\tnew\nMECH\tANONYMOUS\tanonymous\nSPID\t1\nCUID\t2\nDONE\n"
    b"CONT\t1\tVXNlcm5hbWU6\nCONT\t2\nWHAT\t1\nOK\tx\nOK\t3\tuser=joe\tuser=ann\tnologin\nFAIL\t4\tuser=a\tcode=temp_fail\n"
)


@given(st.lists(st.integers(0, len(SAID)), max_size=9))
def test_it_may_be_cut_anywhere(cuts: list[int]) -> None:
    reader, answers = DovecotReader(), []
    places = [0, *sorted(cuts), len(SAID)]
    for start, end in pairwise(places):
        answers += reader.feed(SAID[start:end])
    assert reader.mechanisms == {
        "PLAIN": Properties.PLAINTEXT,
        "CRAM-MD5": Properties.DICTIONARY | Properties.ACTIVE,
        "Y": Properties.FORWARD_SECRECY | Properties.MUTUAL_AUTH,
        "ANONYMOUS": Properties.ANONYMOUS,
    }
    assert answers == [
        Answer("CONT", 1, "VXNlcm5hbWU6"),
        Answer("CONT", 2, None),
        Answer("OK", 3, None, {"user": "ann", "nologin": ""}),
        Answer("FAIL", 4, None, {"user": "a", "code": "temp_fail"}),
    ]


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(SAID.splitlines(keepends=True))), max_size=20))
def test_rubbish(pieces: list[bytes]) -> None:
    reader = DovecotReader()
    try:
        for piece in pieces:
            for answer in reader.feed(piece):
                assert answer.verb in ("OK", "CONT", "FAIL")
    except DovecotError as error:
        assert str(error)


@pytest.mark.parametrize("said", [
    b"VERSION\t2\t0\n", b"VERSION\n", b"MECH\tPLAIN\nDONE\n", b"VERSION\t1\t0\nDONE\nOK\n",
    b"x" * (protocol.LINE_LIMIT + 1),
])  # fmt: skip
def test_what_ends_the_connection(said: bytes) -> None:
    with pytest.raises(DovecotError):
        DovecotReader().feed(said)


def test_requests() -> None:
    assert protocol.authenticate(7, "PLAIN", ["service=smtp"], None) == b"AUTH\t7\tPLAIN\tservice=smtp\n"
    assert protocol.authenticate(7, "PLAIN", [], "") == b"AUTH\t7\tPLAIN\tresp==\n"
    assert protocol.authenticate(7, "PLAIN", [], "AAAA") == b"AUTH\t7\tPLAIN\tresp=AAAA\n"
    for word in ("a\tb", "a\nb", "a\0b"):
        with pytest.raises(ValueError):
            protocol.authenticate(7, word, [], None)
        with pytest.raises(ValueError):
            protocol.go_on(7, word)


def test_options() -> None:
    options = SecurityOptions
    assert allowed(Properties.PLAINTEXT, options.NOANONYMOUS)
    assert not allowed(Properties.PLAINTEXT, options.NOPLAINTEXT)
    assert not allowed(Properties.PLAINTEXT, options.MUTUAL_AUTH)
    assert not allowed(Properties.MUTUAL_AUTH | Properties.ACTIVE, options.MUTUAL_AUTH | options.NOACTIVE)
    assert allowed(Properties.MUTUAL_AUTH | Properties.FORWARD_SECRECY, options.MUTUAL_AUTH | options.FORWARD_SECRECY)
