"""What a real Postfix 3.7 has logged in the same situations."""

from gatepost.config.configuration import Configuration
from gatepost.maillog.sink import MailLog, MemoryOutput
from gatepost.qmgr.scheduler import Scheduler, Start
from gatepost.qmgr.suspended import CRASHED, UNAVAILABLE, Suspended

DOWN = ("4.4.1", "connect to 127.0.0.1[127.0.0.1]:44133: Connection refused")


class World:
    def __init__(self, main_cf: str, master_cf: str = "") -> None:
        configuration = Configuration.parse(f"compatibility_level = 3.6\n{main_cf}", master_cf)
        self.output = MemoryOutput()
        self.log = MailLog(self.output, "postfix", 1)
        services = {service.name: service for service in configuration.master}
        self.scheduler = Scheduler.from_settings(configuration.settings, services, self.log.program("qmgr"))
        self.active = 0
        if self.scheduler.clog is not None:
            self.scheduler.clog.active = lambda: self.active

    def lines(self) -> list[str]:
        self.log.flush()
        lines, self.output.lines = self.output.lines, []
        return [line.partition("qmgr[1]: ")[2] or line for line in lines]

    def add(self, count: int, nexthop: str, now: float = 0.0) -> None:
        for _ in range(count):
            self.active += 1
            self.scheduler.add(f"{self.active}", "smtp", nexthop, [0], now)

    def start(self) -> list[Start]:
        return self.scheduler.next_requests(0)


def test_feedback_of_failures() -> None:
    world = World(
        "destination_concurrency_feedback_debug = yes\ninitial_destination_concurrency = 3\n"
        "default_destination_concurrency_negative_feedback = 1/concurrency\n"
        "default_destination_concurrency_failed_cohort_limit = 2\n"
    )
    world.add(8, "[127.0.0.1]:44133")
    for start in world.start():
        world.scheduler.finished(start, DOWN, 0)
    for start in world.start():
        world.scheduler.finished(start, DOWN, 0)
    throttle, queue = "qmgr_queue_throttle: feedback", "qmgr_queue_throttle: queue [127.0.0.1]:44133: limit 20"
    assert world.lines() == [
        "smtp: default_destination_concurrency_positive_feedback feedback type 0 value at 3: 1",
        "smtp: default_destination_concurrency_negative_feedback feedback type 1 value at 3: 0.333333",
        f"{throttle} 0.333333",
        f"{queue} window 2 success 0 failure 0.666667 fail_cohorts 0.333333",
        f"{throttle} 0.5",
        f"{queue} window 1 success 0 failure 1.16667 fail_cohorts 0.833333",
        f"{throttle} 1",
        f"{queue} window 1 success 0 failure 1.16667 fail_cohorts 1.83333",
        f"{queue} window 0 success 0 failure 1.16667 fail_cohorts 2.83333",
    ]


def test_feedback_of_successes() -> None:
    world = World(
        "destination_concurrency_feedback_debug = yes\ninitial_destination_concurrency = 2\n"
        "smtp_destination_concurrency_limit = 4\n"
        "smtp_destination_concurrency_positive_feedback = 1/concurrency\n"
    )
    world.add(9, "[127.0.0.1]:34655")
    world.lines()
    running = world.start()
    while running:
        world.scheduler.finished(running.pop(0), None, 0)
        running += world.start()
    assert [line.partition("unthrottle: ")[2] for line in world.lines()] == [
        "feedback 0.5",
        "queue [127.0.0.1]:34655: limit 4 window 2 success 0.5 failure 0 fail_cohorts 0",
        "feedback 0.5",
        "queue [127.0.0.1]:34655: limit 4 window 3 success 0 failure 0 fail_cohorts 0",
        "feedback 0.333333",
        "queue [127.0.0.1]:34655: limit 4 window 3 success 0.333333 failure 0 fail_cohorts 0",
        "feedback 0.333333",
        "queue [127.0.0.1]:34655: limit 4 window 3 success 0.666667 failure 0 fail_cohorts 0",
        "feedback 0.333333",
        *["queue [127.0.0.1]:34655: limit 4 window 4 success 0 failure 0 fail_cohorts 0"] * 5,
    ]


ALWAYS = [
    "warning: please avoid flushing the whole queue when you have",
    "warning: lots of deferred mail, that is bad for performance",
    "warning: to turn off these warnings specify: qmgr_clog_warn_time = 0",
]
PATIENCE = [
    "warning: you may need to reduce smtp connect and helo timeouts",
    "warning: so that Postfix quickly skips unavailable hosts",
    "warning: you may need to increase the main.cf minimal_backoff_time and maximal_backoff_time",
    "warning: so that Postfix wastes less time on undeliverable mail",
    "warning: you may need to increase the master.cf smtp process limit",
]


def test_a_destination_that_takes_up_a_fifth_of_the_active_queue() -> None:
    world = World("qmgr_message_active_limit = 20\nqmgr_clog_warn_time = 10\nsmtp_destination_concurrency_limit = 2\n")
    world.add(4, "[127.0.0.1]:45531")
    assert world.lines() == []
    world.add(1, "[127.0.0.1]:45531")
    assert world.lines() == [
        "warning: mail for [127.0.0.1]:45531 is using up 5 of 5 active queue entries",
        *PATIENCE,
        *ALWAYS,
    ]
    world.start()
    world.add(1, "[127.0.0.1]:45531", 9.9)
    assert world.lines() == []
    world.add(1, "[127.0.0.1]:45531", 10)
    assert world.lines() == [
        "warning: mail for [127.0.0.1]:45531 is using up 7 of 7 active queue entries",
        "warning: you may need to increase the main.cf smtp_destination_concurrency_limit from 2",
        *ALWAYS,
    ]


def test_other_reasons() -> None:
    world = World(
        "qmgr_message_active_limit = 20\ninitial_destination_concurrency = 30\n"
        "smtp_destination_concurrency_limit = 40\n"
    )
    world.add(5, "a.example")
    assert world.lines() == [
        "warning: mail for a.example is using up 5 of 5 active queue entries",
        "warning: you may need to increase the main.cf qmgr_message_active_limit from 20",
        *ALWAYS,
    ]
    world = World("qmgr_message_active_limit = 20\n")
    world.add(1, "b.example")
    world.add(5, "a.example")
    assert world.lines() == [
        "warning: mail for a.example is using up 5 of 6 active queue entries",
        "warning: this may slow down other mail deliveries",
        "warning: you may need a separate master.cf transport for a.example",
        *ALWAYS,
    ]


def test_no_warnings_wanted() -> None:
    for setting in ("qmgr_clog_warn_time = 0", "helpful_warnings = no"):
        world = World(f"qmgr_message_active_limit = 10\n{setting}\n")
        world.add(10, "a.example")
        assert world.lines() == []


def test_a_transport_that_master_cf_does_not_have() -> None:
    world = World("transport_retry_time = 60s\n", "smtp unix - - n - - smtp\n")
    for now in (0, 30, 61):
        world.scheduler.add("A", "nosuch", "x", [0], now)
    assert [(one.dsn, one.text) for one in world.scheduler.suspended(61)] == [
        ("4.3.0", "mail transport unavailable")
    ] * 3
    assert world.lines() == ["warning: connect to transport private/nosuch: No such file or directory"] * 2
    world.scheduler.revive(70)
    world.scheduler.add("A", "nosuch", "x", [0], 70)
    assert len(world.lines()) == 1


def test_a_transport_that_failed_is_left_alone_for_a_while() -> None:
    world = World("transport_retry_time = 60s\nsmtp_destination_concurrency_limit = 1\n")
    scheduler = world.scheduler
    world.add(2, "a.example")
    world.add(1, "b.example")
    first, other = world.start()
    scheduler.add("R", "relay", "a.example", [0], 1)
    scheduler.throttle("smtp", CRASHED, 1)
    why = "see a previous warning/fatal/panic logfile record for the problem description"
    assert world.lines() == [f"warning: transport smtp failure -- {why}"]
    world.add(1, "c.example", 30)
    # What waited and what comes, wherever it goes; of other transports nothing.
    assert scheduler.suspended(30) == [
        Suspended("2", [0], "4.3.0", "unknown mail transport error"),
        Suspended("4", [0], "4.3.0", "unknown mail transport error"),
    ]
    assert [start.message_id for start in scheduler.next_requests(30)] == ["R"]
    world.add(1, "c.example", 61)
    assert [start.message_id for start in scheduler.next_requests(61)] == ["5"]
    # A delivery that ends well, a flush of all, or of one message, say that it is to be tried.
    for lift in (lambda: scheduler.finished(first, None, 70), lambda: scheduler.revive(70), None):
        scheduler.throttle("smtp", CRASHED, 62)
        if lift is None:
            scheduler.flushed.add(str(world.active + 1))
        else:
            lift()
        world.add(1, f"{world.active}.example", 71)
        assert len(scheduler.next_requests(71)) == 1
    # But not one that ends without connection.
    scheduler.throttle("smtp", UNAVAILABLE, 80)
    scheduler.finished(other, DOWN, 80)
    world.add(1, "e.example", 81)
    assert scheduler.suspended(81)[-1].text == "mail transport unavailable"
