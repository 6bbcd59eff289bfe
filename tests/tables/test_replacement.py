import pytest

from gatepost.tables.replacement import NegativeMatch, OutOfRange, ReplacementError, parse_replacement


def test_expansion() -> None:
    text = parse_replacement("a$1${2}$(1) $$1 $1/", 2, negated=False)
    assert text.plain is None
    assert text.expand((b"x", None)) == "axx $1 x/"
    assert parse_replacement("a $$ b", 0, negated=True).plain == "a $ b"


@pytest.mark.parametrize("text", ["$", "$ x", "${1", "$(1", "${}", "$x", "${1?x}", "$1x", "$0"])
def test_bad_syntax(text: str) -> None:
    with pytest.raises(ReplacementError):
        parse_replacement(text, 9, negated=False)


def test_numbers() -> None:
    with pytest.raises(OutOfRange):
        parse_replacement("$3", 2, negated=False)
    with pytest.raises(NegativeMatch):
        parse_replacement("$1", 2, negated=True)
    with pytest.raises(OutOfRange):
        parse_replacement("$99999999999999999999", 2, negated=False)
