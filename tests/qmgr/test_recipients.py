"""A message of 50,000 recipients goes out, each recipient once, with few of them in memory."""

import asyncio
import time
from collections import Counter
from typing import Any, cast

import pytest

from gatepost.config.configuration import Configuration
from gatepost.ipc.messages import DeliveryDone, DeliveryRequest
from gatepost.mail.envelope import VERIFY, Message
from gatepost.mail.status import Action, RecipientStatus
from gatepost.maillog.sink import MailLog, MemoryOutput
from gatepost.net.stepping import carry_out
from gatepost.qmgr.clock_jumps import ClockJumps
from gatepost.qmgr.manager import QueueManager
from gatepost.qmgr.recipients import LoadedRecipients
from gatepost.qmgr.scheduler import Scheduler
from gatepost.queue.group_commit import GroupCommit
from gatepost.queue.memory import MemoryStore
from gatepost.rewrite.address_classes import AddressClass
from gatepost.rewrite.resolve import Resolved
from tests.queue.messages import a_message
from tests.smtpd.world import until


class Domains:
    """Resolves: each recipient (`userN@...`) goes to one of some destinations, every third to another transport."""

    def __init__(self, destinations: int) -> None:
        self.destinations = destinations

    async def resolve(self, sender: str, address: str) -> Resolved:
        number = int("".join(filter(str.isdigit, address.partition("@")[0])) or 0)
        transport = "relay" if number % 3 == 0 else "smtp"
        return Resolved(transport, f"{number % self.destinations}.example", address, AddressClass.DEFAULT)


class World:
    """A queue manager whose deliveries end when the test says so."""

    def __init__(self, main_cf: str, destinations: int) -> None:
        loop = asyncio.get_running_loop()
        self.settings = Configuration.parse(main_cf).settings
        self.store = MemoryStore()
        self.commit = GroupCommit(self.store, loop.call_soon_threadsafe)
        self.requests: list[DeliveryRequest] = []
        self.delivered: Counter[int] = Counter()
        self.most_held = self.most_destinations = self.most_loaded = 0
        self._tasks: set[Any] = set()
        log = MailLog(MemoryOutput(), "postfix", 1)
        self.manager = QueueManager(
            self.settings, self.store, self.commit, cast(Any, Domains(destinations)),
            Scheduler.from_settings(self.settings, {}), self, cast(Any, None), log.program("qmgr"), epoch=1,
            clock=time.time, jumps=ClockJumps(time.time, time.monotonic), monotonic=time.monotonic,
            spawn=lambda coroutine: carry_out(coroutine, self._tasks), call_soon=loop.call_soon,
        )  # fmt: skip
        self.manager.begin()

    def send(self, request: DeliveryRequest) -> None:
        """As Dispatcher."""
        self.requests.append(request)

    def measure(self, message: Message) -> None:
        scheduler = self.manager.scheduler
        self.most_held = max(self.most_held, self.manager._limits.held)
        destinations = sum(len(transport.destinations) for transport in scheduler._transports.values())
        self.most_destinations = max(self.most_destinations, destinations)
        if isinstance(message.recipients, LoadedRecipients):
            self.most_loaded = max(self.most_loaded, len(message.recipients.loaded))

    async def submitted(self, message: Message) -> None:
        self.manager.submit(message, lambda failure: None)
        await until(lambda: bool(self.requests))

    async def round(self, message: Message, action: Action = "sent") -> None:
        """All deliveries that are under way end."""
        self.measure(message)
        for request in self.requests:
            self.delivered.update(recipient.index for recipient in request.recipients)
        requests, self.requests = self.requests, []
        for request in requests:
            statuses = [RecipientStatus(r.index, action, "2.0.0", "none", "why") for r in request.recipients]
            self.manager.delivered(DeliveryDone(request.request_id, 1, request.queue_id, statuses))
            self.measure(message)
        for _ in range(3):
            await asyncio.sleep(0)

    async def at_rest(self) -> None:
        await until(lambda: not self.manager.active and not self._tasks)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.commit.flush(lambda failure: done.set_result(None))
        await done


LIMITS = (
    "qmgr_message_recipient_limit = 700\nqmgr_message_recipient_minimum = 10\n"
    "default_recipient_limit = 400\ndefault_extra_recipient_limit = 100\n"
)


@pytest.mark.parametrize("destinations", [1, 20_000])
async def test_50000_recipients_in_the_memory_of_some_hundred(destinations: int) -> None:
    world = World(LIMITS + "default_process_limit = 50\n", destinations)
    message = a_message(1, recipients=50_000, arrival=time.time())
    await world.submitted(message)
    while world.manager.active:
        await world.round(message)
    await world.at_rest()
    assert world.delivered == Counter(range(50_000))
    # At first the limit for all; later those of both transports, and the minimum of one message.
    assert world.most_held <= 2 * 400 + 10
    assert world.most_loaded <= 2 * 400 + 10
    assert world.most_destinations <= 2 * 400 + 10
    assert world.manager._limits.held == 0
    assert not any(transport.held for transport in world.manager.scheduler._transports.values())
    assert world.store.load(message.queue_id) is None
    world.commit.close()


async def test_recipients_that_cannot_be_read_yet_wait_with_the_rest_of_a_held_message() -> None:
    world = World(LIMITS + "default_process_limit = 1\n", 1)
    message = a_message(1, recipients=2000, arrival=time.time())
    await world.submitted(message)
    under_way = {recipient.index for request in world.requests for recipient in request.recipients}
    world.manager.withdraw(message.queue_id, "hold")
    await world.round(message)
    await world.at_rest()
    assert not world.requests and set(world.delivered) == under_way
    stored = world.store.load(message.queue_id)
    assert stored is not None and stored.queue == "hold"
    assert set(stored.open) == set(range(2000)) - under_way
    assert world.manager._limits.held == 0 and not world.manager.scheduler._unread
    world.commit.close()


async def test_deferred_recipients_do_not_stop_the_others() -> None:
    world = World(LIMITS, 3)
    message = a_message(1, recipients=3000, arrival=time.time())
    await world.submitted(message)
    while world.manager.active:
        await world.round(message, "deferred")
    await world.at_rest()
    assert world.delivered == Counter(range(3000))
    stored = world.store.load(message.queue_id)
    assert stored is not None and len(stored.open) == 3000 and len(stored.reasons) == 3000
    assert world.manager._limits.held == 0
    world.commit.close()


async def test_recipients_that_are_settled_without_a_delivery_do_not_stop_the_others() -> None:
    world = World(LIMITS, 3)
    message = a_message(1, recipients=5000, arrival=time.time())
    for recipient in message.recipients[:4500]:
        recipient.address = "double-bounce@example.org"  # discarded by the queue manager itself
    await world.submitted(message)
    while world.manager.active:
        await world.round(message)
    await world.at_rest()
    assert world.delivered == Counter(range(4500, 5000))
    assert world.store.load(message.queue_id) is None and world.manager._limits.held == 0
    world.commit.close()


async def test_small_messages_get_the_minimum_beside_a_large_one() -> None:
    world = World(LIMITS + "default_process_limit = 1\n", 1)
    large = a_message(1, recipients=5000, arrival=time.time())
    await world.submitted(large)
    assert world.manager._limits.held == 700
    small = a_message(2, recipients=30, arrival=time.time())
    await world.submitted(small)
    await until(lambda: len(world.manager.active) == 2)
    assert world.manager._limits.held == 710
    while world.manager.active:
        await world.round(large)
    await world.at_rest()
    assert sum(world.delivered.values()) == 5030
    world.commit.close()


async def test_a_report_of_recipients_in_parts_names_them_all() -> None:
    """sendmail -bv: nothing is delivered, but of each recipient the notice at the end has to tell."""
    world = World(LIMITS, 3)
    message = a_message(1, recipients=2000, arrival=time.time())
    message.trace = VERIFY
    told: list[int] = []

    class Notices:
        async def told(self, message: Message, results: list[tuple[Any, RecipientStatus]], content: bytes) -> bool:
            told.extend(status.index for recipient, status in results)
            return True

    world.manager._conclusion._notices = cast(Any, Notices())
    await world.submitted(message)
    while world.requests:
        await world.round(message)
    await world.at_rest()
    assert sorted(told) == list(range(2000))
    world.commit.close()
