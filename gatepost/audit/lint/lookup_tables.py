"""Checks of the tables that main.cf and master.cf name: their files, types and lines."""

import stat
from collections.abc import Iterator

from gatepost.audit.lint.finding import Remark, Severity
from gatepost.audit.lint.nearest import nearest
from gatepost.audit.lint.registry import check
from gatepost.audit.lint.restriction_items import list_items
from gatepost.audit.lint.subject import Place, Subject
from gatepost.audit.lint.table_rows import FILES, split_spec
from gatepost.config.parameters import find
from gatepost.config.references import DATABASE_TYPES
from gatepost.tables.braces import split_items
from gatepost.tables.source import Problem
from gatepost.tables.text_tables import INDEX_SUFFIXES

_WRITTEN = ("_cache_database", "_cache_map", "address_verify_map")
"""Parameters that name files which the mail system makes itself."""


def _named(subject: Subject) -> Iterator[tuple[Place, str, str]]:
    """(place, parameter, `type:name`) of every table with a file of people's making, once for each parameter."""
    seen = set()
    for place, parameter, value in subject.set_values():
        if parameter.endswith(_WRITTEN) or ":" not in value:
            continue
        for word in _words(value):
            kind, name = split_spec(word.lstrip("!"))
            if kind in FILES or (kind in DATABASE_TYPES and name.startswith("/")):
                spec = f"{kind}:{name}"
                if (parameter, spec) not in seen:
                    seen.add((parameter, spec))
                    yield place, parameter, spec


def _words(value: str) -> Iterator[str]:
    for word in split_items(value):
        if word.startswith("{"):
            yield from split_items(word[1:-1])
        else:
            yield word


def _file_of(subject: Subject, spec: str) -> str:
    env = subject.tables.env
    return env.path(split_spec(spec)[1])


def _mtime(subject: Subject, path: str) -> int | None:
    """When a file was changed last, in nanoseconds; None if there is none."""
    try:
        return subject.tables.env.stat_file(path).st_mtime_ns
    except (OSError, ValueError):
        return None


@check("table-missing", Severity.ERROR, "a table whose file is not there")
def table_missing(subject: Subject) -> Iterator[Remark]:
    """Whatever asks the table is answered 451, or its mail is deferred, until the file appears. An empty file is a
    valid table. If only the index is left, `postmap -s` writes the text anew."""
    for place, parameter, spec in _named(subject):
        path = _file_of(subject, spec)
        if path.startswith("/") and _mtime(subject, path) is None:
            suffixes = INDEX_SUFFIXES.get(split_spec(spec)[0], ())
            if any(_mtime(subject, path + suffix) is not None for suffix in suffixes):
                message, remedy = f"{path} is missing, there is only its index", f"postmap -s {spec} > {path}"
            else:
                message, remedy = f"{path} is not there", "make the file (it may be empty), or take the table out"
            yield place.remark(parameter, f"{spec}: {message}", remedy)


@check("table-index-out-of-date", Severity.WARNING, "a table that was edited after its index was made")
def index_out_of_date(subject: Subject) -> Iterator[Remark]:
    """Gatepost reads the text, so that edits count at once. Postfix goes by the index beside it: the two servers
    would do different things, and an edit that was not meant to count yet counts. Run postmap, or remove the index
    once you do not go back."""
    for place, parameter, spec in _named(subject):
        kind, name = split_spec(spec)
        source = _mtime(subject, _file_of(subject, spec))
        for suffix in INDEX_SUFFIXES.get(kind, ()):
            index = _mtime(subject, _file_of(subject, spec) + suffix)
            if source is not None and index is not None and index < source:
                command = "postalias" if spec in subject.tables.env.alias_tables else "postmap"
                message = f"{name} is newer than {name}{suffix}"
                yield place.remark(parameter, message, f"{command} {spec}")


@check("table-type-unknown", Severity.ERROR, "a table of a type that does not exist")
def type_unknown(subject: Subject) -> Iterator[Remark]:
    """Tables are written `type:name`. With an unknown type nothing that needs the table starts, or the client is
    answered 451 4.3.5."""
    types = subject.tables.types
    for place, parameter, value in subject.set_values():
        for word in _table_words(parameter, value):
            kind = word.removeprefix("proxy:").partition(":")[0]
            if kind not in types:
                meant = nearest(kind, types)
                remedy = f"did you mean {meant}?" if meant else "see `gatepost postconf -m` for the types"
                yield place.remark(parameter, f"{word}: there is no table type {kind}", remedy)


def _table_words(parameter: str, value: str) -> Iterator[str]:
    """The words of a value that can be nothing else than tables."""
    if parameter.endswith("_restrictions"):
        yield from (item.table for item in list_items(value) if item.table)
    elif parameter.endswith("_maps") and find(parameter) is not None:
        yield from (word for word in split_items(value) if ":" in word and not word.startswith("{"))


@check("table-type-forgotten", Severity.ERROR, "a file name where a table is needed")
def type_forgotten(subject: Subject) -> Iterator[Remark]:
    """`virtual_alias_maps = /etc/postfix/virtual` names no table: the type is missing. Write
    `hash:/etc/postfix/virtual`."""
    for place, parameter, value in subject.set_values():
        declared = find(parameter)
        if declared is not None and parameter.endswith("_maps") and declared.kind == "lookup tables":
            for word in split_items(value):
                if ":" not in word:
                    yield place.remark(parameter, f"{word} has no type", f"write hash:{word}")


@check("table-path-relative", Severity.WARNING, "a table named by a relative path")
def path_relative(subject: Subject) -> Iterator[Remark]:
    """`hash:virtual` is looked for where the process happens to be: in the queue directory in Postfix. Write the
    whole path: `hash:$config_directory/virtual`."""
    for place, parameter, spec in _named(subject):
        kind, name = split_spec(spec)
        if kind in FILES and not name.startswith(("/", "{")):
            yield place.remark(parameter, f"{spec} has no folder", f"write {kind}:$config_directory/{name}")


def _problems(subject: Subject, spec: str) -> list[Problem]:
    if split_spec(spec)[0] not in FILES or _mtime(subject, _file_of(subject, spec)) is None:
        return []
    return list(getattr(subject.tables.open(spec), "problems", ()))


@check("table-line-ignored", Severity.ERROR, "a line of a table that does not count")
def line_ignored(subject: Subject) -> Iterator[Remark]:
    """A line without a value, a pattern that cannot be compiled, an alias without its colon: the line is skipped,
    and what it should refuse, permit or redirect is not. `postmap` tells the same."""
    for _, parameter, spec in _named(subject):
        for problem in _problems(subject, spec):
            if problem.skipped and problem.line:
                yield Remark(split_spec(spec)[1], problem.line, parameter, problem.what, "correct the line")


@check("table-key-twice", Severity.WARNING, "a key that stands in a table twice")
def key_twice(subject: Subject) -> Iterator[Remark]:
    """Of two entries for one key Gatepost takes the first, and so does Postfix's postmap, with a warning. The
    second does nothing."""
    for _, parameter, spec in _named(subject):
        for problem in _problems(subject, spec):
            if problem.what.startswith("duplicate entry"):
                remedy = "take one of them out"
                yield Remark(split_spec(spec)[1], problem.line, parameter, problem.what, remedy)


@check("table-in-alias-form", Severity.WARNING, "`key: value` in a table that is no alias file")
def in_alias_form(subject: Subject) -> Iterator[Remark]:
    """Only alias files have a colon behind the name. In all other tables the colon becomes part of the key, which
    is then never found."""
    for _, parameter, spec in _named(subject):
        for problem in _problems(subject, spec):
            if '"key: value"' in problem.what:
                message = "the key ends with a colon, which belongs into alias files only"
                yield Remark(split_spec(spec)[1], problem.line, parameter, message, "take the colon out")


@check("file-writable-by-others", Severity.ERROR, "a configuration file or table that everybody may write")
def writable_by_others(subject: Subject) -> Iterator[Remark]:
    """Who may write main.cf, master.cf or a table decides what is relayed and, through commands in them, runs
    programs as the mail system. Take the right from the others: `chmod o-w`."""
    paths = dict.fromkeys((subject.configuration.main.path, subject.configuration.master_cf.path), "")
    for _, parameter, spec in _named(subject):
        paths.setdefault(_file_of(subject, spec), parameter)
    for path, parameter in paths.items():
        try:
            mode = subject.tables.env.stat_file(subject.tables.env.path(path)).st_mode
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(mode) and mode & stat.S_IWOTH:
            yield Remark(path, 0, parameter, f"everybody may write {path}", f"chmod o-w {path}")

