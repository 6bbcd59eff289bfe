"""gatepost lint: named checks of what a configuration means."""

import json
import os
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from gatepost.audit.lint.finding import Finding, Severity
from gatepost.audit.lint.registry import Check
from gatepost.audit.lint.run import checks, lint
from gatepost.audit.lint.subject import Subject
from gatepost.cli.options import CommandLineError, ManualPage
from gatepost.cli.terminal import WIDTH, Paint, filled
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.master.foundation import table_environment
from gatepost.tables.opening import Tables

DESCRIPTION = """\
Reads main.cf, master.cf and the tables they name, and tells what in them does something else than it says, or
nothing: entries without effect, an open relay, networks that are too wide, names misspelt. Nothing is changed, no
server is asked.

An error loses or refuses mail, relays for strangers, or keeps something from starting. A warning does something else
than it says. A note works and should not stay so. `gatepost check` tells whether the mail system would start.
"""
EXIT_STATUS = "0: nothing, or notes only. 1: warnings. 2: errors, or a file cannot be read. 64: wrong command line."


def _parser() -> ManualPage:
    parser = ManualPage(
        "gatepost lint",
        "what in the configuration does not do what it says",
        "[-c DIR] [--json] [--disable NAME]...\n--list\n--explain NAME",
        DESCRIPTION,
        EXIT_STATUS,
    )
    parser.add_argument("--json", action="store_true", help="one JSON array of findings, for programs")
    parser.add_argument("--list", action="store_true", help="the names of all checks")
    parser.add_argument("--explain", metavar="NAME", help="what is behind a check")
    parser.add_argument(
        "--disable", metavar="NAME", action="append", default=[], help="leave this check out; may stand several times"
    )
    return parser


def main(arguments: list[str], directory: str) -> int:
    """Run the checks; the exit status."""
    try:
        options = _parser().parse_args(arguments)
        disabled = [name for value in options.disable for name in value.split(",") if name]
        for name in [*disabled, *([options.explain] if options.explain else [])]:
            _known(name)
    except CommandLineError as error:
        print(f"gatepost lint: fatal: {error}", file=sys.stderr)
        return 64
    if options.explain:
        print(_explained(_known(options.explain)))
        return 0
    if options.list:
        for check in checks().values():
            print("\n".join(_listed(check)))
        return 0
    try:
        findings = lint(lint_subject(directory), disabled)
    except ConfigError as error:
        print(f"gatepost lint: fatal: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps([_as_json(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        _print(findings)
    return _status(findings)


def _known(name: str) -> Check:
    known = checks()
    if name not in known:
        raise CommandLineError(f"there is no check {name} (try: gatepost lint --list)")
    return known[name]


def lint_subject(directory: str) -> Subject:
    """The configuration there and its tables. Raises ConfigError."""
    configuration = Configuration.read(directory)
    # What tables say of themselves is told by checks.
    return Subject(configuration, Tables(table_environment(configuration.settings, lambda text: None)))


def _status(findings: list[Finding]) -> int:
    grave = {finding.severity for finding in findings}
    return 2 if Severity.ERROR in grave else 1 if Severity.WARNING in grave else 0


def _as_json(finding: Finding) -> dict[str, str | int]:
    return {
        "check": finding.check,
        "severity": finding.severity.value,
        "path": finding.path,
        "line": finding.line,
        "parameter": finding.parameter,
        "message": finding.message,
        "remedy": finding.remedy,
    }


def _listed(check: Check) -> list[str]:
    text = f"{check.name:34}{check.severity.value:9}{check.summary}"
    return textwrap.wrap(text, WIDTH, subsequent_indent=" " * 43, drop_whitespace=True, break_on_hyphens=False)


def _explained(check: Check) -> str:
    return f"{check.name} ({check.severity.value}): {check.summary}\n\n{textwrap.fill(check.explanation, WIDTH - 2)}"


def _print(findings: list[Finding]) -> None:
    paint = Paint.for_output()
    for finding in findings:
        print("\n".join(_lines(finding, paint)))
        print()
    counted = Counter(finding.severity for finding in findings)
    words = [f"{counted[each]} {each.value}{'s' * (counted[each] != 1)}" for each in Severity if counted[each]]
    if words:
        print("\n".join(filled(f"{', '.join(words)}. `gatepost lint --explain NAME` tells more of each.")))
    else:
        print(f"{len(checks())} checks, nothing found.")


def _lines(finding: Finding, paint: Paint) -> Iterator[str]:
    colour = {Severity.ERROR: paint.red, Severity.WARNING: paint.yellow, Severity.NOTE: paint.faint}[finding.severity]
    where = _short(finding.where)
    grade = f"{colour(finding.severity.value)} [{finding.check}]"
    if len(f"{where}: {finding.severity.value} [{finding.check}]") <= WIDTH:
        yield f"{paint.bold(where)}: {grade}"
    else:
        yield paint.bold(f"{where}:")
        yield f"  {grade}"
    what = f"{finding.parameter}: {finding.message}" if finding.parameter else finding.message
    yield from filled(what, 2)
    first, *others = filled(finding.remedy, 5)
    yield f"  {paint.green('->')} {first[5:]}"
    yield from others


def _short(where: str) -> str:
    """The path from here, if that is shorter."""
    path, colon, line = where.rpartition(":")
    if not colon or not line.isdigit():
        path, line = where, ""
    try:
        near = os.path.relpath(path)
    except (OSError, ValueError):
        near = path
    shown = near if Path(path).is_absolute() and not near.startswith("..") else path
    return f"{shown}:{line}" if line else shown
