"""The texts of main.cf as values: booleans, numbers, times and lists, with Postfix's words when they are none."""

from gatepost.config.logical_lines import BLANKS

# conv_time(3): seconds per unit.
TIME_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
# Postfix keeps numbers and times in a C int, sizes in a C long.
INT_MAX = 2**31 - 1
INT_MIN = -(2**31)
LONG_MAX = 2**63 - 1
LONG_MIN = -(2**63)


def parse_bool(name: str, text: str) -> bool:
    """`yes` or `no` in any case. ValueError otherwise."""
    folded = text.lower()
    if folded == "yes":
        return True
    if folded == "no":
        return False
    raise ValueError(f"bad boolean configuration: {name} = {text}")


def parse_int(name: str, text: str, lowest: int = INT_MIN, highest: int = INT_MAX) -> int:
    """A decimal number within C's limits. ValueError otherwise."""
    digits = text.lstrip(BLANKS)
    unsigned = digits[1:] if digits[:1] in ("+", "-") else digits
    if (
        unsigned.isascii()
        and unsigned.isdigit()
        and len(unsigned) < 40
        and lowest <= (number := int(digits)) <= highest
    ):
        return number
    raise ValueError(f"bad numerical configuration: {name} = {text}")


def parse_time(text: str, default_unit: str) -> int:
    """A time in seconds: digits and one of s m h d w; without a unit, `default_unit` is meant. ValueError otherwise."""
    digits, unit = text, default_unit
    if text[-1:] in TIME_UNITS:
        digits, unit = text[:-1], text[-1]
    if digits.isascii() and digits.isdigit() and len(digits) < 20:
        seconds = int(digits) * TIME_UNITS[unit]
        if seconds <= INT_MAX:
            return seconds
    raise ValueError(f"bad time value or unit: {text}")


def unit_of_default(text: str) -> str:
    """The unit of a time without one: the first letter of the parameter's expanded default; `s` if there is none."""
    for character in text:
        if character in TIME_UNITS:
            return character
    return "s"


def split_list(text: str, separators: str = ", \t\r\n\v\f") -> list[str]:
    """The items of a comma or blank separated list. What stands in `{ }` is kept together, braces included."""
    if "{" not in text:
        for separator in separators[:-1]:
            text = text.replace(separator, separators[-1])
        return [item for item in text.split(separators[-1]) if item]
    items: list[str] = []
    start = -1
    level = 0
    for position, character in enumerate(text):
        if character in separators and level == 0:
            if start >= 0:
                items.append(text[start:position])
                start = -1
            continue
        if start < 0:
            start = position
        if character == "{":
            level += 1
        elif character == "}" and level > 0:
            level -= 1
    if start >= 0:
        items.append(text[start:])
    return items
