from gatepost.mail.envelope import Message, Recipient
from gatepost.qmgr.backoff import Backoff

DAY = 86400.0
ARRIVAL = 1_000_000.0
BACKOFF = Backoff(300, 4000, 5 * DAY, 1 * DAY, 4 * 3600)


def a_message(sender: str = "a@example.com", warn_sent: bool = False) -> Message:
    return Message("96E3100001", ARRIVAL, sender, [Recipient("b@example.org")], 1, b"\n", warn_sent=warn_sent)


def test_delays_double_between_the_limits() -> None:
    now = ARRIVAL + 1
    delays = []
    for _ in range(7):
        later = BACKOFF.next_attempt(a_message(), now)
        delays.append(later - now)
        now = later
    assert delays == [300, 301, 602, 1204, 2408, 4000, 4000]


def test_a_clock_that_was_set_back_gives_the_least_delay() -> None:
    assert BACKOFF.next_attempt(a_message(), ARRIVAL - 5000) == ARRIVAL - 5000 + 300


def test_crossed_limits_give_the_minimum() -> None:
    assert (
        Backoff(minimal_backoff_time=500, maximal_backoff_time=100).next_attempt(a_message(), ARRIVAL) == ARRIVAL + 500
    )


def test_mail_expires_and_bounces_sooner() -> None:
    assert not BACKOFF.expired(a_message(), ARRIVAL + 5 * DAY - 1)
    assert BACKOFF.expired(a_message(), ARRIVAL + 5 * DAY)
    assert BACKOFF.expired(a_message(""), ARRIVAL + DAY)


def test_a_lifetime_of_nothing_is_one_attempt() -> None:
    assert Backoff(maximal_queue_lifetime=0).expired(a_message(), ARRIVAL)


def test_one_warning_and_none_for_bounces() -> None:
    due = ARRIVAL + 4 * 3600
    assert not BACKOFF.warning_due(a_message(), due - 1)
    assert BACKOFF.warning_due(a_message(), due)
    assert not BACKOFF.warning_due(a_message(warn_sent=True), due)
    assert not BACKOFF.warning_due(a_message(""), due)
    assert not Backoff().warning_due(a_message(), due + 100 * DAY)
