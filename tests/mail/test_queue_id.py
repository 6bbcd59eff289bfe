import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.mail.queue_id import MAX_NUMBER, long_queue_id, queue_id_number, short_queue_id, valid_queue_id

NUMBERS = st.integers(1, MAX_NUMBER)


def test_the_short_form_looks_like_postfix() -> None:
    assert short_queue_id(1) == "96E3100001"
    assert short_queue_id(0x1234567)[5:] == "1234567"


@given(NUMBERS)
def test_short_form_carries_its_number(number: int) -> None:
    text = short_queue_id(number)
    assert len(text) >= 10
    assert queue_id_number(text) == number


@given(NUMBERS, st.floats(1e9, 1e11))
def test_long_form_carries_its_number(number: int, arrival: float) -> None:
    assert queue_id_number(long_queue_id(number, arrival)) == number


def test_long_form_sorts_by_arrival_and_has_no_vowels() -> None:
    early, late = long_queue_id(900, 1.7e9), long_queue_id(3, 1.7e9 + 0.5)
    assert early < late
    assert early[10] == "z"
    assert not set("aeiouAEIOU") & set(early + late)


def test_neighbours_differ_at_their_head() -> None:
    assert len({short_queue_id(number)[:5] for number in range(1, 1000)}) == 999


@pytest.mark.parametrize(
    "text",
    ["", "ALL", "123456789", "96e3100001", "96E310000G", "4aBcDz1", "../../etc/p", "B" * 9 + "z1", "Ä" * 10, "0" * 21],
)
def test_other_text_is_no_queue_id(text: str) -> None:
    assert not valid_queue_id(text)


def test_a_long_form_beyond_the_largest_number_is_none() -> None:
    assert queue_id_number("0" * 10 + "z" + "y" * 11) is None
