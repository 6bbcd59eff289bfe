"""What is in a table, row by row with its line, for those types whose content can be listed."""

from typing import NamedTuple

from gatepost.config.errors import ConfigError
from gatepost.tables.braces import inline_rules
from gatepost.tables.cidr import parse_rules as cidr_rules
from gatepost.tables.literal import InlineTable, StaticTable
from gatepost.tables.network import Network
from gatepost.tables.opening import Tables
from gatepost.tables.pattern_rules import RuleParser
from gatepost.tables.source import BLANKS, Remarks, decode, logical_lines
from gatepost.tables.table_source import source_entries
from gatepost.tables.text_tables import INDEX_SUFFIXES

LIMIT = 32 * 1024 * 1024
"""Octets: a source that is larger is not read for remarks."""

INDEXED = frozenset((*INDEX_SUFFIXES, "texthash"))
FILES = INDEXED | {"cidr", "regexp", "pcre"}
"""Types whose name is a file that people write."""


class Row(NamedTuple):
    """One entry or rule. `key` of a rule is its pattern as written. `network`: of a cidr rule without `!` and IF."""

    key: str
    value: str
    line: int = 0
    network: Network | None = None


def split_spec(spec: str) -> tuple[str, str]:
    """Type and name, `proxy:` taken off."""
    kind, _, name = spec.removeprefix("proxy:").partition(":")
    return kind, name


def source_text(tables: Tables, path: str) -> str | None:
    """A file as text; None if it cannot be read or is too large."""
    env = tables.env
    try:
        if env.stat_file(env.path(path)).st_size > LIMIT:
            return None
        return decode(env.read_file(env.path(path)))
    except (OSError, ValueError):
        return None


def table_rows(tables: Tables, spec: str) -> list[Row] | None:
    """The rows of the table `type:name`, in order, duplicates included; None if they cannot be listed."""
    kind, name = split_spec(spec)
    if kind in ("cidr", "regexp", "pcre") and name.startswith("{"):
        try:
            rules = dict(inline_rules(kind, name))
        except ConfigError:
            return None
        return [row._replace(line=0) for row in (_cidr(rules) if kind == "cidr" else _patterns(kind, rules))]
    if kind in FILES and name.startswith("/"):
        text = source_text(tables, name)
        if text is None:
            return None
        if kind in INDEXED:
            return _indexed(tables, spec, text)
        lines = dict(logical_lines(text, Remarks("")))
        return _cidr(lines) if kind == "cidr" else _patterns(kind, lines)
    if kind in ("inline", "static"):
        try:
            table = tables.open(f"{kind}:{name}")
        except ConfigError:
            return None
        if isinstance(table, InlineTable):
            return [Row(key, value) for key, value in table.entries.items()]
        if isinstance(table, StaticTable):
            return [Row("*", table.value)]
    return None


def _indexed(tables: Tables, spec: str, text: str) -> list[Row]:
    aliases = tables.env.alias_tables
    syntax = "aliases" if spec in aliases or spec.removeprefix("proxy:") in aliases else "postmap"
    entries = source_entries(text, "", syntax, utf8=True, warn=lambda text: None)
    fold = tables.env.fold
    return [Row(fold(entry.key), entry.value, entry.number) for entry in entries]


def _cidr(lines: dict[int, str]) -> list[Row]:
    rules = cidr_rules(lines.items(), Remarks(""))
    conditional = any(rule.result is None for rule in rules.rules)
    rows = []
    for rule in rules.rules:
        if rule.result is not None:
            network = rule.network if not rule.negated and not conditional else None
            rows.append(Row(_pattern(lines[rule.line], rule.result), rule.result, rule.line, network))
    return rows


def _patterns(kind: str, lines: dict[int, str]) -> list[Row]:
    rules = RuleParser(kind, Remarks(""), "").parse(lines.items())
    rows = []
    depth_end = 0
    for number, rule in enumerate(rules.rules):
        if rule.replacement is None:
            depth_end = max(depth_end, rule.end if rule.end >= 0 else len(rules.rules))
            continue
        line = lines[rule.line]
        value = rule.replacement.plain or ""
        key = _pattern(line, value) if value else line
        rows.append(Row(key if number >= depth_end else f"(if) {key}", value, rule.line))
    return rows


def _pattern(line: str, value: str) -> str:
    """The line without its result."""
    line = line.rstrip(BLANKS)
    return line.removesuffix(value).strip(BLANKS) if line.endswith(value) else line
