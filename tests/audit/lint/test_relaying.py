"""The checks about relaying accuse no configuration of which it is proved that no stranger can relay."""

import re
from pathlib import Path

import pytest

from gatepost.audit.lint.finding import Severity
from tests.audit.lint.configurations import MASTER_CF, Folder

CORPUS = Path(__file__).parents[1] / "strangers" / "corpus.txt"
PRELUDE = """\
compatibility_level = 3.6
myhostname = mx.ours.example
mydestination = mx.ours.example, ours.example
alias_maps =
"""
ACCUSING = {"relay-open", "permit-before-relay-protection", "claim-permits-relay", "recipient-permits-relay"} | {
    "clients-permitted-widely",
    "relay-protection-only-warns",
    "network-is-everybody",
}


def corpus() -> list[tuple[str, str, str, str]]:
    found = re.findall(r"^== (\w+) (.*)\n((?:(?!== ).*\n)*)", CORPUS.read_text(), re.M)
    return [(outcome, name, *body.partition("-- master.cf\n")[::2]) for outcome, name, body in found]


@pytest.mark.parametrize("case", corpus(), ids=lambda case: case[1])
def test_no_false_accusation(case: tuple[str, str, str, str], tmp_path: Path) -> None:
    outcome, _, main, master = case
    found = Folder(tmp_path).lint(PRELUDE + main, master or MASTER_CF)
    accusations = [finding for finding in found if finding.check in ACCUSING]
    if outcome == "proved":
        assert not accusations
    assert all(finding.severity in Severity for finding in found)


def test_most_open_relays_are_named(tmp_path: Path) -> None:
    """Not all of them: `gatepost prove` is for that."""
    refuted = [case for case in corpus() if case[0] == "refuted"]
    named = 0
    for number, (_, _, main, master) in enumerate(refuted):
        found = Folder(tmp_path / str(number)).lint(PRELUDE + main, master or MASTER_CF)
        named += any(finding.check in ACCUSING for finding in found)
    assert refuted
    assert named > len(refuted) / 2
