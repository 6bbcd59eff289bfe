"""The rules of `regexp:` and `pcre:` tables: reading them, and finding the first that matches."""

from collections.abc import Iterable
from dataclasses import dataclass

from gatepost.tables.engines import GaveUp, Groups, Pattern, PatternError, PatternSet
from gatepost.tables.pattern_dialects import DIALECTS, FlagError
from gatepost.tables.replacement import (
    NegativeMatch,
    OutOfRange,
    Replacement,
    ReplacementError,
    ZeroIndex,
    parse_replacement,
)
from gatepost.tables.source import BLANKS, Remarks, printable


@dataclass(frozen=True, slots=True)
class Fallback:
    """A pattern that RE2 does not take: a chosen text may make its engine slow. For `gatepost check`."""

    path: str
    line: int
    pattern: str
    engine: str


@dataclass(slots=True)
class Rule:
    """One line. `replacement` None: an IF, whose ENDIF is before rule number `end` (-1: there is none).

    `besides`: of `/this/!/that/ result`, a form of regexp tables, the second pattern, which must not match.
    """

    pattern: Pattern
    negated: bool
    replacement: Replacement | None
    line: int
    end: int = -1
    besides: Pattern | None = None
    in_set: int = -1  # its number in the set of RE2 patterns


class _Skip(Exception):
    """This rule does not count; the text says why, all of it."""


class Rules:
    """The rules of one table."""

    __slots__ = ("_plain", "_set", "fallbacks", "rules")

    def __init__(self, rules: list[Rule], fallbacks: list[Fallback]) -> None:
        self.rules = rules
        self.fallbacks = fallbacks
        in_set: list[bytes] = []
        for rule in rules:
            if rule.pattern.set_text is not None:
                rule.in_set = len(in_set)
                in_set.append(rule.pattern.set_text)
        # One pattern is asked faster by itself.
        self._set = PatternSet(in_set) if len(in_set) > 1 else None
        # In a table without IF, ! and other engines a text that no pattern has needs no walk through the rules.
        self._plain = all(
            rule.in_set >= 0 and not rule.negated and rule.replacement is not None and rule.besides is None
            for rule in rules
        )

    def find(self, text: str) -> tuple[str | None, list[str]]:
        """The first result, and warnings: `line N: why` of each pattern that reached its limit and was passed over."""
        data = text.encode("utf-8", "surrogateescape")
        inside = self._set.search(data) if self._set is not None else None
        if inside is not None and self._plain and not inside:
            return None, []
        warnings: list[str] = []
        rules = self.rules
        number = min(inside) if inside is not None and self._plain and inside else 0
        while number < len(rules):
            rule = rules[number]
            groups: Groups | None = None
            if inside is not None and rule.in_set >= 0 and rule.besides is None:
                matched = (rule.in_set in inside) is not rule.negated
            else:
                try:
                    groups = self._match(rule, data)
                    matched = (groups is not None) is not rule.negated
                except GaveUp as error:
                    warnings.append(f"line {rule.line}: {error}")
                    matched = False
            if matched:
                if rule.replacement is not None:
                    return self._result(rule, groups, data), warnings
            elif rule.replacement is None:
                if rule.end < 0:
                    break
                number = rule.end
                continue
            number += 1
        return None, warnings

    @staticmethod
    def _match(rule: Rule, data: bytes) -> Groups | None:
        groups = rule.pattern.search(data)
        if groups is not None and rule.besides is not None and rule.besides.search(data) is not None:
            return None
        return groups

    @staticmethod
    def _result(rule: Rule, groups: Groups | None, data: bytes) -> str:
        assert rule.replacement is not None
        if rule.replacement.plain is not None:
            return rule.replacement.plain
        if not groups:
            groups = rule.pattern.search(data)
        return rule.replacement.expand(groups or (), "replace" if _is_text(data) else "surrogateescape")


def _is_text(data: bytes) -> bool:
    """Who asks for other octets than UTF-8 (header_checks) is given them back."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


class RuleParser:
    """Reads the rules of one source; notes what is wrong, and goes on, as Postfix does."""

    def __init__(self, kind: str, remarks: Remarks, path: str) -> None:
        self._kind = kind
        self._compile = DIALECTS[kind]
        self._remarks = remarks
        self._path = path
        self._rules: list[Rule] = []
        self._ifs: list[Rule] = []
        self._fallbacks: list[Fallback] = []

    def parse(self, lines: Iterable[tuple[int, str]]) -> Rules:
        """The rules of (line number, text) pairs."""
        for number, line in lines:
            try:
                self._line(number, line)
            except _Skip as why:
                self._remarks.add(number, str(why))
        for rule in reversed(self._ifs):
            self._remarks.add(rule.line, "IF has no matching ENDIF")
        return Rules(self._rules, self._fallbacks)

    def _line(self, number: int, line: str) -> None:
        word = line[:5].lower()
        if word.startswith("if") and not _alnum(line[2:3]):
            self._if(number, line[2:].strip(BLANKS))
        elif word == "endif" and not _alnum(line[5:6]):
            if not self._ifs:
                raise _Skip("ignoring ENDIF without matching IF")
            self._ifs.pop().end = len(self._rules)
            if line[5:].strip(BLANKS):
                self._remarks.add(number, "ignoring extra text after ENDIF", skipped=False)
        elif _alnum(line[0]):
            raise _Skip("ignoring unrecognized request")
        else:
            self._ordinary(number, line)

    def _if(self, number: int, text: str) -> None:
        pattern, negated, rest = self._pattern(number, text)
        if rest:
            self._remarks.add(number, f'ignoring extra text after IF statement: "{printable(rest)}"')
            self._remarks.add(number, "do not prepend whitespace to statements between IF and ENDIF", skipped=False)
        rule = Rule(pattern, negated, None, number)
        self._rules.append(rule)
        self._ifs.append(rule)

    def _ordinary(self, number: int, line: str) -> None:
        pattern, negated, rest = self._pattern(number, line)
        besides = None
        if self._kind == "regexp" and rest.startswith("!") and not negated:
            besides, _, rest = self._pattern(number, rest)
        if not rest:
            self._remarks.add(number, "no replacement text: using empty string")
        try:
            replacement = parse_replacement(rest, pattern.groups, negated=negated)
        except (OutOfRange, NegativeMatch) as error:
            raise _Skip(f"{error}: skipping this rule") from None
        except ReplacementError as error:
            why = str(error)
            if self._kind == "regexp" and isinstance(error, ZeroIndex):
                why = why.replace("out of range", "out-of-range")  # as Postfix's regexp tables write it, here only
            self._remarks.add(number, why, skipped=False)
            raise _Skip("bad replacement syntax: skipping this rule") from None
        self._rules.append(Rule(pattern, negated, replacement, number, besides=besides))

    def _pattern(self, number: int, text: str) -> tuple[Pattern, bool, str]:
        """`!` before it, `/pattern/flags`, and the text behind it."""
        negated = False
        while text.startswith("!"):
            negated = not negated
            text = text[1:].lstrip(BLANKS)
        if not text:
            raise _Skip("no regexp: skipping this rule")
        delimiter = text[0]
        end = _closing(text, delimiter)
        if end < 0:
            skipping = "skipping" if self._kind == "regexp" else "ignoring"
            raise _Skip(f'no closing regexp delimiter "{printable(delimiter)}": {skipping} this rule')
        flags, rest = _flags(text[end + 1 :], stop_at_negation=self._kind == "regexp")
        if self._kind == "pcre" and "X" in flags:
            self._remarks.add(number, 'ignoring obsolete regexp option "X"', skipped=False)
        try:
            pattern = self._compile(text[1:end], flags)
        except (FlagError, PatternError) as error:
            raise _Skip(str(error)) from None
        if pattern.engine != "re2":
            self._fallbacks.append(Fallback(self._path, number, text[: end + 1] + flags, pattern.engine))
        return pattern, negated, rest


def _alnum(char: str) -> bool:
    return char.isascii() and char.isalnum()


def _closing(text: str, delimiter: str) -> int:
    """Where the delimiter stands again, a backslash protecting the character behind it; -1 if nowhere."""
    index = 1
    while index < len(text):
        if text[index] == "\\" and index + 1 < len(text):
            index += 1
        elif text[index] == delimiter:
            return index
        index += 1
    return -1


def _flags(text: str, *, stop_at_negation: bool) -> tuple[str, str]:
    for index, char in enumerate(text):
        if char in BLANKS or (stop_at_negation and char == "!"):
            return text[:index], text[index:].strip(BLANKS)
    return text, ""
