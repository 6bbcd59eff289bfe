"""The right-hand side of a pattern rule: text with `$1`, `${1}`, `$(1)` and `$$` (regexp_table(5), pcre_table(5))."""

import re

from gatepost.tables.engines import Groups

_MACRO = re.compile(r"\$(?:\$|(?P<open>[{(])|(?P<name>\w*))", re.A)
_CLOSING = {"{": "}", "(": ")"}


class ReplacementError(ValueError):
    """Text that cannot be a result; why, in Postfix's words."""


class ZeroIndex(ReplacementError):
    """`$0` stands for nothing."""


class OutOfRange(ReplacementError):
    """A number beyond the groups of the pattern."""


class NegativeMatch(ReplacementError):
    """A number, although the rule is for text that does not match."""


class Replacement:
    """Text between numbers of groups. `plain` is the result if it has none."""

    __slots__ = ("parts", "plain")

    def __init__(self, parts: list[str | int]) -> None:
        self.parts = parts
        has_groups = any(isinstance(part, int) for part in parts)
        self.plain: str | None = None if has_groups else "".join(str(part) for part in parts)

    def expand(self, groups: Groups, errors: str = "replace") -> str:
        """The result for a match. Octets cut out of the middle of a character become U+FFFD, unless `errors` (of
        bytes.decode) says otherwise.
        """
        out: list[bytes] = []
        for part in self.parts:
            if isinstance(part, int):
                out.append(groups[part - 1] or b"")
            else:
                out.append(part.encode())
        return b"".join(out).decode("utf-8", errors)


def parse_replacement(text: str, groups: int, *, negated: bool) -> Replacement:
    """Raises ReplacementError. `groups`: how many the pattern has."""
    parts: list[str | int] = []
    at = 0
    for_name = ""
    while (found := _MACRO.search(text, at)) is not None:
        if found.start() > at:
            parts.append(text[at : found.start()])
        at = found.end()
        if found.group() == "$$":
            parts.append("$")
            continue
        if found["open"]:
            for_name, at = _in_braces(text, at, found["open"])
        else:
            for_name = found["name"]
        if not for_name:
            raise ReplacementError(f'empty macro name: "{text[found.start() :]}"')
        parts.append(_number(for_name, groups, negated))
    if at < len(text):
        parts.append(text[at:])
    return Replacement(parts)


def _in_braces(text: str, at: int, opening: str) -> tuple[str, int]:
    level = 1
    for index in range(at, len(text)):
        if text[index] == opening:
            level += 1
        elif text[index] == _CLOSING[opening]:
            level -= 1
            if level == 0:
                return text[at:index], index + 1
    raise ReplacementError(f'truncated macro reference: "{text[at - 2 :]}"')


def _number(name: str, groups: int, negated: bool) -> int:
    if not (name.isascii() and name.isdigit()):
        raise ReplacementError(f'non-numeric replacement index "{name}"')
    number = int(name[:9])
    if number < 1:
        raise ZeroIndex(f'out of range replacement index "{name}"')
    if negated:
        raise NegativeMatch("$number found in negative match replacement text")
    if number > groups:
        raise OutOfRange(f'out of range replacement index "{name}"')
    return number
