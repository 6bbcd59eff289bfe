"""The two text forms of indexed tables: `key whitespace value` (postmap(1)) and `name: value` (aliases(5))."""

import re
from collections.abc import Callable
from functools import partial

from gatepost.mail.address_tokens import Token, externalize, internalize, scan
from gatepost.tables.source import BLANKS, Parsed, Remarks, key_end, logical_lines, printable

Fold = Callable[[str], str]

_BLANK = re.compile("[ \t\n\v\f\r]+")

# By far the most lines of an alias file: a name and one address or file.
_PLAIN_ALIAS = re.compile(r"([A-Za-z0-9._+-]+)[ \t]*:[ \t]*([A-Za-z0-9._+/=@-]+)[ \t\r]*")


def parse_postmap(text: str, *, where: str, fold: Fold) -> Parsed[dict[str, str]]:
    """The entries of a postmap(1) source. Of two entries for one key the first counts."""
    remarks = Remarks(where)
    entries: dict[str, str] = {}
    for number, line in logical_lines(text, remarks):
        key, value, unbalanced = split_entry(line)
        if unbalanced:
            remarks.add(number, f"unbalanced '\"' in '{printable(line)}' -- ignoring this line")
        elif not key or not value:
            remarks.add(number, "expected format: key whitespace value -- ignoring this line")
        else:
            if key[-1] == ":":
                remarks.add(number, 'record is in "key: value" format; is this an alias file?', skipped=False)
            folded = fold(key)
            if folded in entries:
                remarks.add(number, f'duplicate entry: "{key}"', skipped=False)
            else:
                entries[folded] = value
    return Parsed(entries, remarks.problems)


def split_entry(line: str) -> tuple[str, str, bool]:
    """Key, value, and whether a quote was left open. A blank inside quotes or after a backslash is of the key."""
    if '"' not in line and "\\" not in line:
        parts = _BLANK.split(line, 1)
        return parts[0], parts[1].strip(BLANKS) if len(parts) > 1 else "", False
    end, quoted = key_end(line, BLANKS)
    return line[:end], line[end:].strip(BLANKS), quoted


def parse_aliases(text: str, *, where: str, fold: Fold) -> Parsed[dict[str, str]]:
    """The entries of an aliases(5) file: name unquoted, value in its usual form. The first of one name counts."""
    remarks = Remarks(where)
    entries: dict[str, str] = {}
    for number, line in logical_lines(text, remarks):
        name, value, fault = split_alias(line)
        if fault:
            remarks.add(number, fault)
            continue
        folded = fold(name)
        if folded in entries:
            remarks.add(number, f'duplicate entry: "{name}"', skipped=False)
        else:
            entries[folded] = value
    return Parsed(entries, remarks.problems)


def split_alias(line: str) -> tuple[str, str, str]:
    """Name in internal form, value, and what is wrong with the line (empty: nothing)."""
    plain = _PLAIN_ALIAS.fullmatch(line)
    if plain is not None:
        return plain.group(1), plain.group(2), ""
    # Quoted text may hold ":" and "@", so that the line must be read as address tokens.
    name: list[Token] = []
    tokens = iter(scan(line))
    kinds = set()
    for token in tokens:
        if token.kind == ":":
            break
        name.append(token)
        kinds.add(token.kind)
    value = list(tokens)
    if not name or not value or "," in kinds:
        return "", "", "need name:value pair"
    if "@" in kinds or "%" in kinds:
        return "", "", "name must be local"
    key = internalize(name)
    if not key:
        return "", "", "empty lookup key value is not allowed"
    return key, externalize(value), ""


def parse_passwords(text: str, *, where: str, fold: Fold) -> Parsed[dict[str, str]]:
    """As parse_postmap; what is wrong is told without the text of the line."""
    parsed = parse_postmap(text, where=where, fold=fold)
    remarks = Remarks(where)
    for problem in parsed.problems:
        remarks.add(problem.line, _QUOTED.sub(r"\1...\1", problem.what), skipped=problem.skipped)
    return Parsed(parsed.content, remarks.problems)


# The text of a line ends its quotes where `--` follows, or the remark ends.
_QUOTED = re.compile(r"(?<=[a-z] |: )(['\"]).*\1(?= -- |$)")

PARSERS = {"postmap": parse_postmap, "aliases": parse_aliases, "passwords": parse_passwords}


def parser(syntax: str, where: str, fold: Fold) -> Callable[[str], Parsed[dict[str, str]]]:
    """The parser for a syntax (`postmap`, `aliases` or `passwords`), ready for one file."""
    return partial(PARSERS[syntax], where=where, fold=fold)
