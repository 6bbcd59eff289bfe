"""Tables written into main.cf itself (inline, static), the environment, and the table that always fails."""

from gatepost.config.errors import ConfigError
from gatepost.tables.braces import BraceError, is_braced, split_items, split_name_value, strip_braces
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.table import EmptyResult, LookupTemporaryFailure


class InlineTable:
    """`inline:{key=value, {key = text with blanks}}`. Of two values for one key the last counts."""

    __slots__ = ("_fold", "entries", "fixed", "name")

    def __init__(self, env: TableEnvironment, name: str, text: str) -> None:
        self.name = name
        self.fixed = True
        self._fold = env.fold
        self.entries: dict[str, str] = {}
        need = f'"{name}"; need "inline:{{name=value...}}"'
        if not is_braced(text):
            raise ConfigError(f"bad syntax: {need}")
        try:
            for item in split_items(text[1:-1]):
                key, value = split_name_value(strip_braces(item) if item.startswith("{") else item)
                self.entries[env.fold(key)] = value
        except BraceError as error:
            raise ConfigError(f"{error}: {need}") from None
        if not self.entries:
            raise ConfigError(f"empty table: {need}" if text[1:-1] else f"bad syntax: {need}")

    async def lookup(self, key: str) -> str | None:
        value = self.entries.get(key.lower() if key.isascii() else self._fold(key))
        if value == "":
            raise EmptyResult(self.name, key)
        return value


class StaticTable:
    """`static:value` or `static:{text}`: the same answer to every question."""

    __slots__ = ("fixed", "name", "value")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.fixed = True
        self.value = text
        if text.startswith("{"):
            try:
                self.value = strip_braces(text)
            except BraceError as error:
                raise ConfigError(f"bad static:name syntax: {error}") from None

    async def lookup(self, key: str) -> str | None:
        if not self.value:
            raise EmptyResult(self.name, key)
        return self.value


class EnvironTable:
    """`environ:`: the variables of the environment that the process was given."""

    __slots__ = ("_env", "fixed", "name")

    def __init__(self, env: TableEnvironment, name: str) -> None:
        self.name = name
        self.fixed = True
        self._env = env

    async def lookup(self, key: str) -> str | None:
        value = self._env.environ.get(self._env.fold(key))
        if value == "":
            raise EmptyResult(self.name, key)
        return value


class FailTable:
    """`fail:`: cannot ever tell. Also stands in for a table that could not be opened."""

    __slots__ = ("_env", "fixed", "name", "reason")

    def __init__(self, env: TableEnvironment, name: str, reason: str = "") -> None:
        self.name = name
        self.fixed = False
        self.reason = reason
        self._env = env

    async def lookup(self, key: str) -> str | None:
        if self.reason:
            self._env.warn(f"{self.name} is unavailable. {self.reason}")
        raise LookupTemporaryFailure(self.name, key, self.reason)
