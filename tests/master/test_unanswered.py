import pytest

from gatepost.master import unanswered
from gatepost.master.unanswered import Unanswered

Told = list[tuple[bool, int, int]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(unanswered, "MOST_MESSAGES", 10)
    monkeypatch.setattr(unanswered, "MOST_OCTETS", 1000)
    return []


def test_too_many_messages_and_half_of_them_again(told: Told) -> None:
    waiting = Unanswered(lambda *what: told.append(what))
    for ticket in range(10):
        waiting.given(ticket, 1)
    assert told == []
    waiting.given(10, 1)
    waiting.given(11, 1)
    assert told == [(True, 11, 11)]
    for ticket in range(7):
        waiting.answered(ticket)
    assert len(told) == 1
    waiting.answered(7)
    assert told[1:] == [(False, 4, 4)]


def test_too_many_octets(told: Told) -> None:
    waiting = Unanswered(lambda *what: told.append(what))
    waiting.given(1, 600)
    waiting.given(2, 401)
    assert told == [(True, 2, 1001)]
    waiting.answered(1)
    assert told[1:] == [(False, 1, 401)]


def test_answers_to_something_else_and_second_answers_do_not_count(told: Told) -> None:
    waiting = Unanswered(lambda *what: told.append(what))
    waiting.given(1, 600)
    waiting.answered(7)
    waiting.answered(1)
    waiting.answered(1)
    waiting.given(2, 1000)
    assert told == []
    waiting.given(3, 1)
    assert told == [(True, 2, 1001)]
