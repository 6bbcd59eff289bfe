"""`$name` expansion as main.cf has it (postconf(5), "The general format of the main.cf file").

    $name  $(name)  ${name}          the value of name, expanded in turn; nothing if undefined
    ${name?text}  ${name?{text}}     text, if the value of name is not empty
    ${name:text}  ${name:{text}}     text, if it is empty or undefined
    ${name?{text1}:{text2}}          one or the other
    ${{a} == {b}?{text1}:{text2}}    the same with a comparison; also != < <= >= >, numerical when
                                     both sides are all digits; a suffix names another order
                                     (`<level` compares compatibility levels)
    ${function{argument}}            a named function (since 3.11)
    $$                               a dollar sign

Pure: names are looked up by a function that the caller gives.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from gatepost.config.compatibility import compare_levels

Lookup = Callable[[str], str | None]
Comparison = Callable[[str, str], int]
Function = Callable[[str], str]

# Deeper nesting than this is taken for a loop (`a = $b`, `b = $a`).
NESTING_LIMIT = 100

_BLANKS = " \t\r\n\v\f"
_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_OPERATOR_CHARACTERS = "<>!=?+-*/~&|%"
_OPERATORS: dict[str, Callable[[int], bool]] = {
    "==": lambda order: order == 0,
    "!=": lambda order: order != 0,
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">=": lambda order: order >= 0,
    ">": lambda order: order > 0,
}
# Spelt, odd quotes included, as operators know it from their logs.
_ANY_OPERATOR = '"==" or "!="" or "<"" or "<="" or ">="" or ">"'
_LEVELS: Mapping[str, Comparison] = {"level": compare_levels}
_NO_FUNCTIONS: Mapping[str, Function] = {}


class Expansion(NamedTuple):
    """`text`; whether an undefined name was met; what is wrong ('' = nothing; else `text` is what came before)."""

    text: str
    undefined: bool
    error: str


class _SyntaxError(Exception):
    """Stops the expansion; the message is the warning that Postfix logs."""


def mac_expand(
    text: str,
    lookup: Lookup,
    *,
    recurse: bool = True,
    allowed: str | None = None,
    comparisons: Mapping[str, Comparison] = _LEVELS,
    functions: Mapping[str, Function] = _NO_FUNCTIONS,
) -> Expansion:
    """Expand `text`. Never raises for bad input: see Expansion.error.

    recurse: values are expanded in turn (main.cf); otherwise they are taken as they are (delivery agents, replies).
    allowed: with recurse off, what values have beside these becomes `_`, one for each octet (`*_expansion_filter`).
    """
    if "$" not in text:
        return Expansion(text, False, "")
    expander = _Expander(lookup, recurse, False, allowed, comparisons, functions)
    error = ""
    try:
        expander.parse(text)
    except _SyntaxError as problem:
        error = str(problem)
    return Expansion("".join(expander.out), expander.undefined, error)


class Reference(NamedTuple):
    """A name in a text; `tested` in `${name?text}` and `${name:text}`, where it may well be undefined."""

    name: str
    tested: bool


def references(text: str) -> tuple[list[Reference], str]:
    """The names that `text` refers to, in either branch of a conditional; what is wrong with it ('' = nothing)."""
    if "$" not in text:
        return [], ""
    expander = _Expander(_undefined, False, True, None, _LEVELS, _NO_FUNCTIONS)
    try:
        expander.parse(text)
    except _SyntaxError as problem:
        return expander.references, str(problem)
    return expander.references, ""


def _undefined(name: str) -> None:
    return None


class _Expander:
    __slots__ = (
        "allowed",
        "comparisons",
        "functions",
        "level",
        "lookup",
        "out",
        "recurse",
        "references",
        "scan",
        "undefined",
    )

    def __init__(
        self,
        lookup: Lookup,
        recurse: bool,
        scan: bool,
        allowed: str | None,
        comparisons: Mapping[str, Comparison],
        functions: Mapping[str, Function],
    ) -> None:
        self.lookup = lookup
        self.recurse = recurse
        self.scan = scan
        self.allowed = allowed
        self.comparisons = comparisons
        self.functions = functions
        self.out: list[str] = []
        self.references: list[Reference] = []
        self.undefined = False
        self.level = 0

    def parse(self, text: str) -> None:
        """Append the expansion of `text` to `out`."""
        position = 0
        while (dollar := text.find("$", position)) >= 0:
            self.out.append(text[position:dollar])
            position = dollar + 1
            following = text[position : position + 1]
            if following == "$":
                self.out.append("$")
                position += 1
                continue
            if following in ("{", "("):
                end = _matching(text, position)
                if end < 0:
                    raise _SyntaxError(f'truncated macro reference: "{text}"')
                inside, position = text[position + 1 : end], end + 1
            else:
                end = _name_end(text, position)
                inside, position = text[position:end], end
            if not inside:
                raise _SyntaxError(f'empty macro name: "{text}"')
            self._reference(inside)
        self.out.append(text[position:])

    def _reference(self, inside: str) -> None:
        """Expand what stands between the braces."""
        if self.level > NESTING_LIMIT:
            raise _SyntaxError(f'unreasonable macro call nesting: "{inside}"')
        self.level += 1
        rest: str
        value: str | None
        if inside.startswith("{"):
            value, rest = self._comparison(inside)
            if rest and rest[0] not in "?:":
                raise _SyntaxError(f'"?" or ":" expected at: "...}}>>>{rest[:20]}"')
            if not rest:
                self.out.append(value)
        else:
            name, rest = self._name(inside)
            if rest.startswith("{"):
                self._call(inside, name, rest)
                rest, value = "", None
            else:
                value = self.lookup(name)
                if self.scan:
                    # Both branches are followed, so that all names are found; the text is of no interest.
                    self.references.append(Reference(name, bool(rest)))
                if not rest:
                    self._append_value(value)
        if rest.startswith("?"):
            self._if_set(bool(value), rest[1:])
        elif rest:
            self._if_empty(not value, rest[1:])
        self.level -= 1

    def _name(self, inside: str) -> tuple[str, str]:
        """The name at the start, and what follows it: nothing, or text from `?`, `:` or `{` on."""
        start = len(inside) - len(inside.lstrip(_BLANKS))
        end = _name_end(inside, start)
        rest = inside[end:].lstrip(_BLANKS)
        if rest and rest[0] not in "?:" and (rest[0] != "{" or end == start):
            raise _SyntaxError(f'attribute name syntax error at: "...{inside[:end]}>>>{inside[end:][:20]}"')
        return inside[start:end], rest

    def _append_value(self, value: str | None) -> None:
        if value is None:
            self.undefined = True
        elif not self.recurse:
            if self.allowed is not None:
                value = "".join(ch if ch in self.allowed else "_" * len(ch.encode()) for ch in value)
            self.out.append(value)
        elif "$" in value:
            self.parse(value)
        else:
            self.out.append(value)

    def _call(self, inside: str, name: str, rest: str) -> None:
        argument, after = _payload(rest)
        if after:
            raise _SyntaxError(f'unexpected input at: "...{argument}}}>>>{after[:20]}"')
        function = self.functions.get(name)
        if function is None and self.scan:
            self._aside(argument)
            return
        if function is None:
            end = inside.index(name) + len(name)
            raise _SyntaxError(f'attribute name syntax error at: "...{inside[:end]}>>>{inside[end:][:20]}"')
        try:
            self.out.append(function(self._aside(argument).strip(_BLANKS)))
        except ValueError as problem:
            raise _SyntaxError(str(problem)) from None

    def _if_set(self, condition: bool, rest: str) -> None:
        """`?text`, `?{text}`, `?{text1}:text2`, `?{text1}:{text2}`."""
        braced = rest.lstrip(_BLANKS)
        if not braced.startswith("{"):
            self._branch(condition, rest)
            return
        payload, after = _payload(braced)
        self._branch(condition, payload)
        if not after:
            return
        if not after.startswith(":"):
            raise _SyntaxError(f'":" expected at: "...{payload}}}>>>{after[:20]}"')
        self._if_empty(not condition, after[1:])

    def _if_empty(self, condition: bool, rest: str) -> None:
        """`:text` or `:{text}`."""
        braced = rest.lstrip(_BLANKS)
        if not braced.startswith("{"):
            self._branch(condition, rest)
            return
        payload, after = _payload(braced)
        self._branch(condition, payload)
        if after:
            raise _SyntaxError(f'unexpected input at: "...{payload}}}>>>{after[:20]}"')

    def _branch(self, condition: bool, text: str) -> None:
        if condition or self.scan:
            self.parse(text)

    def _comparison(self, inside: str) -> tuple[str, str]:
        """The value of `{a} OPERATOR {b}` ("true" or nothing), and what follows."""
        left, rest = _payload(inside)
        length = len(rest) - len(rest.lstrip(_OPERATOR_CHARACTERS))
        operator, after = rest[:length], rest[length:]
        # `?` belongs to the operator's characters, so that `{a} ?? {b}` is pointed at as a whole.
        if operator not in _OPERATORS:
            raise _SyntaxError(f'{_ANY_OPERATOR} expected at: "...{left}}}>>>{rest[:20]}"')
        suffix = after[: _name_end(after, 0)]
        if suffix and suffix not in self.comparisons:
            raise _SyntaxError(f'bad operator suffix at: "...{operator}>>>{suffix[:20]}"')
        operand = after[len(suffix) :].lstrip(_BLANKS)
        if not operand.startswith("{"):
            raise _SyntaxError(
                f'"{{expression}}" expected at: "...{{{left}}} {operator}{suffix}>>>{after[len(suffix) :][:20]}"'
            )
        right, rest = _payload(operand)
        order = self._order(self._aside(left), self._aside(right), suffix)
        return "true" if _OPERATORS[operator](order) else "", rest

    def _order(self, left: str, right: str, suffix: str) -> int:
        if self.scan:
            return 0
        if suffix:
            try:
                return self.comparisons[suffix](left, right)
            except ValueError as problem:
                raise _SyntaxError(str(problem)) from None
        if _all_digits(left) and _all_digits(right):
            # Text of equal length without leading zeros orders like the number, whatever its size.
            numbers = (left.lstrip("0"), right.lstrip("0"))
            left_key, right_key = ((len(digits), digits) for digits in numbers)
            return (left_key > right_key) - (left_key < right_key)
        # strcmp() compares octets; UTF-8 keeps the order of code points.
        return (left > right) - (left < right)

    def _aside(self, text: str) -> str:
        """The expansion of `text`, not appended to the result."""
        if "$" not in text:
            return text
        saved, self.out = self.out, []
        try:
            self.parse(text)
            return "".join(self.out)
        finally:
            self.out = saved


def _name_end(text: str, start: int) -> int:
    end = start
    while end < len(text) and text[end] in _NAME:
        end += 1
    return end


def _matching(text: str, start: int) -> int:
    """Where the bracket that opens at `start` closes; -1 if it does not. Only its own kind is counted."""
    opening = text[start]
    closing = "}" if opening == "{" else ")"
    level = 0
    for position in range(start, len(text)):
        if text[position] == opening:
            level += 1
        elif text[position] == closing:
            level -= 1
            if level == 0:
                return position
    return -1


def _payload(text: str) -> tuple[str, str]:
    """What stands in the braces that `text` begins with, as it is, and what follows them, without leading blanks."""
    end = _matching(text, 0)
    if end < 0:
        raise _SyntaxError(f'unbalanced {{}} in attribute expression: "{text}"')
    return text[1:end], text[end + 1 :].lstrip(_BLANKS)


def _all_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
