import pytest

from gatepost.config.compatibility import checked_level, compare_levels, parse_level
from gatepost.config.errors import ConfigError


def test_levels_compare_part_by_part() -> None:
    assert parse_level("3.6") == (3, 6, 0)
    assert compare_levels("3.10", "3.9") > 0
    assert compare_levels("3", "3.0.0") == 0
    assert compare_levels(" 2", "3.6") < 0


@pytest.mark.parametrize("text", ["", "a", "3.", "3.6.1.2", "-1", "3.x", "3.2000", "³"])
def test_what_is_no_level(text: str) -> None:
    with pytest.raises(ValueError, match="malformed compatibility level syntax"):
        parse_level(text)
    with pytest.raises(ConfigError) as caught:
        checked_level(text, "main.cf", 7)
    assert (caught.value.parameter, caught.value.line) == ("compatibility_level", 7)
