"""Queue IDs: the names of messages in log lines, replies and commands (Postfix: enable_long_queue_ids).

Both forms carry a durable number that is used once (queue/store.py, `reserve`), so no ID ever repeats, and the store
finds a message by that number without a further index.

- short: five upper-case hexadecimal digits that look like Postfix's microseconds (here made from the number, so that
  neighbours in the log differ at a glance), then the number in hexadecimal, at least five digits;
- long: seconds (base 52, six digits or more) and microseconds (four) of arrival, `z`, then the number in base 51.
  The alphabet has no vowels, so that no words appear, and the base-51 part has no `z`.
"""

import re

_BASE52 = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
_VALUE = {digit: value for value, digit in enumerate(_BASE52)}
_SHORT = re.compile(r"[0-9A-F]{10,20}")
_LONG = re.compile(r"[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,16}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]{1,11}")
# Coprime to a million: a million neighbouring numbers get different leading digits.
_SCATTER = 618033
MAX_NUMBER = (1 << 60) - 1
"""The largest number an ID can carry."""


def short_queue_id(number: int) -> str:
    """The short form; `number` is at least 1."""
    return f"{number * _SCATTER % 1000000:05X}{number:05X}"


def long_queue_id(number: int, arrival: float) -> str:
    """The long form; `arrival` is wall-clock seconds. IDs sort by arrival as text."""
    seconds = int(arrival)
    microseconds = min(int((arrival - seconds) * 1000000), 999999)
    return f"{_digits(seconds, 52, 6)}{_digits(microseconds, 52, 4)}z{_digits(number, 51, 1)}"


def queue_id_number(text: str) -> int | None:
    """The number inside a queue ID of either form; None if `text` is no queue ID."""
    if _SHORT.fullmatch(text):
        return int(text[5:], 16)
    if _LONG.fullmatch(text):
        number = 0
        for digit in text[text.rindex("z") + 1 :]:
            number = number * 51 + _VALUE[digit]
        return number if number <= MAX_NUMBER else None
    return None


def valid_queue_id(text: str) -> bool:
    """Whether `text` has the form of a queue ID, short or long."""
    return queue_id_number(text) is not None


def _digits(value: int, base: int, width: int) -> str:
    text = ""
    while value:
        value, digit = divmod(value, base)
        text = _BASE52[digit] + text
    return text.rjust(width, "0")
