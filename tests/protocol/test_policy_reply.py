"""Answers of policy servers, whole and in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.protocol.policy_reply import REPLY_LIMIT, BadReply, ReplyReader


@pytest.mark.parametrize(
    ("octets", "action"),
    [
        (b"action=dunno\n\n", b"dunno"),
        (b"action=reject 5.7.1 a=b\n\n", b"reject 5.7.1 a=b"),
        (b"x=y\naction=one\naction=two\n\n", b"one"),
        (b"action=\n\n", b""),
        (b"=x\nnonsense\naction=ok\n\n", b"ok"),
        (b"action=no\0thing\n\n", b"no"),
        (b"action=ok\n\nmore", b"ok"),
    ],
)
def test_the_first_action_is_the_answer(octets: bytes, action: bytes) -> None:
    assert ReplyReader().feed(octets) == action
    reader = ReplyReader()
    answers = []
    for number in range(len(octets)):
        answers.append(reader.feed(octets[number : number + 1]))
        if answers[-1] is not None:
            break
    assert answers[-1] == action


@pytest.mark.parametrize(
    "octets", [b"\n", b"\n\n", b"garbage\n\n", b"Action=ok\n\n", b"xaction=ok\n\n", b"action =ok\n\n"]
)
def test_an_answer_without_action_is_none(octets: bytes) -> None:
    with pytest.raises(BadReply) as bad:
        ReplyReader().feed(octets)
    assert bad.value.complaint == "missing attribute action in input from {}"


@pytest.mark.parametrize("octets", [b"action\n\n", b"action\n", b"a=b\naction\n"])
def test_an_action_without_value_is_told_as_such(octets: bytes) -> None:
    with pytest.raises(BadReply) as bad:
        ReplyReader().feed(octets)
    assert bad.value.complaint == "missing value for string attribute action from {}"


def test_there_is_an_end_to_patience() -> None:
    reader = ReplyReader()
    with pytest.raises(BadReply):
        for _ in range(REPLY_LIMIT // 1000 + 2):
            reader.feed(b"x" * 1000)


@pytest.mark.parametrize(
    ("octets", "complaint"),
    [
        (b"", ""),
        (b"gar", "timeout on {} while reading input attribute name"),
        (b"a=b\n", "timeout on {} while reading input attribute name"),
        (b"a=b", "timeout on {} while reading input attribute value"),
        (b"a=b\nc=d", "timeout on {} while reading input attribute value"),
    ],
)
def test_what_is_missing_is_told(octets: bytes, complaint: str) -> None:
    reader = ReplyReader()
    if octets:
        assert reader.feed(octets) is None
    assert reader.broken_off("timeout") == complaint


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_octets_raise_anything_else(pieces: list[bytes]) -> None:
    reader = ReplyReader()
    for piece in pieces:
        try:
            if reader.feed(piece) is not None:
                return
        except BadReply:
            return
    reader.broken_off("timeout")
