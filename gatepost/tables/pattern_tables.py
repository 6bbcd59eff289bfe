"""`regexp:` and `pcre:` tables (regexp_table(5), pcre_table(5)): the whole key against patterns, first match wins."""

from collections.abc import Callable

from gatepost.tables.braces import inline_rules
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.pattern_rules import Fallback, RuleParser, Rules
from gatepost.tables.source import Parsed, Problem, Remarks, logical_lines
from gatepost.tables.table import EmptyResult
from gatepost.tables.watched import WatchedFile


def parse_file(kind: str, path: str) -> Callable[[str], Parsed[Rules]]:
    """A parser for one file. `kind` is `regexp` or `pcre`."""

    def parse(text: str) -> Parsed[Rules]:
        remarks = Remarks(f"{kind} map {path}")
        rules = RuleParser(kind, remarks, path).parse(logical_lines(text, remarks))
        return Parsed(rules, remarks.problems)

    return parse


class PatternTable:
    """`regexp:/file`, re-read when it changes, or `regexp:{{/pattern/ result}, ...}`; pcre likewise."""

    __slots__ = ("_env", "_file", "_kind", "_problems", "_rules", "fixed", "name")

    def __init__(self, env: TableEnvironment, kind: str, name: str, text: str) -> None:
        self.name = name
        self.fixed = False
        self._env = env
        self._kind = kind
        self._file: WatchedFile[Rules] | None = None
        self._rules: Rules | None = None
        self._problems: list[Problem] = []
        if text.startswith("{"):
            remarks = Remarks(f"{kind} map {text}")
            self._rules = RuleParser(kind, remarks, "inline").parse(inline_rules(kind, text))
            self._problems = remarks.problems
            for problem in remarks.problems:
                env.warn(problem.text)
        else:
            self._file = WatchedFile(env, name, text, parse_file(kind, env.path(text)))

    @property
    def fallbacks(self) -> list[Fallback]:
        """The patterns that RE2 does not take, as they are now."""
        rules = self._file.content if self._file is not None else self._rules
        return rules.fallbacks if rules is not None else []

    @property
    def source(self) -> tuple[str, Rules | None]:
        """The path, empty if the rules stand in main.cf, and the rules as they are now."""
        return (self._file.path, self._file.content) if self._file is not None else ("", self._rules)

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with the rules, as they are now."""
        return self._file.all_problems() if self._file is not None else self._problems

    async def lookup(self, key: str) -> str | None:
        rules = self._rules
        if rules is None:
            assert self._file is not None
            rules = self._file.current(key)
        result, warnings = rules.find(key)
        if warnings:
            where = self._file.path if self._file is not None else self.name.partition(":")[2]
            for text in warnings:
                self._env.warn(f"{self._kind} map {where}, {text}")
        if result == "":
            raise EmptyResult(self.name, key)
        return result
