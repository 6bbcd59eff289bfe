"""Making tables (postmap FILE), putting entries into them (-i) and taking them out (-d)."""

import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

from gatepost.cli.table_command import CommandError, TableCommand
from gatepost.control.acting_as import acting_with
from gatepost.tables.environment import error_text
from gatepost.tables.opening import Tables
from gatepost.tables.source import decode
from gatepost.tables.table_files import TableFile, TextFile
from gatepost.tables.table_source import Entry, source_entries
from gatepost.tables.values_in_files import FileValueError, content_of, encoded

_NEW_MODE = 0o644


def make(command: TableCommand, table: str) -> None:
    """Make one table from its source, or put what is on standard input into it. Raises CommandError, TableFileError."""
    kind, name = command.split(table)
    data, status, where = _source(command, kind, name)
    owner = _owner(name) if command.options.incremental else None
    with _as_owner(command, owner or (status.st_uid, status.st_gid)):
        file = _writable(command, kind, name)
        _fill(command, file, where, data, _mode(command, status))


def _source(command: TableCommand, kind: str, name: str) -> tuple[bytes, os.stat_result, str]:
    """What is read, the status of where it is read from, and the name of that. Raises CommandError."""
    if command.options.incremental:
        return sys.stdin.buffer.read(), os.fstat(sys.stdin.fileno()), "stdin"
    if kind == "proxy":
        raise CommandError("can't create maps via the proxy service")
    try:
        with open(name, "rb") as source:
            return source.read(), os.fstat(source.fileno()), name
    except OSError as error:
        raise CommandError(f"open {name}: {error_text(error)}") from None


def _owner(path: str) -> tuple[int, int] | None:
    """User and group of a file, of the link if it is one; None if it is not there."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_uid, status.st_gid


def _as_owner(command: TableCommand, owner: tuple[int, int] | None) -> AbstractContextManager[None]:
    """Work with the rights of a file's owner, so that nobody can have root write elsewhere. Not with -o."""
    if owner is None or not command.options.as_owner or os.getuid() != 0:
        return nullcontext()
    if owner[0] != os.geteuid():
        command.report.open()
    return acting_with(*owner)


def _mode(command: TableCommand, status: os.stat_result) -> int:
    """Of a file that is not there yet: no more for group and others than the source allows."""
    if command.options.same_mode and stat.S_ISREG(status.st_mode):
        return _NEW_MODE & (status.st_mode | 0o700)
    return _NEW_MODE


def _writable(command: TableCommand, kind: str, name: str) -> TableFile:
    file = command.file(kind, name)
    if file is not None:
        return file
    if kind == "fail":
        raise CommandError(f"table fail:{name}: write error: Application error")
    if kind not in Tables(command.environment).types:
        raise CommandError(f"unsupported dictionary type: {kind}. Is the postfix-{kind} package installed?")
    raise CommandError(f"unsupported dictionary type: {kind} does not support bulk-mode creation.")


def _fill(command: TableCommand, file: TableFile, where: str, data: bytes, mode: int) -> None:
    manner = command.manner
    entries = source_entries(decode(data), where, manner.syntax, utf8=manner.utf8, warn=manner.warn)
    if command.options.files:
        entries = _with_files(command, where, entries)
    if command.options.incremental:
        file.add(entries, mode)
        _note_of_text(command, file)
    else:
        file.create(
            _signed(file, entries, command.settings.myhostname) if manner.syntax == "aliases" else entries, mode
        )
        _note_of_index(command, file)


def _with_files(command: TableCommand, where: str, entries: Iterable[Entry]) -> Iterator[Entry]:
    for entry in entries:
        try:
            value = encoded(content_of(entry.value))
        except FileValueError as error:
            command.warn(f"{where}, line {entry.number}: {error}: skipping this entry")
            continue
        yield entry._replace(value=value)


def _signed(file: TableFile, entries: Iterable[Entry], hostname: str) -> Iterator[Entry]:
    """With the entries that Sendmail and NIS look for in an alias database: of no line, and not folded."""
    yield from entries
    if not isinstance(file, TextFile):
        for key, value in (
            ("@", "@"),
            ("YP_LAST_MODIFIED", f"{int(time.time()):010d}"),
            ("YP_MASTER_NAME", hostname),
        ):
            yield Entry(key, value, "", 0)


def _note_of_index(command: TableCommand, file: TableFile) -> None:
    """Say that Postfix's index is not kept up."""
    index = file.index() if isinstance(file, TextFile) else ""
    try:
        if index and os.stat(index).st_mtime < os.stat(file.path).st_mtime:  # noqa: PTH116
            _tell(command, f"{file.path} itself is the table; {index} was made by Postfix and is out of date")
    except OSError:
        return


def _note_of_text(command: TableCommand, file: TableFile) -> None:
    if file.has_text:
        _tell(command, f"{file.kind}:{file.name} is read from its source text: {file.name} was changed, too")


def _tell(command: TableCommand, note: str) -> None:
    print(f"{command.program.name}: note: {note}", file=sys.stderr)


def remove(command: TableCommand, keys: list[str]) -> bool:
    """Take entries out of all tables; was any there? Raises CommandError and TableFileError."""
    found = False
    for table in command.options.tables:
        kind, name = command.split(table)
        file = command.file(kind, name)
        if file is None:
            raise _cannot_remove(command, kind, name)
        with _as_owner(command, _owner(name) or _owner(file.path)):
            if file.remove(keys):
                found = True
                _note_of_text(command, file)
    return found


def _cannot_remove(command: TableCommand, kind: str, name: str) -> CommandError:
    if kind == "fail":
        return CommandError(f"table fail:{name}: delete error: Application error")
    tables = Tables(command.environment)
    tables.open(f"{kind}:{name}", syntax=command.program.syntax)
    if kind == "static":
        return CommandError(f"table {kind}:{name}: delete operation is not supported")
    return CommandError(f"{kind}:{name} map requires O_RDONLY access mode")
