"""Where the entry of a table stands: the file and the line, where the table is read from a text."""

from gatepost.tables import cidr, pattern_rules
from gatepost.tables.cidr import CidrTable
from gatepost.tables.pattern_tables import PatternTable
from gatepost.tables.postmap_text import split_alias, split_entry
from gatepost.tables.source import Remarks, decode, logical_lines
from gatepost.tables.table import Table
from gatepost.tables.text_tables import TextTable

Place = tuple[str, int]


def entry_place(table: Table, key: str) -> Place | None:
    """The file and line (from 1) of the entry that answers for the key; None if that cannot be told."""
    if isinstance(table, TextTable):
        return _in_text(table, key)
    if isinstance(table, PatternTable | CidrTable):
        path, rules = table.source
        if not path or rules is None:
            return None
        line = _pattern_line(rules, key) if isinstance(rules, pattern_rules.Rules) else _cidr_line(rules, key)
        return (path, line) if line else None
    return None


def _in_text(table: TextTable, key: str) -> Place | None:
    path, syntax, env = table.source
    try:
        text = decode(env.read_file(path))
    except (OSError, ValueError):
        return None
    wanted = env.fold(key)
    for number, line in logical_lines(text, Remarks(path)):
        if syntax == "aliases":
            name, value, fault = split_alias(line)
            good = not fault
        else:
            name, value, unbalanced = split_entry(line)
            good = not unbalanced
        if good and value and env.fold(name) == wanted:
            return path, number
    return None


def _pattern_line(rules: pattern_rules.Rules, key: str) -> int:
    """The engine itself is asked with more and more of the rules, until one answers."""
    for count in range(1, len(rules.rules) + 1):
        if rules.rules[count - 1].replacement is not None:
            result, _ = pattern_rules.Rules(rules.rules[:count], []).find(key)
            if result is not None:
                return rules.rules[count - 1].line
    return 0


def _cidr_line(rules: cidr.Rules, key: str) -> int:
    for count in range(1, len(rules.rules) + 1):
        rule = rules.rules[count - 1]
        if rule.result is not None and cidr.Rules(rules.rules[:count]).find(key) is not None:
            return rule.line
    return 0
