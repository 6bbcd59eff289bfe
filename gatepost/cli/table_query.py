"""Asking tables (postmap -q) and listing them (-s)."""

import asyncio
import contextlib
import dataclasses
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator

from gatepost.cli.table_command import CommandError, TableCommand
from gatepost.mail.mime_lines import MimeLines
from gatepost.tables.environment import error_text
from gatepost.tables.opening import Tables
from gatepost.tables.source import decode, is_valid, printable
from gatepost.tables.table import EmptyResult, LookupTemporaryFailure, Table
from gatepost.tables.table_files import TableFile, TextFile
from gatepost.tables.values_in_files import FileValueError, content_of, decoded

Find = Callable[[str], Awaitable[str | None]]

# Types that are one file, with what Postfix says when it cannot be opened.
_FILES = {"texthash": "open database", "regexp": "open", "pcre": "open", "cidr": "open"}
_CONFIGURED = ("sqlite", "pgsql", "mysql", "ldap", "memcache")


class _Asked:
    """One table, open. `name` is type:name."""

    def __init__(self, name: str, find: Find, value: Callable[[str, str], bytes]) -> None:
        self.name = name
        self.find = find
        self.value = value


class Questions:
    """All questions of one run."""

    def __init__(self, command: TableCommand) -> None:
        self._command = command
        self._tables = Tables(command.environment)
        # What is wrong with the source of an indexed table was told when it was made.
        self._quiet = Tables(dataclasses.replace(command.environment, warn=lambda text: None))
        self._warn = command.warn

    def one(self, key: str) -> bool:
        """Ask for one key in table after table; print the first value. Raises CommandError."""
        with self._runner() as runner:
            for table in self._command.options.tables:
                value = runner.run(self._ask(self._open(table), key))
                if value is not None:
                    _print(value)
                    return True
        return False

    def many(self, keys: Iterable[str]) -> bool:
        """Ask for each key, and print `key<TAB>value` of those that are found. Raises CommandError."""
        opened: dict[str, _Asked] = {}
        found = False
        separator = self._command.program.separator.encode()
        with self._runner() as runner:
            for key in keys:
                for name in self._command.options.tables if key else ():
                    if name not in opened:
                        opened[name] = self._open(name)
                    value = runner.run(self._ask(opened[name], key))
                    if value is not None:
                        _print(key.encode("utf-8", "surrogateescape") + separator + value)
                        found = True
                        break
        return found

    @contextlib.contextmanager
    def _runner(self) -> Iterator[asyncio.Runner]:
        """A loop to ask in. The connections that tables made in it end with it."""
        with asyncio.Runner() as runner:
            try:
                yield runner
            finally:
                runner.run(self._close())

    async def _close(self) -> None:
        self._tables.close()
        self._quiet.close()

    def list_all(self) -> bool:
        """Print all entries of the first table. Raises CommandError."""
        command = self._command
        separator = command.program.separator.encode()
        if not command.options.tables:
            return False
        kind, name = command.split(command.options.tables[0])
        if kind == "proxy":
            raise CommandError("can't sequence maps via the proxy service")
        for key, stored in self._entries(kind, name):
            try:
                value = self._value(f"{kind}:{name}", kind)(key, stored)
            except FileValueError as error:
                self._warn(f"table {kind}:{name}: key {key}: {error}")
                continue
            _print(key.encode("utf-8", "surrogateescape") + separator + value)
        return True

    def _entries(self, kind: str, name: str) -> Iterator[tuple[str, str]]:
        file = self._command.file(kind, name)
        if file is not None:
            yield from file.entries().items()
            return
        if kind == "texthash":
            _try(name, _FILES[kind])
        table = self._opened(f"{kind}:{name}")
        if kind not in ("inline", "texthash"):
            failed = "sequence error: Application error" if kind == "fail" else "sequence operation is not supported"
            raise CommandError(f"table {kind}:{name}: {failed}")
        entries: dict[str, str] = getattr(table, "entries", {})
        yield from entries.items()

    def _open(self, table: str) -> _Asked:
        kind, name = self._command.split(table)
        spec = f"{kind}:{name}"
        file = self._command.file(kind, name) if name else None
        if file is not None:
            return _Asked(spec, self._indexed(file, spec), self._value(spec, kind))
        if kind in _FILES and not name.startswith("{"):
            _try(name, _FILES[kind])
        if kind in _CONFIGURED and name.startswith(("/", ".")):
            _try(name, "open")
        return _Asked(spec, self._opened(spec).lookup, self._value(spec, kind))

    def _indexed(self, file: TableFile, spec: str) -> Find:
        """As the servers find it, unless options ask for what they do not do."""
        options = self._command.options
        if options.fold and options.utf8 and not options.files and (file.has_text or os.path.lexists(file.path)):
            return self._quiet.open(spec, syntax=self._command.program.syntax).lookup
        entries, fold = file.entries(), self._command.manner.fold

        async def find(key: str) -> str | None:
            return entries.get(fold(key))

        return find

    def _opened(self, spec: str) -> Table:
        return self._tables.open(spec, syntax=self._command.program.syntax)

    def _value(self, spec: str, kind: str) -> Callable[[str, str], bytes]:
        """From what is stored to what is shown."""
        if not self._command.options.files:
            return lambda key, value: value.encode("utf-8", "surrogateescape")
        file = self._command.file(kind, "")
        if kind == "texthash" or isinstance(file, TextFile):
            return lambda key, value: content_of(value)
        return lambda key, value: decoded(value)

    async def _ask(self, table: _Asked, key: str) -> bytes | None:
        """The value to be shown. Raises CommandError."""
        if self._command.utf8 and not is_valid(key):
            self._warn(f'{table.name}: non-UTF-8 key "{printable(key)}": malformed UTF-8 or invalid codepoint')
            return None
        try:
            value = await table.find(key)
        except EmptyResult:
            value = ""
        except LookupTemporaryFailure as failure:
            reason = "Application error" if table.name.startswith("fail:") else failure.reason
            reason = reason and f": {reason}"
            raise CommandError(f"table {table.name}: query error{reason}") from None
        if value is None:
            return None
        if self._command.utf8 and not is_valid(value):
            problem = f'non-UTF-8 value "{printable(value)}": malformed UTF-8 or invalid codepoint'
            self._warn(f'{table.name}: key "{key}": {problem}')
            raise CommandError(f"table {table.name}: query error")
        if not value:
            self._warn(f"table {table.name}: key {key}: empty string result is not allowed")
            self._warn(f"table {table.name} should return NO RESULT in case of NOT FOUND")
        try:
            return table.value(key, value)
        except FileValueError as error:
            self._warn(f"table {table.name}: key {key}: {error}")
            raise CommandError(f"table {table.name}: query error") from None


def _try(path: str, what: str) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise CommandError(f"{what} {path}: {error_text(error)}") from None


def _print(line: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(line + b"\n")


def keys_of_input(command: TableCommand) -> Iterator[str]:
    """The keys on standard input: its lines, or what the message there is made of."""
    lines = (line.removesuffix(b"\n") for line in sys.stdin.buffer)
    options = command.options
    if not options.message:
        yield from map(decode, lines)
        return
    # Postfix looks at MIME structure for one of -h and -b only.
    mime = options.mime and not (options.headers and options.body)
    for kind, text in MimeLines(mime=mime).lines(lines):
        if options.headers if kind == "header" else options.body:
            yield decode(text)
