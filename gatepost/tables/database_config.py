"""The configuration of one database table: a file like main.cf, or parameters of main.cf that share a prefix.

`pgsql:/etc/postfix/virtual.cf` reads the file; `pgsql:virtual` reads `virtual_hosts`, `virtual_query` and so on
from main.cf. A file that changes is taken up without a reload; a broken edit keeps the table as it was.
"""

from collections.abc import Callable, Collection
from typing import Generic, Protocol, TypeVar

from gatepost.config.errors import ConfigError
from gatepost.config.logical_lines import split_name_value
from gatepost.config.values import parse_bool, parse_int
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.query_template import QueryForm, TemplateError
from gatepost.tables.source import Parsed, Problem, Remarks, logical_lines
from gatepost.tables.table import LookupTemporaryFailure
from gatepost.tables.watched import WatchedFile

T = TypeVar("T")

# Settings of our own, which every table of a server has: how many connections one process may hold, and seconds for
# one question, connecting included. Postfix leaves both to others.
OWN_KEYS = frozenset(("gatepost_connections", "gatepost_timeout"))

NEEDED = "must be set"


class DomainList(Protocol):
    """The domains that a table is asked for."""

    async def match_string(self, text: str) -> bool:
        """Is this domain one of them? Raises LookupTemporaryFailure."""
        ...


CompileDomains = Callable[[str, str], DomainList]
"""Reads a `domain` setting: the table's name, and the text."""


class DatabaseConfig:
    """The settings of one table by name, as text. Mistakes raise ConfigError with the name as parameter."""

    def __init__(self, table: str, value: Callable[[str], str | None]) -> None:
        """`table`: `pgsql:/etc/x.cf`. `value`: what is set, None if it is not."""
        self.table = table
        self._value = value

    def has(self, name: str) -> bool:
        """Is it set, be it to nothing?"""
        return self._value(name) is not None

    def text(self, name: str, default: str = "") -> str:
        value = self._value(name)
        return default if value is None else value

    def needed(self, name: str) -> str:
        """A setting that has no default."""
        value = self._value(name)
        if not value:
            raise ConfigError(NEEDED, parameter=name)
        return value

    def number(self, name: str, default: int, lowest: int = 0, highest: int = 2**31 - 1) -> int:
        value = self._value(name)
        if value is None:
            return default
        try:
            return parse_int(name, value, lowest, highest)
        except ValueError as error:
            raise ConfigError(str(error), parameter=name) from None

    def flag(self, name: str, default: bool) -> bool:
        value = self._value(name)
        if value is None:
            return default
        try:
            return parse_bool(name, value)
        except ValueError as error:
            raise ConfigError(str(error), parameter=name) from None

    def choice(self, name: str, default: str, choices: Collection[str]) -> str:
        """One of some words, in lower case."""
        value = self.text(name, default).lower()
        if value not in choices:
            raise ConfigError(f'"{value}" is none of: {", ".join(choices)}', parameter=name)
        return value

    def form(self, queries: list[str], result_format: str = "%s", *, parameter: str = "") -> QueryForm:
        """The table's templates. `parameter`: which of the settings holds them, if there is one only."""
        try:
            return QueryForm(self.table, queries, result_format)
        except TemplateError as error:
            raise ConfigError(f"bad % expansion in template: {error}", parameter=parameter) from None

    def domains(self, compile_domains: CompileDomains) -> DomainList | None:
        """What `in_domains` wants to know."""
        text = self.text("domain")
        return compile_domains(self.table, text) if text else None


async def in_domains(domains: DomainList | None, key: str) -> bool:
    """Is `key` an address with a domain in the list, or is there no list? Raises LookupTemporaryFailure."""
    if domains is None:
        return True
    _, at, domain = key.rpartition("@")
    return bool(at and domain) and await domains.match_string(domain)


class ConfiguredTable(Generic[T]):
    """A table, but for the lookups. `T` is what its configuration comes to, made anew when the file changes."""

    fixed = True

    def __init__(
        self,
        env: TableEnvironment,
        name: str,
        keys: Collection[str],
        build: Callable[[DatabaseConfig], T],
    ) -> None:
        """`name`: `pgsql:/etc/x.cf`. `keys`: the names that the type knows. `build` raises ConfigError.

        Raises ConfigError for mistakes in main.cf; those in a file are `problems`, and make lookups fail.
        """
        self.name = name
        self._kind, _, source = name.partition(":")
        self._keys = keys
        self._build = build
        self._file: WatchedFile[_Built[T]] | None = None
        self._of_main_cf: T | None = None
        self._env = env
        if source.startswith(("/", ".")):
            self._file = WatchedFile(env, name, source, self._parse)
        else:
            self._of_main_cf = self._from_main_cf(source)

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with the file, as it is now."""
        return self._file.all_problems() if self._file is not None else []

    def current(self, key: str) -> T:
        """What to work with now. Raises LookupTemporaryFailure."""
        if self._of_main_cf is not None:
            return self._of_main_cf
        assert self._file is not None
        built = self._file.current(key)
        if built.content is None:
            self._env.warn(f"{self.name} is unavailable. {built.reason}")
            raise LookupTemporaryFailure(self.name, key, built.reason)
        return built.content

    def _from_main_cf(self, prefix: str) -> T:
        def value(name: str) -> str | None:
            return self._env.parameter(f"{prefix}_{name}")

        try:
            return self._build(DatabaseConfig(self.name, value))
        except ConfigError as error:
            name = f"{prefix}_{error.parameter}" if error.parameter else ""
            raise ConfigError(f"{self.name}: {error.message}", parameter=name) from None

    def _parse(self, text: str) -> "Parsed[_Built[T]]":
        path = self._env.path(self.name.partition(":")[2])
        remarks = Remarks(f"{self._kind} map {path}")
        values: dict[str, str] = {}
        lines: dict[str, int] = {}
        for number, line in logical_lines(text, remarks):
            try:
                name, value = split_name_value(line)
            except ValueError as error:
                remarks.add(number, str(error))
                continue
            if name in values:
                remarks.add(number, f"{name} is set more than once, the last one counts", skipped=False)
            elif name not in self._keys:
                remarks.add(number, f"unknown setting, no effect: {name}", skipped=False)
            values[name], lines[name] = value.rstrip(), number
        built: _Built[T] = _Built()
        try:
            built.content = self._build(DatabaseConfig(self.name, values.get))
        except ConfigError as error:
            what = f"{error.parameter} {error.message}" if error.message == NEEDED else error.message
            if error.parameter in lines:
                remarks.add(lines[error.parameter], what)
            else:
                remarks.problems.append(Problem(f"{self.name} is unavailable. {what}", what=what))
            built.reason = what
        return Parsed(built, remarks.problems)


class _Built(Generic[T]):
    """What came of a file; `content` None for the `reason`."""

    __slots__ = ("content", "reason")

    def __init__(self) -> None:
        self.content: T | None = None
        self.reason = ""
