"""Probes in the queue manager: what is reported, what is logged, how many there may be."""

import msgspec

from gatepost.mail.envelope import PROBE, PROBE_UNCACHED, Message, Recipient
from gatepost.mail.status import Action, RecipientStatus
from gatepost.maillog.sink import MailLog, MemoryOutput
from gatepost.qmgr.active import ActiveMessage
from gatepost.qmgr.probes import Probes
from tests.queue.messages import a_message

NOW = 2000.0


class World:
    def __init__(self, limit: int = 2) -> None:
        self.output = MemoryOutput()
        self.log = MailLog(self.output, "postfix", 1)
        self.log.wake = lambda: None
        self.active: dict[str, ActiveMessage] = {}
        self.reports: list[tuple[Recipient, RecipientStatus]] = []
        self.probes = Probes(
            None,  # type: ignore[arg-type]  # nobody asks it here
            limit,
            lambda recipient, status: self.reports.append((recipient, status)),
            self.active,
            self.log.program("qmgr"),
            lambda: NOW,
        )

    def probe(self, number: int, trace: int = PROBE) -> ActiveMessage:
        message: Message = msgspec.structs.replace(
            a_message(number),
            recipients=[Recipient("u@x.example", "u", 0, "rfc822;u")],
            trace=trace,
            arrival=NOW - 2,
        )
        entry = self.active[message.queue_id] = ActiveMessage(message, NOW - 1, 1)
        return entry

    def lines(self) -> list[str]:
        self.log.flush()
        return self.output.lines


def status(action: Action, dsn: str = "4.4.1") -> RecipientStatus:
    return RecipientStatus(0, action, dsn, "none", "why")


def test_whatever_came_of_a_probe_it_is_over() -> None:
    world = World()
    for number, action in enumerate(("sent", "deferred", "bounced"), 1):
        entry = world.probe(number)
        result = status(action)  # type: ignore[arg-type]
        (end,) = world.probes.settled(entry, [result])
        assert end.action == "sent"
        assert world.reports.pop() == (Recipient("u@x.example", "u", 0, "rfc822;u"), result)


def test_the_address_it_was_resolved_to_is_reported() -> None:
    world = World()
    entry = world.probe(1)
    entry.addresses[0] = "u@elsewhere.example"
    world.probes.settled(entry, [status("sent")])
    assert world.reports[0][0].address == "u@elsewhere.example"


def test_lines_of_the_queue_manager_itself() -> None:
    world = World()
    entry = world.probe(1)
    queue_id = entry.message.queue_id
    world.probes.deferred(entry, status("deferred"))
    start = f"{queue_id}: to=<u@x.example>, orig_to=<u>, relay=none, delay=2, delays=1/1/0/0, "
    assert world.lines()[-1] == f"{start}dsn=4.4.1, status=undeliverable (why)"
    world.probes.deferred(world.probe(1, PROBE | PROBE_UNCACHED), status("deferred"))
    assert world.lines()[-1] == f"{start}dsn=4.4.1, status=undeliverable-but-not-cached (why)"
    discarded = world.probes.discarded(entry, 0)
    assert discarded.action == "sent"
    assert world.lines()[-1] == (
        f"{start}dsn=2.0.0, status=deliverable (undeliverable postmaster notification discarded)"
    )


def test_there_may_be_so_many_at_a_time() -> None:
    world = World(limit=2)
    first, second, third = (world.probe(number) for number in (1, 2, 3))
    ids = [entry.message.queue_id for entry in (first, second, third)]
    assert [world.probes.excessive(queue_id) for queue_id in ids] == [False, False, True]
    world.probes.settled(third, [status("deferred")])
    world.probes.settled(first, [status("sent")])
    assert not world.probes.excessive(world.probe(4).message.queue_id)
    # One that an operator has deleted does not count for ever.
    del world.active[second.message.queue_id]
    assert not world.probes.excessive(world.probe(5).message.queue_id)
