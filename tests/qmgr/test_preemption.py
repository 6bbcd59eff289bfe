"""The examples and the guarantees of Postfix's SCHEDULER_README, section "Preemptive scheduling"."""

import random

import pytest

from gatepost.qmgr.concurrency import TransportParameters
from gatepost.qmgr.scheduler import Scheduler

ONE_AT_A_TIME = {"process_limit": 1, "recipient_limit": 1, "concurrency_limit": 0, "initial_concurrency": 1000}


def a_scheduler(**parameters: object) -> Scheduler:
    one = TransportParameters(**(ONE_AT_A_TIME | parameters))  # type: ignore[arg-type]
    return Scheduler(lambda transport: one)


def deliver(scheduler: Scheduler, now: float = 0.0, most: int = 1 << 30) -> list[str]:
    """Deliver one after the other, at most `most`; the messages in order."""
    order: list[str] = []
    while len(order) < most and (starts := scheduler.next_requests(now)):
        order += [start.message_id for start in starts]
        for start in starts:
            scheduler.finished(start, None, now)
    return order


@pytest.mark.parametrize(
    ("discount", "expected"), [(0, "11112211113311"), (50, "11221111331111"), (100, "12211113311111")]
)
def test_ten_recipients_and_twice_two(discount: int, expected: str) -> None:
    """README: with slot cost 2, waiting for all slots, or for half of them."""
    scheduler = a_scheduler(slot_cost=2, slot_loan=0, slot_discount=discount)
    for message, recipients in (("1", 10), ("2", 2), ("3", 2)):
        scheduler.add(message, "smtp", "example.org", list(range(recipients)), 0)
    assert "".join(deliver(scheduler)) == expected


def test_small_messages_between_the_entries_of_a_mailing() -> None:
    scheduler = a_scheduler(slot_cost=2, slot_loan=0)
    scheduler.add("0", "smtp", "example.org", list(range(6)), 0)
    for message in "12":
        scheduler.add(message, "smtp", "example.org", [0], 0)
    assert "".join(deliver(scheduler)) == "00100200"


def test_a_loan_brings_the_first_forward_and_is_paid_back() -> None:
    scheduler = a_scheduler(slot_cost=5, slot_loan=3, slot_discount=50)
    scheduler.add("L", "smtp", "example.org", list(range(30)), 0)
    for message in "abc":
        scheduler.add(message, "smtp", "example.org", [0], 0)
    assert "".join(deliver(scheduler)).startswith("LaLLLLLbLLLLLcLLLLL")


def test_no_slot_cost_no_preemption() -> None:
    scheduler = a_scheduler(slot_cost=0)
    scheduler.add("L", "smtp", "example.org", list(range(100)), 0)
    scheduler.add("s", "smtp", "example.org", [0], 0)
    assert deliver(scheduler).index("s") == 100


def test_what_never_earns_the_minimum_of_slots_is_not_preempted() -> None:
    for recipients, place in ((14, 14), (15, 1)):
        scheduler = a_scheduler(slot_cost=5, minimum_slots=3)
        scheduler.add("L", "smtp", "example.org", list(range(recipients)), 0)
        scheduler.add("s", "smtp", "example.org", [0], 0)
        assert deliver(scheduler).index("s") == place


def test_what_does_not_fit_into_the_slots_to_come_waits() -> None:
    scheduler = a_scheduler(slot_cost=5)
    scheduler.add("L", "smtp", "example.org", list(range(100)), 0)
    scheduler.add("M", "smtp", "example.org", list(range(21)), 0)
    assert "".join(deliver(scheduler)) == "L" * 100 + "M" * 21


def test_the_one_with_most_waiting_time_per_delivery_preempts() -> None:
    """An old message of two deliveries comes before a young one of one, unless it is hardly older."""
    for young, first in ((90.0, "2"), (30.0, "1")):
        scheduler = a_scheduler()
        scheduler.add("L", "smtp", "example.org", list(range(100)), 0)
        scheduler.add("2", "smtp", "example.org", [0, 1], 0)
        scheduler.add("1", "smtp", "example.org", [0], young)
        order = "".join(deliver(scheduler, 100))
        assert min(order.index("1"), order.index("2")) == order.index(first)


@pytest.mark.parametrize("small", [1, 2, 3, 7])
@pytest.mark.parametrize("moment", [1, 4, 999, 12345])
def test_a_mailing_of_50000_delays_a_small_message_by_its_slots_only(small: int, moment: int) -> None:
    """A slot costs 5 deliveries of the mailing; one that needs n slots waits for 5n of them at most.

    (Nothing else preempts; the mailing may have just paid for another message of n deliveries.)
    """
    scheduler = a_scheduler()
    scheduler.add("list", "smtp", "example.org", list(range(50_000)), 0)
    deliver(scheduler, 0, moment)
    for message in ("before", "small"):
        scheduler.add(message, "smtp", "example.org", list(range(small)), 1)
        order = deliver(scheduler, 2, 6 * small)
        assert order.count(message) == small
        assert order.index(message) <= 5 * small


def test_a_mailing_to_as_many_domains_delays_no_more() -> None:
    scheduler = a_scheduler(process_limit=100, initial_concurrency=5, concurrency_limit=20)
    for recipient in range(50_000):
        scheduler.add("list", "smtp", f"{recipient}.example", [recipient], 0)
    running = scheduler.next_requests(0)
    assert len(running) == 100
    scheduler.add("small", "smtp", "quick.example", [0], 1)
    for ended in range(5):
        scheduler.finished(running[ended], None, 2)
        (start,) = scheduler.next_requests(2)
        if start.message_id == "small":
            break
    assert start.message_id == "small"
    # To find it does not take longer the larger the mailing is.
    candidates = scheduler._transports["smtp"].candidates
    assert candidates is not None and len(candidates._heads) < 100


@pytest.mark.parametrize("size", [17, 90, 600])
def test_messages_of_all_sizes_preempt(size: int) -> None:
    scheduler = a_scheduler()
    scheduler.add("list", "smtp", "example.org", list(range(50_000)), 0)
    scheduler.add("other", "smtp", "example.org", list(range(size)), 0)
    order = deliver(scheduler, 1, 7 * size)
    # Half of what it costs, less the loan, comes before it.
    assert order.index("other") == pytest.approx((size / 2 - 3) * 5, abs=5)
    assert order.count("other") == size


@pytest.mark.parametrize("seed", range(20))
def test_a_mailing_is_never_slowed_down_more_than_promised(seed: int) -> None:
    """README: by k / (k - 1) at most, however many preempt one another; a loan aside, which comes once a level."""
    chance = random.Random(seed)
    cost = chance.choice((2, 3, 5))
    scheduler = a_scheduler(slot_cost=cost, slot_loan=0, slot_discount=0, minimum_slots=1)
    scheduler.add("list", "smtp", "example.org", list(range(1000)), 0)
    mine = others = 0
    now = 0.0
    while mine < 1000:
        now += 1
        if chance.random() < 0.7:
            size = chance.choice((1, 1, 2, 5, 30, 200))
            scheduler.add(f"other{now}", "smtp", chance.choice("abc"), list(range(size)), now)
        (start,) = scheduler.next_requests(now)
        if start.message_id == "list":
            mine += 1
        else:
            others += 1
        scheduler.finished(start, None, now)
    assert others <= 1000 / (cost - 1)


def test_mail_for_a_destination_without_room_does_not_hide_mail_for_another() -> None:
    scheduler = a_scheduler(process_limit=2, initial_concurrency=1, concurrency_limit=1)
    scheduler.add("stuck", "smtp", "slow.example", [0], 0)
    assert [start.message_id for start in scheduler.next_requests(0)] == ["stuck"]
    for message in range(1000):
        scheduler.add(f"slow{message}", "smtp", "slow.example", [0], 0)
    scheduler.add("list", "smtp", "list.example", list(range(100)), 0)
    scheduler.add("quick", "smtp", "quick.example", [0], 1)
    order = deliver(scheduler, 2)
    # The list's destination takes one at a time; the second process is free for other mail.
    assert order.index("quick") <= 1
    assert not any(message.startswith("slow") for message in order)


def test_a_preempting_job_that_is_blocked_lets_its_parent_go_on_and_comes_first_again() -> None:
    scheduler = a_scheduler(process_limit=0, initial_concurrency=1, concurrency_limit=1)
    scheduler.add("hold", "smtp", "b.example", [0], 0)
    (hold,) = scheduler.next_requests(0)
    scheduler.add("list", "smtp", "a.example", list(range(50)), 0)
    scheduler.add("two", "smtp", "a.example", [0], 0)
    scheduler.add("two", "smtp", "b.example", [1], 0)
    order = []
    (start,) = scheduler.next_requests(0)
    for _ in range(4):
        order.append(start.message_id)
        scheduler.finished(start, None, 1)
        (start,) = scheduler.next_requests(1)
    assert order == ["list", "two", "list", "list"]
    scheduler.finished(hold, None, 2)
    assert [(start.message_id, start.nexthop) for start in scheduler.next_requests(2)] == [("two", "b.example")]


def test_slots_that_were_promised_and_not_used_come_back() -> None:
    scheduler = a_scheduler()
    scheduler.add("list", "smtp", "example.org", list(range(100)), 0)
    scheduler.add("a", "smtp", "example.org", [0, 1, 2, 3], 0)
    assert deliver(scheduler, 1, 2) == ["list", "a"]
    assert scheduler.remove("a") == [1, 2, 3]
    scheduler.add("b", "smtp", "example.org", [0], 1)
    # One slot was used: five deliveries pay for it, one of which was there before.
    assert deliver(scheduler, 2, 7).index("b") == 5


def test_nothing_is_kept_of_candidates() -> None:
    scheduler = a_scheduler(process_limit=5)
    for round_ in range(3):
        scheduler.add(f"list{round_}", "smtp", "example.org", list(range(200)), round_)
        for message in range(1000):
            scheduler.add(f"{round_}/{message}", "smtp", f"{message % 40}.example", [0], round_)
            if message % 2:
                deliver(scheduler, round_, 1)
    deliver(scheduler, 10)
    transport = scheduler._transports["smtp"]
    assert not transport.jobs and not transport.destinations and not transport.ready and transport.candidates is None
