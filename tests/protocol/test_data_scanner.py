"""The end of data is where RFC 5321 says, however the octets are cut; what comes out is the content."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.protocol.data_scanner import BareScanner, ChunkReader, DataScanner

CASES = [
    # wire octets, content, what came behind the end (None: no end)
    (b".\r\n", b"", b""),
    (b"a\r\n.\r\n", b"a\n", b""),
    (b"a\r\n.\r\nQUIT\r\n", b"a\n", b"QUIT\r\n"),
    (b"..\r\n...\r\n.x\r\n.\r\n", b".\n..\nx\n", b""),
    (b"a\r\n\r\n\r\nb\r\n.\r\n", b"a\n\n\nb\n", b""),
    (b"stray\rcr\r\n.\r\n", b"stray\rcr\n", b""),
    (b"two\r\r\n.\r\n", b"two\r\n", b""),
    # Smuggling: none of these ends the message.
    (b"a\n.\nb\r\n.\r\n", b"a\nb\n", b""),
    (b"a\r\n.\nb\r\n.\r\n", b"a\nb\n", b""),
    (b"a\n.\r\nb\r\n.\r\n", b"a\nb\n", b""),
    (b"a\r.\rb\r\n.\r\n", b"a\r.\rb\n", b""),
    (b"a\r\n.\rb\r\n.\r\n", b"a\n\rb\n", b""),
    (b"a\r\n.\r\r\nb\r\n.\r\n", b"a\n\r\nb\n", b""),
    (b"a\r.\r\nb\r\n.\r\n", b"a\r.\nb\n", b""),
    (b"a\n.\n.\n.\r\n.\r\n", b"a\n", b""),
    (b".\n.\nb\r\n.\r\n", b"b\n", b""),
    (b"..\n.\n..\r\n.\r\n", b".\n.\n", b""),
]  # fmt: skip


def scan(pieces: list[bytes], scanner: DataScanner) -> tuple[bytes, bytes | None]:
    out = b""
    for number, piece in enumerate(pieces):
        out += scanner.feed(piece)
        if scanner.done:
            return out, scanner.rest + b"".join(pieces[number + 1 :])
    return out, None


@pytest.mark.parametrize(("wire", "content", "rest"), CASES)
def test_whole_and_byte_by_byte(wire: bytes, content: bytes, rest: bytes) -> None:
    assert scan([wire], DataScanner()) == (content, rest)
    assert scan([wire[i : i + 1] for i in range(len(wire))], DataScanner()) == (content, rest)
    for cut in range(len(wire)):
        assert scan([wire[:cut], wire[cut:]], DataScanner()) == (content, rest)


def test_octets_are_those_of_the_wire_without_stuffing() -> None:
    scanner = DataScanner()
    scanner.feed(b"Subject: x\r\n\r\n..a\r\n.\r\n")
    assert scanner.octets == len(b"Subject: x\r\n\r\n.a\r\n")


def test_a_bare_newline_is_noticed() -> None:
    for wire, bare in ((b"a\r\nb\r\n.\r\n", False), (b"a\nb\r\n.\r\n", True), (b"\n.\r\n.\r\n", True)):
        scanner = DataScanner()
        scan([wire[i : i + 1] for i in range(len(wire))], scanner)
        assert scanner.done
        assert scanner.bare_newline is bare


def test_a_client_that_knows_no_crlf() -> None:
    for wire in (b"a\n..b\n.\nQUIT\n", b"a\n..b\n.\r\nQUIT\n"):
        scanner = BareScanner()
        assert scan([wire], scanner) == (b"a\n.b\n", b"QUIT\n")
        assert scan([wire[i : i + 1] for i in range(len(wire))], BareScanner()) == (b"a\n.b\n", b"QUIT\n")


pieces_of_trouble = st.lists(
    st.sampled_from([b"\r", b"\n", b".", b"a", b"\r\n", b"\r\n.", b"\r\n.\r\n", b"\x00\xff"]), max_size=30
)


@given(pieces_of_trouble, st.data())
def test_cutting_changes_nothing(parts: list[bytes], data: st.DataObject) -> None:
    wire = b"".join(parts) + b"\r\n.\r\n"
    whole = DataScanner()
    expected = scan([wire], whole)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    cut = DataScanner()
    assert scan(pieces, cut) == expected
    assert (cut.octets, cut.bare_newline) == (whole.octets, whole.bare_newline)
    end = (b"\r\n" + wire).find(b"\r\n.\r\n")
    assert expected[1] == (b"\r\n" + wire)[end + 5 :]
    assert expected[0] == b"" or expected[0].endswith(b"\n")


@given(pieces_of_trouble, st.data())
def test_chunks(parts: list[bytes], data: st.DataObject) -> None:
    wire = b"".join(parts)
    reader = ChunkReader()
    reader.left = len(wire)
    out = reader.feed(wire) + reader.finish()
    assert reader.left == 0
    expected = wire.replace(b"\r\n", b"\n")
    assert out == (expected if not expected or expected.endswith(b"\n") else expected + b"\n")
    assert reader.octets == len(out) + out.count(b"\n")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    again = ChunkReader()
    joined = (
        b"".join(again.feed(wire[a:b]) for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)) + again.finish()
    )
    assert (joined, again.octets, again.bare_newline) == (out, reader.octets, reader.bare_newline)
