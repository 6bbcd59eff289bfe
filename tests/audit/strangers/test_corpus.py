"""A corpus of configurations, each labelled: whether a stranger can relay."""

import asyncio
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from gatepost.audit.strangers.inquiry import Answer, inquire
from gatepost.config.configuration import Configuration
from gatepost.master.prove import inquired, prove

PRELUDE = """\
compatibility_level = 3.6
myhostname = mx.ours.example
mydestination = ours.example
inet_interfaces = all
mail_owner = nobody
mynetworks = 127.0.0.0/8, 192.168.87.0/24
"""
MASTER = "smtp inet n - n - - smtpd\n"
GRAVITY = ("refuted", "depends", "proved")


class Case(NamedTuple):
    outcome: str
    name: str
    main: str
    master: str


def corpus() -> list[Case]:
    text = Path(__file__).with_name("corpus.txt").read_text()
    cases = []
    for outcome, name, body in re.findall(r"^== (\w+) (.*)\n((?:(?!== ).*\n)*)", text, re.M):
        main, _, master = body.partition("-- master.cf\n")
        cases.append(Case(outcome, name, main, master or MASTER))
    return cases


def answers(main: str, master: str = MASTER) -> list[Answer]:
    proof = prove(Configuration.parse(PRELUDE + main, master))
    expected = ("mail_owner", "working instance", "strangers can relay", "gateway of this container")
    assert not [text for text in proof.errors if not any(words in text for words in expected)]
    return [asyncio.run(inquire(inquired(listener))) for listener in proof.listeners]


CASES = corpus()


def test_the_corpus_is_whole() -> None:
    assert len(CASES) >= 60
    assert {case.outcome for case in CASES} == set(GRAVITY)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_labelled(case: Case) -> None:
    found = answers(case.main, case.master)
    if not found:
        pytest.fail("no listener could be made")
    assert min((answer.outcome for answer in found), key=GRAVITY.index) == case.outcome
