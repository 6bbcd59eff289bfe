from hypothesis import given
from hypothesis import strategies as st

from gatepost.cleanup.header_pass import MESSAGE_ID, HeaderPass, header_kinds, mark_mailbox_lines

KINDS = header_kinds("bcc, content-length, X-Drop:", rewrite=False)
PARTS = [
    b"To: a\n",
    b"Received: x\n y\n",
    b"bcc: z\n",
    b"X-Drop: 1\n\t2\n",
    b"S : t\n",
    b"Message-ID: <i>\n",
    b"\n",
    b"x\n",
    b" c\n",
]


def whole(text: bytes) -> tuple[bytes, bytes, int]:
    headers = HeaderPass(KINDS, None, 1000)
    used = headers.take(text, last=True)
    return b"".join(headers.out), text[used:], headers.hops


def test_drops_counts_and_tidies() -> None:
    text = b"To: a\nReceived: x\n y\nbcc: z\nX-DROP: 1\n\t2\nS : t\nReceived: q\n\nbody: x\n"
    assert whole(text) == (b"To: a\nReceived: x\n y\nS: t\nReceived: q\n", b"\nbody: x\n", 2)


def test_notes_what_was_there() -> None:
    headers = HeaderPass(KINDS, None, 1000)
    headers.take(b"Message-ID:\n <a@b> \n", last=True)
    assert headers.seen == MESSAGE_ID
    assert headers.message_ids == [(b"<a@b> ", False)]
    assert not headers.ended


def test_header_size_limit() -> None:
    headers = HeaderPass(KINDS, None, 20)
    headers.take(b"X: 1234567890\n 1234567890\n 123\nY: z\n", last=True)
    assert b"".join(headers.out) == b"X: 1234567890\n 12345\nY: z\n"


def test_mailbox_lines() -> None:
    assert (
        mark_mailbox_lines(b">>From a\nFrom b\nFrom: c\n")
        == b"X-Mailbox-Line: >>From a\nX-Mailbox-Line: From b\nFrom: c\n"
    )
    marked = b"X-Mailbox-Line: From a\n"
    assert mark_mailbox_lines(marked + b">From b\nA: b\n") == marked + b"X-Mailbox-Line: >From b\nA: b\n"
    assert mark_mailbox_lines(b"From") == b"From"
    assert mark_mailbox_lines(b"From a") == b"X-Mailbox-Line: From a"
    assert mark_mailbox_lines(b"") == b""


@given(st.lists(st.sampled_from(PARTS), max_size=12), st.integers(1, 20))
def test_pieces_give_what_the_whole_gives(parts: list[bytes], size: int) -> None:
    text = b"".join(parts)
    headers = HeaderPass(KINDS, None, 1000)
    pending = b""
    for at in range(0, len(text), size):
        pending += text[at : at + size]
        if not headers.ended:
            pending = pending[headers.take(pending, last=False) :]
    if not headers.ended:
        pending = pending[headers.take(pending, last=True) :]
    assert (b"".join(headers.out), pending, headers.hops) == whole(text)
