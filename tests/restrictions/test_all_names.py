"""Every name in every list: it compiles, it is tried, and it is no mistake of the configuration."""

from collections.abc import Awaitable, Callable

import pytest

from gatepost.mail.reply import Reply
from gatepost.restrictions.evaluate import AccessPolicy
from gatepost.restrictions.facts import SessionFacts
from tests.restrictions.names import ACCESS_RESULTS, ALIASES, RESTRICTIONS
from tests.restrictions.world import World, line, session

LISTS: dict[str, tuple[str, Callable[[AccessPolicy, SessionFacts], Awaitable[Reply | None]]]] = {
    "smtpd_client_restrictions": ("RCPT", AccessPolicy.rcpt),
    "smtpd_helo_restrictions": ("RCPT", AccessPolicy.rcpt),
    "smtpd_sender_restrictions": ("RCPT", AccessPolicy.rcpt),
    "smtpd_relay_restrictions": ("RCPT", AccessPolicy.rcpt),
    "smtpd_recipient_restrictions": ("RCPT", AccessPolicy.rcpt),
    "smtpd_data_restrictions": ("DATA", AccessPolicy.data),
    "smtpd_end_of_data_restrictions": ("END-OF-MESSAGE", AccessPolicy.end_of_data),
    "smtpd_etrn_restrictions": ("ETRN", AccessPolicy.etrn),
}
EARLY: dict[str, tuple[str, Callable[[AccessPolicy, SessionFacts], Awaitable[Reply | None]]]] = {
    "smtpd_client_restrictions": ("CONNECT", AccessPolicy.client),
    "smtpd_helo_restrictions": ("HELO", AccessPolicy.helo),
    "smtpd_sender_restrictions": ("MAIL", AccessPolicy.mail),
}
NAMES = RESTRICTIONS | {alias: RESTRICTIONS[name] for alias, name in ALIASES.items()}


def test_none_is_forgotten() -> None:
    assert (len(RESTRICTIONS), len(ALIASES), len(ACCESS_RESULTS)) == (68, 7, 20)


@pytest.mark.parametrize("parameter", LISTS)
@pytest.mark.parametrize("name", NAMES)
async def test_a_known_name_is_no_mistake(name: str, parameter: str) -> None:
    stages = [("yes", LISTS[parameter])]
    if parameter in EARLY:
        stages.append(("no", EARLY[parameter]))
    for delay, (stage, judge) in stages:
        for spelling in (name, name.upper()):
            world = World(_main_cf(parameter, f"{spelling} {NAMES[name]}", delay))
            assert world.policy.problems() == []
            facts = session("192.0.2.99", name="client.example", etrn_name="relayed.example")
            facts.stage, facts.recipient, facts.recipient_count = stage, "alice@ours.example", 1
            reply = line(await judge(world.policy, facts))
            log = world.take_log()
            assert "4.3.5" not in reply, (reply, log)
            assert not [text for text in log if "restriction" in text], log


def _main_cf(parameter: str, item: str, delay: str) -> str:
    closed = "reject_unauth_destination"
    main_cf = f"{parameter} = {item}\nsmtpd_delay_reject = {delay}\nsmtpd_sasl_auth_enable = yes\n"
    if parameter == "smtpd_relay_restrictions":
        return main_cf + f"smtpd_recipient_restrictions = {closed}\n"
    return main_cf + f"smtpd_relay_restrictions = {closed}\n"


async def test_without_anything_known() -> None:
    """At connect nothing is there but the client: what needs more has no opinion."""
    for name, argument in RESTRICTIONS.items():
        if name in ("permit", "reject", "defer", "warn_if_reject"):
            continue
        world = World(_main_cf("smtpd_client_restrictions", f"{name} {argument}", "no"))
        facts = session("192.0.2.99", sender=None)
        facts.helo_name, facts.stage = None, "CONNECT"
        reply = line(await world.policy.client(facts))
        assert "4.3.5" not in reply, (name, reply, world.take_log())
