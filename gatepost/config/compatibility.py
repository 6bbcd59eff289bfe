"""Compatibility levels: `major[.minor[.patch]]` (COMPATIBILITY_README)."""

from gatepost.config.errors import ConfigError

_PART_LIMIT = 1023


def parse_level(text: str) -> tuple[int, int, int]:
    """The level as a tuple that compares as levels do; missing parts are 0. ValueError with Postfix's words."""
    parts = text.strip(" \t\r\n").split(".")
    if len(parts) > 3 or not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise ValueError(f'malformed compatibility level syntax: "{text}"')
    numbers = [int(part) for part in parts] + [0, 0]
    if max(numbers[1:3]) > _PART_LIMIT:
        raise ValueError(f'malformed compatibility level syntax: "{text}"')
    return numbers[0], numbers[1], numbers[2]


def compare_levels(left: str, right: str) -> int:
    """Negative, zero or positive, as `left` is lower than, equal to or higher than `right`. Raises ValueError."""
    left_level, right_level = parse_level(left), parse_level(right)
    return (left_level > right_level) - (left_level < right_level)


def checked_level(text: str, path: str = "", line: int = 0) -> tuple[int, int, int]:
    """As parse_level; raises ConfigError that names compatibility_level and where it was set."""
    try:
        return parse_level(text)
    except ValueError as problem:
        raise ConfigError(str(problem), path=path, line=line, parameter="compatibility_level") from None
