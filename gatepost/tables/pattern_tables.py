"""`regexp:` and `pcre:` tables (regexp_table(5), pcre_table(5)): the whole key against patterns, first match wins."""

from gatepost.tables.environment import TableEnvironment
from gatepost.tables.pattern_rules import Fallback, RuleParser, Rules
from gatepost.tables.rule_table import RuleTable
from gatepost.tables.table import EmptyResult


class PatternTable(RuleTable[Rules]):
    """`regexp:/file`, or `regexp:{{/pattern/ result}, ...}`; pcre likewise."""

    __slots__ = ("_kind",)

    def __init__(self, env: TableEnvironment, kind: str, name: str, text: str) -> None:
        """`kind` is `regexp` or `pcre`."""
        super().__init__(
            env, kind, name, text, lambda where, lines, remarks: RuleParser(kind, remarks, where).parse(lines)
        )
        self._kind = kind

    @property
    def fallbacks(self) -> list[Fallback]:
        """The patterns that RE2 does not take, as they are now."""
        rules = self._file.content if self._file is not None else self._rules
        return rules.fallbacks if rules is not None else []

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
