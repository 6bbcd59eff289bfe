from io import BytesIO
from zlib import crc32

import pytest

from gatepost.delivery.checked_content import DamagedContent, checked

TEXT = b"Subject: x\n\n" + b"some text\n" * 1000


def whole(file: object) -> bytes:
    found = b""
    while piece := file.read(1000):  # type: ignore[attr-defined]
        found += piece
    return found


def test_what_was_stored_comes_through_as_often_as_it_is_wanted() -> None:
    file = checked(BytesIO(TEXT), crc32(TEXT))
    assert whole(file) == TEXT
    file.seek(0)
    assert file.read(500) == TEXT[:500]
    file.seek(12)
    assert whole(file) == TEXT[12:]


@pytest.mark.parametrize("begin", [0, 12])
def test_other_octets_are_told_of_at_the_end(begin: int) -> None:
    changed = TEXT[:5] + b"?" + TEXT[6:]
    file = checked(BytesIO(changed), crc32(TEXT))
    file.seek(begin)
    with pytest.raises(DamagedContent, match="content file checksum mismatch"):
        whole(file)


def test_without_a_checksum_nothing_is_checked() -> None:
    assert whole(checked(BytesIO(TEXT), 0)) == TEXT
