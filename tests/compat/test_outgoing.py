"""smtp(8) and lmtp(8) of Gatepost and of a real Postfix before the same servers."""

import os

import pytest

from tests.compat.outgoing import Case, compare
from tests.compat.outgoing_contents import CHECKED, CHECKS, CONTENTS
from tests.compat.real_postfix import missing

THREE = ("one", "two", "three")
INET = "lmtp:inet:127.0.0.1:{port}"
UNIX = "lmtp:unix:{path}"
BARE = "250-peer.example\r\n250-8BITMIME\r\n250 SIZE"
LMTP = {
    "plain": Case({}, INET, recipients=THREE),
    "bracket": Case({}, "lmtp:[127.0.0.1]:{port}"),
    "bare": Case({"LHLO": BARE}, INET, recipients=THREE, mail=" BODY=8BITMIME"),
    "socket": Case({}, UNIX, recipients=THREE, unix=True),
    "nosocket": Case(None, "lmtp:unix:private/nobody"),
    "closed": Case(None, "lmtp:inet:127.0.0.1:{closed}"),
    "answers": Case({".two@": "452 4.2.2 full", ".three@": "550 5.1.1 gone"}, INET, recipients=THREE),
    "refused": Case({"RCPT TO:<one@": "550 5.1.1 no"}, UNIX, recipients=THREE, unix=True),
    "slowed": Case({"RCPT TO:<one@": "450 4.1.1 no", "LHLO": BARE}, INET, recipients=THREE),
    "nobody": Case({"RCPT": "550 5.1.1 no"}, INET, recipients=THREE),
    "last": Case({".two@": ""}, UNIX, recipients=("one", "two"), unix=True),
    "all": Case({".": "451 4.3.0 no"}, INET, recipients=THREE),
    "lhlo": Case({"LHLO": "500 5.5.1 what"}, INET),
    "busy": Case({"LHLO": "421 4.5.1 busy"}, INET),
    "gone": Case({"LHLO": ""}, INET),
    "greeting": Case({"CONNECT": "554 5.1.1 no"}, UNIX, unix=True),
    "later": Case({"CONNECT": "421 4.1.1 no"}, UNIX, unix=True),
    "data": Case({"DATA": "451 4.3.0 later"}, INET, recipients=THREE),
    "indata": Case({"CONTENT": ""}, INET),
}


SEVEN = {"EHLO": "250-peer.example\r\n250 SIZE"}


@pytest.fixture(autouse=True)
def _postfix() -> None:
    reason = missing()
    if reason:
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def same(cases: dict[str, Case], main_cf: str = "") -> None:
    theirs, ours = compare(cases, main_cf)
    for name in cases:
        assert ours[name] == theirs[name], name


def test_lmtp_is_as_postfixs() -> None:
    same(LMTP)


def test_contents_for_servers_without_8bitmime() -> None:
    cases = {name: Case(SEVEN, content=content) for name, content in CONTENTS.items()}
    cases |= {f"{name}-8": Case({}, content=content) for name, content in CONTENTS.items()}
    cases |= {f"{name}-7": Case(SEVEN, content=content, mail=" BODY=7BIT") for name, content in CONTENTS.items()}
    same(cases)


def test_header_and_body_checks() -> None:
    same({"eight": Case({}, content=CHECKED), "seven": Case(SEVEN, content=CHECKED)}, CHECKS)


@pytest.mark.parametrize("which", ["header", "body"])
def test_a_check_that_cannot_tell(which: str) -> None:
    same({"fail": Case({}, content=CHECKED)}, f"smtp_{which}_checks = fail:all\n")
