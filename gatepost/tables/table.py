"""The interface that every lookup table has (postmap(1), DATABASE_README)."""

from typing import Protocol


class LookupTemporaryFailure(Exception):
    """The table cannot tell now (server down, file broken, empty result). Never to be read as 'not found'."""

    def __init__(self, table: str, key: str = "", reason: str = "") -> None:
        self.table = table
        self.key = key
        self.reason = reason
        super().__init__(f'{table} lookup error for "{key}"' + (f": {reason}" if reason else ""))


class EmptyResult(LookupTemporaryFailure):
    """The table answered with nothing, which is a mistake in it and not the same as 'not found' (maps(3))."""

    def __init__(self, table: str, key: str = "") -> None:
        super().__init__(table, key, "empty string result is not allowed")


class Table(Protocol):
    """One `type:name` table.

    `name` is the table as written in main.cf (`hash:/etc/postfix/access`). `fixed` tables take partial keys
    (user+ext, parent domains, ...); pattern tables (regexp, pcre, cidr, ...) see the full key only.
    `lookup` folds the key's case itself as the type demands. It suspends only if it must do I/O.
    """

    @property
    def name(self) -> str: ...

    @property
    def fixed(self) -> bool: ...

    async def lookup(self, key: str) -> str | None:
        """The value for `key`, None if there is none; raises LookupTemporaryFailure."""
        ...
