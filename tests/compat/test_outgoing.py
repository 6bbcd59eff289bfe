"""lmtp(8) of Gatepost and of a real Postfix before the same servers."""

import os

import pytest

from tests.compat.outgoing import Case, compare
from tests.compat.real_postfix import missing

THREE = ("one", "two", "three")
INET = "lmtp:inet:127.0.0.1:{port}"
UNIX = "lmtp:unix:{path}"
BARE = "250-peer.example\r\n250-8BITMIME\r\n250 SIZE"
CASES = {
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


def test_lmtp_is_as_postfixs() -> None:
    reason = missing()
    if reason:
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    theirs, ours = compare(CASES)
    for name in CASES:
        assert ours[name] == theirs[name], name
