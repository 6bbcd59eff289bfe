"""Each check has cases in which it speaks and cases in which it is silent (cases/FAMILY.txt).

[name]                the check
+ main.cf:2           it speaks, and names this place; `+ main.cf` if no line sets what is meant
- why not             it is silent
    text              main.cf, indented by four blanks
    @ master.cf       another file; `mode=644` and `age=SECONDS` may follow its name
"""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from gatepost.audit.lint.run import FAMILIES, checks
from tests.audit.expiring import certificate
from tests.audit.lint.configurations import MASTER_CF, Folder

CASES = Path(__file__).with_name("cases")


class Case(NamedTuple):
    check: str
    expected: str
    files: dict[str, list[str]]
    line: int

    @property
    def speaks(self) -> bool:
        return self.expected.startswith("+")

    @property
    def where(self) -> str:
        place = self.expected[1:].strip()
        return place if place.startswith("/") else f"/etc/postfix/{place}"


def read_cases(path: Path) -> list[Case]:
    cases: list[Case] = []
    check, file = "", "main.cf"
    for number, line in enumerate(path.read_text().split("\n"), 1):
        if line.startswith("["):
            check = line.strip("[]")
        elif line[:1] in ("+", "-"):
            file = "main.cf"
            cases.append(Case(check, line, {file: []}, number))
        elif line.startswith("    @ "):
            file = line[6:]
            cases[-1].files[file] = []
        elif line.startswith("    "):
            cases[-1].files[file].append(line[4:])
        else:
            assert not line or line.startswith("#"), f"{path.name}:{number}: {line}"
    return cases


ALL = {path.stem: read_cases(path) for path in sorted(CASES.glob("*.txt"))}


@pytest.mark.parametrize(
    "case", [case for cases in ALL.values() for case in cases], ids=lambda case: f"{case.check}-{case.line}"
)
def test_case(case: Case, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    texts = {"main.cf": "", "master.cf": MASTER_CF}
    for name, lines in case.files.items():
        path, *options = name.split()
        given = dict(option.split("=") for option in options)
        texts[path] = "".join(f"{line}\n" for line in lines)
        if "certificate" in given:
            texts[path] = b"".join(certificate(int(given["certificate"]))).decode()
        if path.startswith("/"):
            folder.write(path, texts[path], mode=int(given.get("mode", "640"), 8), age=int(given.get("age", "0")))
    found = folder.lint(texts["main.cf"], texts["master.cf"])
    places = [finding.where for finding in found if finding.check == case.check]
    if case.speaks:
        assert case.where in places, found
        for finding in found:
            assert finding.message and finding.remedy
            assert finding.message[-1] not in ".!" and finding.remedy[-1] not in ".!"
    else:
        assert not places, found


def test_each_check_has_both_kinds_of_cases() -> None:
    families = {module.__name__.rpartition(".")[2] for module in FAMILIES}
    assert set(ALL) <= families
    missing = []
    for name, check in checks().items():
        cases = [case for case in ALL.get(check.family, []) if case.check == name]
        missing += [f"{name} {kind}" for kind in "+-" if not any(case.expected[0] == kind for case in cases)]
    assert not missing


def test_cases_are_of_checks_that_exist() -> None:
    assert not {case.check for cases in ALL.values() for case in cases} - set(checks())


def test_names_and_texts_of_checks() -> None:
    assert len(checks()) >= 40
    for name, check in checks().items():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name)
        assert check.summary and not check.summary.endswith(".")
        assert check.explanation.endswith(".")
