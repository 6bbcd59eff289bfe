import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.config.values import parse_bool, parse_int, parse_time, split_list, unit_of_default


@pytest.mark.parametrize(
    ("text", "seconds"), [("5", 18000), ("5s", 5), ("0", 0), ("2m", 120), ("1h", 3600), ("3d", 259200), ("1w", 604800)]
)
def test_times(text: str, seconds: int) -> None:
    assert parse_time(text, "h") == seconds


@pytest.mark.parametrize("text", ["", "x", "5x", "-1", "1.5h", "5 h", "5H", "99999999999d", "3551w", "١s"])
def test_bad_times(text: str) -> None:
    with pytest.raises(ValueError, match="bad time value or unit: "):
        parse_time(text, "s")


def test_default_units() -> None:
    assert [unit_of_default(text) for text in ("0h", "5d", "300s", "10")] == ["h", "d", "s", "s"]


def test_booleans() -> None:
    assert [parse_bool("x", text) for text in ("yes", "No", "YES")] == [True, False, True]
    for text in ("", "1", "true", "maybe"):
        with pytest.raises(ValueError, match=f"^bad boolean configuration: x = {text}$"):
            parse_bool("x", text)


def test_numbers() -> None:
    assert [parse_int("x", text) for text in ("10", "+10", "-1", "007")] == [10, 10, -1, 7]
    for text in ("", "abc", "10x", "99999999999", "1 0", "--1", "1" * 5000):
        with pytest.raises(ValueError, match=r"^bad numerical configuration: x = "):
            parse_int("x", text)


def test_lists_keep_braces_together() -> None:
    assert split_list("a, b\tc,,\n d") == ["a", "b", "c", "d"]
    text = "x { inet:host:1, timeout=10s } inline:{ a=b, {c = d} },y"
    assert split_list(text) == ["x", "{ inet:host:1, timeout=10s }", "inline:{ a=b, {c = d} }", "y"]


@given(st.text())
def test_nothing_but_value_errors(text: str) -> None:
    split_list(text)
    for parse in (lambda: parse_bool("x", text), lambda: parse_int("x", text), lambda: parse_time(text, "s")):
        try:
            parse()
        except ValueError:
            pass
