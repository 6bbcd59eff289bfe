import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.mail.date import compact_utc, mail_date


@pytest.mark.parametrize(
    ("seconds", "offset", "zone", "text"),
    [
        (1795361716, 0, "UTC", "Sun, 22 Nov 2026 15:35:16 +0000 (UTC)"),
        (1769997845.9, 3600, "CET", "Mon,  2 Feb 2026 03:04:05 +0100 (CET)"),
        (0, -12600, "NST", "Wed, 31 Dec 1969 20:30:00 -0330 (NST)"),
        (0, 20700, "", "Thu,  1 Jan 1970 05:45:00 +0545"),
        (0, 0, "a)b", "Thu,  1 Jan 1970 00:00:00 +0000"),
    ],
)
def test_mail_date(seconds: float, offset: int, zone: str, text: str) -> None:
    assert mail_date(seconds, offset, zone) == text


def test_compact_utc() -> None:
    assert compact_utc(1769997845) == "20260202020405"


@given(st.floats(), st.integers(-86400, 86400), st.text(max_size=5))
def test_any_number_is_a_date(seconds: float, offset: int, zone: str) -> None:
    assert mail_date(seconds, offset, zone).partition(" (")[0].count(":") == 2
    assert len(compact_utc(seconds)) == 14
