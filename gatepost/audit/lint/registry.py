"""The checks by their names."""

from collections.abc import Callable, Iterator

import msgspec

from gatepost.audit.lint.finding import Remark, Severity
from gatepost.audit.lint.subject import Subject

Function = Callable[[Subject], Iterator[Remark]]


class Check(msgspec.Struct, frozen=True):
    """One check. `summary` is a line; `explanation` what is behind it and what to do, in paragraphs."""

    name: str
    severity: Severity
    summary: str
    explanation: str
    family: str
    function: Function


_checks: dict[str, Check] = {}


def check(name: str, severity: Severity, summary: str) -> Callable[[Function], Function]:
    """Register a generator as the check `name`. Its docstring is the explanation."""

    def register(function: Function) -> Function:
        if name in _checks:
            raise RuntimeError(f"check {name} is registered twice")
        text = " ".join((function.__doc__ or "").split())
        family = function.__module__.rpartition(".")[2]
        _checks[name] = Check(name, severity, summary, text, family, function)
        return function

    return register


def registered() -> dict[str, Check]:
    """All checks that have been imported, by name, in the order of their families."""
    return dict(_checks)
