"""What is known of an address, over time: Postfix's default values, a clock of our own."""

import pytest

from gatepost.config.configuration import Configuration
from gatepost.verify.entry import IN_PROGRESS, NOTHING, PROBE_TTL, Entry, Rules, Status

NOW = 1_800_000_000
HOUR, DAY = 3600, 86400
RULES = Rules.of(Configuration.parse("").settings)
GOOD = Entry(Status.OK, 0, NOW, "250 2.1.5 Ok")
BAD = Entry(Status.BOUNCED, 0, NOW, "no such user")


def test_the_defaults_are_postfixs() -> None:
    assert Rules(31 * DAY, 7 * DAY, True, 3 * DAY, 3 * HOUR) == RULES


def test_of_a_new_address_nothing_is_known_and_a_probe_is_wanted() -> None:
    judgement = RULES.judge(None, NOW)
    assert judgement.entry == Entry(Status.UNKNOWN, 0, 0, IN_PROGRESS)
    assert judgement.probe and not judgement.forget


def test_one_probe_at_a_time_until_it_counts_as_lost() -> None:
    probing = RULES.probing(NOTHING, NOW)
    assert probing == Entry(Status.UNKNOWN, NOW, 0, IN_PROGRESS)
    for later in (0, 1, PROBE_TTL):
        judgement = RULES.judge(probing, NOW + later)
        assert judgement.entry == probing and not judgement.probe
    assert RULES.judge(probing, NOW + PROBE_TTL + 1).probe


@pytest.mark.parametrize(
    ("entry", "refresh", "expire"), [(GOOD, 7 * DAY, 31 * DAY), (BAD, 3 * HOUR, 3 * DAY)], ids=["good", "bad"]
)
def test_a_result_is_refreshed_in_the_background_and_expires_in_the_end(
    entry: Entry, refresh: int, expire: int
) -> None:
    assert not RULES.judge(entry, NOW + refresh).probe
    for age in (refresh + 1, expire):
        judgement = RULES.judge(entry, NOW + age)
        assert judgement.entry is entry and judgement.probe
        # The probe that is under way is waited for.
        probing = RULES.probing(entry, NOW + age)
        assert probing is not None and probing.status is entry.status and probing.updated == NOW
        assert not RULES.judge(probing, NOW + age + 10).probe
    gone = RULES.judge(entry, NOW + expire + 1)
    assert gone.entry is NOTHING and gone.probe
    assert RULES.expired(entry, NOW + expire + 1) and not RULES.expired(entry, NOW + expire)


def test_an_expired_result_is_given_while_the_probe_that_may_renew_it_is_under_way() -> None:
    probing = Entry(Status.OK, NOW, NOW - 32 * DAY, "250 2.1.5 Ok")
    assert RULES.judge(probing, NOW + PROBE_TTL).entry is probing
    assert RULES.judge(probing, NOW + PROBE_TTL + 1).entry is NOTHING


@pytest.mark.parametrize("status", [Status.DEFERRED, Status.BOUNCED])
def test_a_failure_does_not_overrule_a_success(status: Status) -> None:
    assert RULES.learnt(GOOD, status, "no", NOW) is None
    for before in (None, BAD, NOTHING):
        assert RULES.learnt(before, status, "no", NOW) == Entry(status, 0, NOW, "no")


@pytest.mark.parametrize("before", [None, GOOD, BAD, NOTHING])
def test_a_success_overrules_everything(before: Entry | None) -> None:
    assert RULES.learnt(before, Status.OK, "yes", NOW) == Entry(Status.OK, 0, NOW, "yes")


def test_without_negative_cache_only_successes_are_kept() -> None:
    rules = Rules.of(Configuration.parse("address_verify_negative_cache = no\n").settings)
    assert rules.probing(NOTHING, NOW) is None
    assert rules.learnt(None, Status.BOUNCED, "no", NOW) is None
    assert rules.learnt(None, Status.OK, "yes", NOW) == Entry(Status.OK, 0, NOW, "yes")
    # What is known is marked while it is renewed, and forgotten when it has expired.
    assert rules.probing(GOOD, NOW + 8 * DAY) == Entry(Status.OK, NOW + 8 * DAY, NOW, "250 2.1.5 Ok")
    assert rules.judge(GOOD, NOW + 32 * DAY).forget
