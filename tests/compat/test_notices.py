"""The notices of Gatepost and of a real Postfix about the same mails, to the octet but for IDs, dates and ports."""

import difflib
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.compat.notice_cases import GROUPS
from tests.compat.real_postfix import need_postfix, without
from tests.namespaces import played_in_namespaces

DIFFERENCES = Path(__file__).with_name("differences.toml")


@pytest.fixture(scope="module")
def played() -> dict[str, list[dict[str, Any]]]:
    need_postfix()
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        without("unshare and ip are needed")
    played: dict[str, list[dict[str, Any]]] = played_in_namespaces("tests.compat.notices", limit=600)
    return played


def told(case: list[Any]) -> list[str]:
    """All notices and lines about a case, as one text."""
    lines: list[str] = []
    for mail, *recipients, content in case[0]:
        lines += [mail, *recipients, *content.split("\n")]
    return [*lines, *case[1]]


def forgiven(group: str, name: str, theirs: list[str]) -> list[str]:
    """What Postfix tells, with the lines in which we differ on purpose."""
    for entry in tomllib.loads(DIFFERENCES.read_text())["notice"]:
        if f"{group}/{name}" in entry["cases"]:
            assert entry["postfix"] in theirs, f"no longer so: {entry['reason']}"
            theirs = [entry["ours"] if line == entry["postfix"] else line for line in theirs]
    return theirs


@pytest.mark.parametrize("group", GROUPS)
def test_notices_are_postfixs(group: str, played: dict[str, list[dict[str, Any]]]) -> None:
    theirs, ours = played[group]
    problems = []
    for name in GROUPS[group].cases:
        expected, found = forgiven(group, name, told(theirs[name])), told(ours[name])
        if expected != found:
            problems += ["", name, *difflib.unified_diff(expected, found, "Postfix", "Gatepost", lineterm="", n=2)]
    assert not problems, "\n".join(problems)


def test_there_are_enough_notices(played: dict[str, list[dict[str, Any]]]) -> None:
    """Cases in which a notice is written, and notices in all."""
    cases = [case for theirs, _ in played.values() for case in theirs.values() if case[0]]
    assert len(cases) >= 200
    assert sum(len(case[0]) for case in cases) >= 300
