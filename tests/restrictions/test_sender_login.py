"""Whose sender is it? Beside the dialogues in tests/dialogs/logins."""

import pytest

from tests.restrictions.world import ALICE, answers, stranger

MAIN_CF = """
smtpd_sasl_auth_enable = yes
smtpd_sender_login_maps = inline:{{a@client.example=joe, Fred  mary}, {@whole.example=fred}, {empty@client.example=,}}
smtpd_sender_restrictions = """
NOT_OWNED = "553 5.7.1 <a@client.example>: Sender address rejected: not owned by user "
NOT_LOGGED_IN = "553 5.7.1 <a@client.example>: Sender address rejected: not logged in"


@pytest.mark.parametrize("login", ["joe", "fred", "FRED", "Mary"])
async def test_owners_may(login: str) -> None:
    facts = stranger(sasl_method="PLAIN", sasl_username=login)
    assert await answers(MAIN_CF + "reject_sender_login_mismatch", ALICE, facts=facts) == ["OK"]


@pytest.mark.parametrize("login", ["joe,", "jo", "joe, Fred", "x"])
async def test_others_may_not(login: str) -> None:
    facts = stranger(sasl_method="PLAIN", sasl_username=login)
    assert await answers(MAIN_CF + "reject_sender_login_mismatch", ALICE, facts=facts) == [NOT_OWNED + login]


async def test_who_has_not_logged_in_may_not_send_as_somebody() -> None:
    for name in ("reject_sender_login_mismatch", "reject_unauthenticated_sender_login_mismatch"):
        assert await answers(MAIN_CF + name, ALICE) == [NOT_LOGGED_IN]
        assert await answers(MAIN_CF + name, ALICE, facts=stranger(sender="b@client.example")) == ["OK"]


async def test_whole_domains_have_owners_too() -> None:
    facts = stranger(sender="any@whole.example", sasl_method="PLAIN", sasl_username="fred")
    assert await answers(MAIN_CF + "reject_sender_login_mismatch", ALICE, facts=facts) == ["OK"]


async def test_a_sender_that_belongs_to_no_login_belongs_to_no_login() -> None:
    facts = stranger(sender="empty@client.example", sasl_method="PLAIN", sasl_username="fred")
    for name in ("reject_authenticated_sender_login_mismatch", "reject_known_sender_login_mismatch"):
        answer = "553 5.7.1 <empty@client.example>: Sender address rejected: not owned by user fred"
        assert await answers(MAIN_CF + name, ALICE, facts=facts) == [answer]
