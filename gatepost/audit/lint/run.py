"""All checks on one configuration."""

from collections.abc import Container

from gatepost.audit.lint import (
    access_tables,
    address_lists,
    dns_lists,
    domains,
    encryption,
    logins,
    lookup_tables,
    names,
    restriction_order,
    restriction_words,
    routes,
    services,
    values,
)
from gatepost.audit.lint.finding import Finding, Severity
from gatepost.audit.lint.registry import Check, registered
from gatepost.audit.lint.subject import Subject

FAMILIES = {
    address_lists: "Networks and other lists of addresses",
    restriction_order: "The order of restrictions",
    restriction_words: "Restrictions and their classes",
    access_tables: "Access tables",
    lookup_tables: "Lookup tables",
    domains: "Domains and their recipients",
    routes: "Routes and aliases",
    names: "Names of parameters",
    values: "Values",
    dns_lists: "DNS lists",
    encryption: "TLS",
    logins: "Logins",
    services: "Services of master.cf",
}
"""Importing them is what registers their checks; the titles are those of the documentation."""

_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}


def checks() -> dict[str, Check]:
    """All checks by name, family by family."""
    order = [module.__name__.rpartition(".")[2] for module in FAMILIES]
    return dict(sorted(registered().items(), key=lambda entry: order.index(entry[1].family)))


def lint(subject: Subject, disabled: Container[str] = ()) -> list[Finding]:
    """What the checks say, gravest first, then in the order of files and lines; each thing once."""
    found: dict[Finding, None] = {}
    for name, check in checks().items():
        if name not in disabled:
            for remark in check.function(subject):
                path, line, parameter, message, remedy = (
                    remark.path,
                    remark.line,
                    remark.parameter,
                    remark.message,
                    remark.remedy,
                )
                found[Finding(name, check.severity, path, line, parameter, message, remedy)] = None
    main = subject.configuration.main.path
    return sorted(found, key=lambda each: (_RANK[each.severity], each.path != main, each.path, each.line))
