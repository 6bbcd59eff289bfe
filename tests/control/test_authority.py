"""Who may view, flush and change the queue."""

import pytest

from gatepost.config.configuration import Configuration
from gatepost.control.authority import Authority, user_name
from gatepost.control.client import RESERVED
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables

NAMES = {0: "root", 7: "mailer", 1000: "alice", 1001: "bob"}
OWNER = 7


def authority(main_cf: str = "") -> Authority:
    tables = Tables(TableEnvironment(clock=lambda: 0.0, warn=lambda text: None))
    settings = Configuration.parse(main_cf, "").settings
    return Authority(settings, tables, OWNER, lambda uid: NAMES.get(uid, "unknown"))


async def refused(main_cf: str, uid: int) -> list[str]:
    """The kinds of requests that this user may not make."""
    who = authority(main_cf)
    asked = {"view": "list", "flush": "flush", "change": "delete"}
    return [kind for kind, what in asked.items() if await who.refusal(uid, what)]


@pytest.mark.parametrize(
    ("main_cf", "uid", "what"),
    [
        ("", 1000, ["change"]),
        ("", 4711, ["change"]),
        ("authorized_mailq_users = alice\n", 1001, ["view", "change"]),
        ("authorized_mailq_users = alice\n", 1000, ["change"]),
        ("authorized_mailq_users = !bob, static:all\n", 1001, ["view", "change"]),
        ("authorized_flush_users =\n", 1000, ["flush", "change"]),
        ("authorized_flush_users = unknown\n", 4711, ["change"]),
        ("authorized_flush_users = inline:{ bob=x }\n", 1001, ["change"]),
        ("authorized_mailq_users =\nauthorized_flush_users =\n", 0, []),
        ("authorized_mailq_users =\nauthorized_flush_users =\n", OWNER, []),
    ],
)
async def test_the_lists_decide_for_others(main_cf: str, uid: int, what: list[str]) -> None:
    assert await refused(main_cf, uid) == what


async def test_a_refusal_names_the_user() -> None:
    who = authority("authorized_mailq_users =\nauthorized_flush_users =\n")
    assert await who.refusal(1000, "list") == "User alice(1000) is not allowed to view the mail queue"
    assert await who.refusal(4711, "flush-site") == "User unknown(4711) is not allowed to flush the mail queue"
    for what in ("delete", "hold", "release", "expire", "requeue", "cat", "something new"):
        assert await who.refusal(1000, what) == RESERVED


async def test_a_table_that_cannot_tell_lets_nobody_in() -> None:
    who = authority("authorized_mailq_users = fail:now\n")
    assert await who.refusal(1000, "list") == "cannot tell whether User alice(1000) is allowed to view the mail queue"
    assert await who.refusal(0, "list") == ""


def test_names_are_those_of_the_password_file() -> None:
    assert user_name(0) == "root"
    assert user_name(3_999_999_999) == "unknown"
