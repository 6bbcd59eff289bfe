"""What `cidr:`, `regexp:` and `pcre:` tables have in common: rules in a file, or in main.cf itself."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from gatepost.tables.braces import inline_rules
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.source import Parsed, Problem, Remarks, logical_lines
from gatepost.tables.watched import WatchedFile

Lines = Iterable[tuple[int, str]]
"""Numbers and texts."""

R = TypeVar("R")


class RuleTable(Generic[R]):
    """`KIND:/file`, re-read when it changes (`_file`), or `KIND:{{rule}, ...}` (`_rules`)."""

    __slots__ = ("_env", "_file", "_problems", "_rules", "fixed", "name")

    def __init__(
        self, env: TableEnvironment, kind: str, name: str, text: str, parse: Callable[[str, Lines, Remarks], R]
    ) -> None:
        """`parse` is told where the lines stand: a path, or `inline`. Raises ConfigError."""
        self.name = name
        self.fixed = False
        self._env = env
        self._file: WatchedFile[R] | None = None
        self._rules: R | None = None
        self._problems: list[Problem] = []
        if text.startswith("{"):
            remarks = Remarks(f"{kind} map {text}")
            self._rules = parse("inline", inline_rules(kind, text), remarks)
            self._problems = remarks.problems
            for problem in remarks.problems:
                env.warn(problem.text)
        else:
            self._file = WatchedFile(env, name, text, _parser(kind, env.path(text), parse))

    @property
    def source(self) -> tuple[str, R | None]:
        """The path, empty if the rules stand in main.cf, and the rules as they are now."""
        return (self._file.path, self._file.content) if self._file is not None else ("", self._rules)

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with the rules, as they are now."""
        return self._file.all_problems() if self._file is not None else self._problems


def _parser(kind: str, path: str, parse: Callable[[str, Lines, Remarks], R]) -> Callable[[str], Parsed[R]]:
    def parsed(text: str) -> Parsed[R]:
        remarks = Remarks(f"{kind} map {path}")
        return Parsed(parse(path, logical_lines(text, remarks), remarks), remarks.problems)

    return parsed
