"""The scheduler on a simulated clock."""

from collections import Counter

from gatepost.config.configuration import Configuration
from gatepost.qmgr.concurrency import Feedback, TransportParameters
from gatepost.qmgr.scheduler import Scheduler, Start, Suspended

DOWN = ("4.4.1", "connect to mx.example.org[192.0.2.1]:25: Connection timed out")


def a_scheduler(**parameters: object) -> Scheduler:
    one = TransportParameters(**parameters)  # type: ignore[arg-type]
    return Scheduler(lambda transport: one)


def names(starts: list[Start]) -> list[str]:
    return [start.message_id for start in starts]


def deliver(scheduler: Scheduler, now: float = 0.0) -> list[Start]:
    """Deliver everything, each round at once; what was started, in order."""
    order: list[Start] = []
    while starts := scheduler.next_requests(now):
        order += starts
        for start in starts:
            scheduler.finished(start, None, now)
    return order


def test_one_message() -> None:
    scheduler = a_scheduler()
    assert scheduler.next_requests(0) == []
    scheduler.add("A", "smtp", "example.org", [0, 2], 0)
    (start,) = scheduler.next_requests(0)
    assert (start.message_id, start.transport, start.nexthop, start.indexes) == ("A", "smtp", "example.org", [0, 2])
    assert not start.more_waiting
    assert scheduler.next_requests(0) == []
    scheduler.finished(start, None, 1)
    assert scheduler.next_requests(1) == []
    assert scheduler.wake_at() is None
    assert scheduler.suspended(1) == []


def test_nothing_is_kept_of_what_is_finished() -> None:
    scheduler = a_scheduler()
    for message in range(100):
        scheduler.add(str(message), "smtp", f"{message % 7}.example", list(range(120)), 0)
    deliver(scheduler)
    assert not scheduler._transports["smtp"].jobs
    assert not scheduler._ready
    assert not scheduler._timers
    assert not scheduler._transports["smtp"].destinations
    assert scheduler._transports["smtp"].busy == 0


def test_recipients_are_split_at_the_limit() -> None:
    scheduler = a_scheduler(recipient_limit=50)
    scheduler.add("A", "smtp", "example.org", list(range(120)), 0)
    starts = deliver(scheduler)
    assert [len(start.indexes) for start in starts] == [50, 50, 20]
    assert [index for start in starts for index in start.indexes] == list(range(120))
    assert [start.more_waiting for start in starts] == [True, True, False]


def test_no_recipient_limit() -> None:
    scheduler = a_scheduler(recipient_limit=0)
    scheduler.add("A", "smtp", "example.org", list(range(120)), 0)
    assert [len(start.indexes) for start in deliver(scheduler)] == [120]


def test_the_window_of_a_destination_opens_slowly() -> None:
    scheduler = a_scheduler(initial_concurrency=2, concurrency_limit=4)
    for message in range(20):
        scheduler.add(str(message), "smtp", "example.org", [0], 0)
    running = scheduler.next_requests(0)
    sizes = [len(running)]
    for _ in range(4):
        for start in running:
            scheduler.finished(start, None, 0)
        running = scheduler.next_requests(0)
        sizes.append(len(running))
    # When the second of two ends, the window of three is wide enough for the one that is still under way.
    assert sizes == [2, 3, 4, 4, 4]


def test_destinations_do_not_wait_for_each_other() -> None:
    scheduler = a_scheduler(initial_concurrency=1, concurrency_limit=1)
    for message in range(3):
        scheduler.add(f"slow{message}", "smtp", "slow.example", [0], 0)
    scheduler.add("quick", "smtp", "quick.example", [0], 0)
    assert names(scheduler.next_requests(0)) == ["slow0", "quick"]
    assert scheduler.next_requests(0) == []


def test_the_process_limit_of_a_transport() -> None:
    limits = {"smtp": TransportParameters(process_limit=3), "local": TransportParameters(process_limit=0)}
    scheduler = Scheduler(limits.__getitem__)
    for message in range(10):
        scheduler.add(str(message), "smtp", f"{message}.example", [0], 0)
        scheduler.add(f"L{message}", "local", f"{message}.example", [0], 0)
    starts = scheduler.next_requests(0)
    assert Counter(start.transport for start in starts) == {"smtp": 3, "local": 10}
    remote = [start for start in starts if start.transport == "smtp"]
    assert scheduler.next_requests(0) == []
    scheduler.finished(remote[0], None, 0)
    assert names(scheduler.next_requests(0)) == ["3"]


def test_messages_go_in_the_order_of_their_arrival() -> None:
    scheduler = a_scheduler(process_limit=1)
    for message in range(4):
        scheduler.add(f"a{message}", "smtp", "a.example", [0], 0)
    for message in range(2):
        scheduler.add(f"b{message}", "smtp", "b.example", [0], 0)
    assert names(deliver(scheduler)) == ["a0", "a1", "a2", "a3", "b0", "b1"]


def test_the_destinations_of_a_message_take_turns() -> None:
    scheduler = a_scheduler(process_limit=1, recipient_limit=1)
    scheduler.add("list", "smtp", "a.example", [0, 1, 2], 0)
    scheduler.add("list", "smtp", "b.example", [3, 4], 0)
    assert [start.nexthop[0] for start in deliver(scheduler)] == ["a", "b", "a", "b", "a"]


def test_a_dead_destination() -> None:
    scheduler = a_scheduler(initial_concurrency=2, concurrency_limit=2, dead_time=300, recipient_limit=2)
    scheduler.add("A", "smtp", "example.org", [0, 1], 0)
    for message in "BCD":
        scheduler.add(message, "smtp", "example.org", [0, 1, 2], 0)
    scheduler.add("E", "smtp", "other.example", [0], 0)
    first, second, other = scheduler.next_requests(0)
    assert {first.message_id, second.message_id, other.message_id} == {"A", "B", "E"}
    starts = {start.message_id: start for start in (first, second, other)}
    scheduler.finished(starts["A"], DOWN, 10)
    assert scheduler.suspended(10) == []
    scheduler.finished(starts["B"], DOWN, 10)
    # What waits is deferred with the reason, the recipients that were tried apart.
    suspended = scheduler.suspended(10)
    assert {one.message_id: one.indexes for one in suspended} == {
        "B": [2], "C": [0, 1, 2], "D": [0, 1, 2],
    }  # fmt: skip
    assert {(one.dsn, one.text) for one in suspended} == {("4.4.1", f"delivery temporarily suspended: {DOWN[1]}")}
    assert scheduler.suspended(10) == []
    # So is new mail, until the time is over.
    assert scheduler.wake_at() == 310
    scheduler.add("F", "smtp", "example.org", [0], 200)
    assert names(scheduler.next_requests(200)) == []
    assert [one.message_id for one in scheduler.suspended(200)] == ["F"]
    scheduler.add("G", "smtp", "example.org", [0], 310)
    assert names(scheduler.next_requests(310)) == ["G"]
    assert scheduler.suspended(310) == []
    assert scheduler.wake_at() is None


def test_a_permanent_code_from_a_dead_destination_returns_no_mail() -> None:
    scheduler = a_scheduler(initial_concurrency=1)
    scheduler.add("A", "smtp", "example.org", [0], 0)
    scheduler.add("B", "smtp", "example.org", [0], 0)
    (start,) = scheduler.next_requests(0)
    scheduler.finished(start, ("5.7.1", "go away"), 0)
    assert scheduler.suspended(0) == [Suspended("B", [0], "4.0.0", "delivery temporarily suspended: go away")]


def test_a_late_success_revives_a_dead_destination() -> None:
    scheduler = a_scheduler(initial_concurrency=3, concurrency_limit=3, failed_cohort_limit=0.5, dead_time=300)
    for message in "ABC":
        scheduler.add(message, "smtp", "example.org", [0], 0)
    a, b, c = scheduler.next_requests(0)
    scheduler.finished(a, DOWN, 0)
    scheduler.finished(b, DOWN, 0)
    scheduler.finished(c, None, 1)
    scheduler.add("D", "smtp", "example.org", [0], 2)
    assert names(scheduler.next_requests(2)) == ["D"]
    # The timer that is left over does no harm.
    assert scheduler.next_requests(1000) == []
    assert scheduler.wake_at() is None


def test_a_delivery_that_came_to_nothing_tells_nothing_of_its_destination() -> None:
    """Its worker was killed: a dead destination stays dead, a transport left alone, and no window grows."""
    scheduler = a_scheduler(initial_concurrency=2, concurrency_limit=20, failed_cohort_limit=0.5, dead_time=300)
    for message in "AB":
        scheduler.add(message, "smtp", "example.org", [0], 0)
    first, second = scheduler.next_requests(0)
    scheduler.finished(first, DOWN, 10)
    scheduler.throttle("smtp", ("4.3.0", "unknown mail transport error"), 10)
    scheduler.finished(second, None, 11, tells=False)
    scheduler.add("C", "smtp", "example.org", [0], 12)
    scheduler.add("D", "smtp", "other.example", [0], 12)
    assert scheduler.next_requests(12) == []
    assert [one.message_id for one in scheduler.suspended(12)] == ["C", "D"]
    for number in range(5):
        scheduler.add(f"E{number}", "relay", "example.org", [0], 13)
    started = scheduler.next_requests(13)
    for start in started:
        scheduler.finished(start, None, 14, tells=False)
    assert len(started) == len(scheduler.next_requests(14)) == 2


def test_failures_far_apart_do_not_kill() -> None:
    """A destination without mail is forgotten, and its failures with it (as in Postfix)."""
    scheduler = a_scheduler(initial_concurrency=5)
    for message in range(20):
        scheduler.add(str(message), "smtp", "example.org", [0], message)
        (start,) = scheduler.next_requests(message)
        scheduler.finished(start, DOWN, message)
    assert scheduler.suspended(20) == []


def test_reviving_all_dead_destinations() -> None:
    scheduler = a_scheduler(initial_concurrency=1)
    for domain in ("a.example", "b.example"):
        scheduler.add("A", "smtp", domain, [0], 0)
    for start in scheduler.next_requests(0):
        scheduler.finished(start, DOWN, 0)
    scheduler.revive(5)
    scheduler.add("B", "smtp", "a.example", [0], 5)
    (start,) = scheduler.next_requests(5)
    scheduler.finished(start, DOWN, 6)
    # The timer of the first death does not end the second.
    scheduler.add("C", "smtp", "a.example", [0], 302)
    assert scheduler.next_requests(302) == []
    assert [one.message_id for one in scheduler.suspended(302)] == ["C"]
    assert scheduler.wake_at() == 306
    assert scheduler.next_requests(306) == []
    assert scheduler.wake_at() is None


def test_deferred_transports() -> None:
    scheduler = a_scheduler(deferred=True)
    scheduler.add("A", "smtp", "example.org", [0, 1], 0)
    assert scheduler.next_requests(0) == []
    assert scheduler.suspended(0) == [Suspended("A", [0, 1], "4.3.2", "deferred transport")]


def test_a_rate_delay_is_kept_per_destination() -> None:
    scheduler = a_scheduler(rate_delay=10)
    for message in "ABC":
        scheduler.add(message, "smtp", "a.example", [0], 0)
    scheduler.add("D", "smtp", "b.example", [0], 0)
    a, d = scheduler.next_requests(0)
    assert names([a, d]) == ["A", "D"]
    scheduler.finished(a, None, 2)
    scheduler.finished(d, None, 3)
    assert scheduler.next_requests(11.9) == []
    assert scheduler.wake_at() == 12
    (b,) = scheduler.next_requests(12)
    assert b.message_id == "B"
    # Mail that comes while a destination rests waits as well, even if nothing else did.
    scheduler.add("E", "smtp", "b.example", [0], 12.5)
    assert scheduler.next_requests(12.5) == []
    assert names(scheduler.next_requests(13)) == ["E"]
    scheduler.finished(b, None, 20)
    assert names(scheduler.next_requests(30)) == ["C"]


def test_failures_count_across_the_rests_of_a_rate_delay() -> None:
    scheduler = a_scheduler(rate_delay=1, failed_cohort_limit=3, negative_feedback=Feedback(0))
    for message in range(10):
        scheduler.add(str(message), "smtp", "a.example", [0], 0)
    now = 0.0
    while not (suspended := scheduler.suspended(now)):
        for start in scheduler.next_requests(now):
            scheduler.finished(start, DOWN, now)
        now += 1
    assert len(suspended) == 7


def test_a_rate_delay_of_the_transport() -> None:
    scheduler = a_scheduler(transport_rate_delay=20)
    for message in "ABC":
        scheduler.add(message, "smtp", f"{message}.example", [0], 0)
    assert names(scheduler.next_requests(0)) == ["A"]
    assert names(scheduler.next_requests(19)) == []
    assert scheduler.wake_at() == 20
    assert names(scheduler.next_requests(20)) == ["B"]
    assert names(scheduler.next_requests(100)) == ["C"]


def test_removing_a_message() -> None:
    scheduler = a_scheduler(initial_concurrency=1, concurrency_limit=1, recipient_limit=2)
    scheduler.add("A", "smtp", "a.example", [0, 1, 2, 3], 0)
    scheduler.add("A", "smtp", "b.example", [4], 0)
    scheduler.add("B", "smtp", "a.example", [0], 0)
    starts = scheduler.next_requests(0)
    assert [(start.message_id, start.indexes) for start in starts] == [("A", [0, 1]), ("A", [4])]
    assert scheduler.remove("A") == [2, 3]
    assert scheduler.remove("A") == []
    assert scheduler.remove("unknown") == []
    for start in starts:
        scheduler.finished(start, None, 0)
    assert names(deliver(scheduler)) == ["B"]
    assert not scheduler._transports["smtp"].destinations


def test_a_removed_message_can_come_back() -> None:
    scheduler = a_scheduler()
    for _ in range(3):
        scheduler.add("A", "smtp", "a.example", [0], 0)
        assert scheduler.remove("A") == [0]
    scheduler.add("A", "smtp", "a.example", [0], 0)
    assert names(deliver(scheduler)) == ["A"]
    assert not scheduler._transports["smtp"].destinations


def test_a_destination_per_recipient() -> None:
    scheduler = a_scheduler(recipient_limit=1, concurrency_limit=1)
    assert scheduler.per_recipient("local")
    assert not a_scheduler().per_recipient("smtp")
    for index, name in enumerate(("a@example.org", "b@example.org")):
        scheduler.add("A", "local", "example.org", [index], 0, name)
    scheduler.add("B", "local", "example.org", [0], 0, "a@example.org")
    starts = scheduler.next_requests(0)
    assert [(start.message_id, start.nexthop, start.indexes) for start in starts] == [
        ("A", "example.org", [0]), ("A", "example.org", [1]),
    ]  # fmt: skip


def test_destinations_of_one_limit_group_share_a_window_and_keep_their_nexthops() -> None:
    scheduler = a_scheduler(concurrency_limit=2, initial_concurrency=2)
    for message, domain in enumerate(("a.example", "b.example", "c.example")):
        scheduler.add(str(message), "smtp", domain, [0], 0, group="mx.example")
    scheduler.add("apart", "smtp", "d.example", [0], 0)
    starts = scheduler.next_requests(0)
    assert {(start.message_id, start.nexthop) for start in starts} == {
        ("0", "a.example"), ("1", "b.example"), ("apart", "d.example"),
    }  # fmt: skip
    for start in starts[:1]:
        scheduler.finished(start, None, 1)
    assert [start.nexthop for start in scheduler.next_requests(1)] == ["c.example"]


def test_parameters_come_from_the_configuration() -> None:
    configuration = Configuration.parse(
        "compatibility_level = 3.7\n"
        "default_process_limit = 7\nminimal_backoff_time = 100s\ndefer_transports = slow, other\n"
        "smtp_destination_concurrency_limit = 3\nsmtp_destination_rate_delay = 0s\n"
        "slow_destination_concurrency_positive_feedback = 1/concurrency\n"
        "default_destination_concurrency_failed_cohort_limit = 4\n",
        "smtp unix - - n - - smtp\nslow unix - - n - 2 smtp\nlocal unix - n n - 0 local\n",
    )
    services = {service.name: service for service in configuration.master}
    scheduler = Scheduler.from_settings(configuration.settings, services)
    smtp, slow, local, unknown = (scheduler._transport(name).parameters for name in ("smtp", "slow", "local", "none"))
    assert (smtp.process_limit, slow.process_limit, local.process_limit, unknown.process_limit) == (7, 2, 0, 7)
    assert (smtp.concurrency_limit, smtp.initial_concurrency, smtp.recipient_limit) == (3, 3, 50)
    assert (smtp.failed_cohort_limit, smtp.dead_time, smtp.deferred) == (4, 100, False)
    assert slow.deferred
    assert slow.positive_feedback == Feedback(1, "concurrency")
    assert scheduler.per_recipient("local")
    assert local.concurrency_limit == 2


def test_what_is_flushed_gets_past_a_deferred_transport_and_a_dead_destination() -> None:
    scheduler = a_scheduler(deferred=True)
    scheduler.flushed.add("wanted")
    scheduler.add("other", "smtp", "example.org", [0], 0)
    scheduler.add("wanted", "smtp", "example.org", [0], 0)
    assert names(scheduler.next_requests(0)) == ["wanted"]
    assert [one.message_id for one in scheduler.suspended(0)] == ["other"]

    scheduler = a_scheduler(initial_concurrency=1)
    scheduler.add("first", "smtp", "example.org", [0], 0)
    (start,) = scheduler.next_requests(0)
    scheduler.finished(start, DOWN, 0)
    scheduler.flushed.add("wanted")
    scheduler.add("other", "smtp", "example.org", [0], 0)
    assert [one.message_id for one in scheduler.suspended(0)] == ["other"]
    scheduler.add("wanted", "smtp", "example.org", [0], 0)
    (start,) = scheduler.next_requests(0)
    assert start.message_id == "wanted"
    scheduler.finished(start, None, 0)
    scheduler.add("other", "smtp", "example.org", [0], 0)
    assert names(scheduler.next_requests(0)) == ["other"]


def test_what_is_flushed_keeps_to_the_limits_of_a_destination_that_was_dead() -> None:
    scheduler = a_scheduler(initial_concurrency=1, concurrency_limit=1)
    scheduler.add("first", "smtp", "example.org", [0], 0)
    (start,) = scheduler.next_requests(0)
    scheduler.finished(start, DOWN, 0)
    scheduler.flushed.update(("one", "two"))
    scheduler.add("one", "smtp", "example.org", [0], 0)
    scheduler.add("two", "smtp", "example.org", [0], 0)
    (start,) = scheduler.next_requests(0)
    assert start.message_id == "one"
    scheduler.finished(start, DOWN, 0)
    assert [one.message_id for one in scheduler.suspended(0)] == ["two"]
    scheduler.add("other", "smtp", "example.org", [0], 0)
    assert not scheduler.next_requests(0)
