"""Text in braces, as in `inline:{key=value, {key = longer text}}`."""

from gatepost.config.errors import ConfigError
from gatepost.config.values import split_list
from gatepost.tables.source import BLANKS, key_end

SEPARATORS = ", \t\r\n"


class BraceError(ValueError):
    """Braces that do not fit together, or text where none may be."""


def balanced(text: str) -> int:
    """Length of the `{...}` that `text` starts with; 0 if it has none or no end."""
    level = 0
    for index, char in enumerate(text):
        if char == "{":
            level += 1
        elif char == "}":
            level -= 1
            if level <= 0:
                return index + 1 if level == 0 else 0
        elif level == 0:
            return 0
    return 0


def is_braced(text: str) -> bool:
    """Is `text` one `{...}`, all of it, and not empty inside?"""
    return len(text) > 2 and balanced(text) == len(text)


def strip_braces(text: str) -> str:
    """What is inside `{...}`, without the blanks around it. Raises BraceError."""
    if not text.startswith("{"):
        raise BraceError(f"no '{{' at start of text in \"{text}\"")
    length = balanced(text)
    if not length:
        raise BraceError(f"missing '}}' in \"{text}\"")
    if text[length:].strip(BLANKS):
        raise BraceError(f"syntax error after '}}' in \"{text}\"")
    return text[1 : length - 1].strip(BLANKS)


def split_items(text: str) -> list[str]:
    """Items between commas and blanks; what stands in braces is one item, braces kept (mystrtokq(3))."""
    return split_list(text, SEPARATORS)


def inline_rules(kind: str, text: str) -> list[tuple[int, str]]:
    """The rules of `cidr:{{rule}, {rule}}` or pcre, regexp, numbered from 1. Raises ConfigError."""
    try:
        rules = [(number, strip_braces(item)) for number, item in enumerate(split_items(strip_braces(text)), 1)]
    except BraceError as error:
        raise ConfigError(f"{kind} map: {error}") from None
    return [(number, rule) for number, rule in rules if rule]


def split_name_value(text: str) -> tuple[str, str]:
    """`name = value`; the name may hold quoted text. Raises BraceError."""
    text = text.strip(BLANKS)
    end, _ = key_end(text, f"={BLANKS}")
    rest = text[end:].lstrip(BLANKS)
    if not rest.startswith("="):
        raise BraceError("missing '=' after attribute name")
    return text[:end], rest[1:].strip(BLANKS)
