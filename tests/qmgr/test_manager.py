"""The queue manager with a store in memory and without delivery workers: what an operator does to active messages."""

import asyncio
import time
from typing import Any, cast

import pytest

from gatepost.config.configuration import Configuration
from gatepost.ipc.messages import DeliveryDone, DeliveryRequest
from gatepost.mail.status import Action, RecipientStatus
from gatepost.maillog.sink import MailLog, MemoryOutput
from gatepost.net.stepping import carry_out
from gatepost.qmgr.clock_jumps import ClockJumps
from gatepost.qmgr.manager import CONTENT_IN_MEMORY, QueueManager
from gatepost.qmgr.scheduler import Scheduler
from gatepost.queue.group_commit import GroupCommit
from gatepost.queue.memory import MemoryStore
from gatepost.queue.store import Batch
from gatepost.rewrite.address_classes import AddressClass
from gatepost.rewrite.resolve import Resolved
from tests.queue.messages import a_message
from tests.smtpd.world import until


class Each:
    """Resolves: a destination of its own for each recipient; if it is `slow`, when that is set."""

    slow: asyncio.Event | None = None

    async def resolve(self, sender: str, address: str) -> Resolved:
        if self.slow is not None:
            await self.slow.wait()
        return Resolved("smtp", f"{address.partition('@')[0]}.example", address, AddressClass.DEFAULT)


class Notices:
    """A Notifier whose notices take until they are `stored`."""

    def __init__(self) -> None:
        self.stored = asyncio.Event()
        self.sent: list[str] = []

    async def failed(self, message: Any, results: Any, content: bytes) -> bool:
        self.sent.append(message.queue_id)
        await self.stored.wait()
        return True


class World:
    """A manager with one message of two recipients under way, of which one delivery has begun."""

    def __init__(self, process_limit: int = 1) -> None:
        loop = asyncio.get_running_loop()
        settings = Configuration.parse(f"default_process_limit = {process_limit}\n").settings
        self.store = MemoryStore()
        self.commit = GroupCommit(self.store, loop.call_soon_threadsafe)
        self.requests: list[DeliveryRequest] = []
        self.notices = Notices()
        self.resolver = Each()
        self._tasks: set[Any] = set()
        log = MailLog(MemoryOutput(), "postfix", 1)
        self.manager = QueueManager(
            settings, self.store, self.commit, cast(Any, self.resolver), Scheduler.from_settings(settings, {}), self,
            cast(Any, self.notices), log.program("qmgr"), epoch=1, clock=time.time,
            jumps=ClockJumps(time.time, time.monotonic), monotonic=time.monotonic,
            spawn=lambda coroutine: carry_out(coroutine, self._tasks), call_soon=loop.call_soon,
        )  # fmt: skip
        self.manager.begin()
        self.message = a_message(1, recipients=2, arrival=time.time())

    def send(self, request: DeliveryRequest) -> None:
        """As Dispatcher."""
        self.requests.append(request)

    async def submitted(self) -> None:
        self.manager.submit(self.message, lambda failure: None)
        await until(lambda: bool(self.requests))

    def deliver(self, action: Action) -> None:
        request = self.requests.pop(0)
        statuses = [RecipientStatus(r.index, action, "2.0.0", "none", "why") for r in request.recipients]
        self.manager.delivered(DeliveryDone(request.request_id, 1, request.queue_id, statuses))

    async def at_rest(self) -> None:
        await until(lambda: not self.manager.active and not self._tasks)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.commit.flush(lambda failure: done.set_result(None))
        await done


@pytest.fixture
async def world() -> Any:
    made = World()
    yield made
    made.commit.close()


@pytest.mark.parametrize("second", ["hold", "requeue"])
async def test_what_a_first_hold_has_left_out_is_not_lost_by_a_second_act(world: World, second: str) -> None:
    await world.submitted()
    assert len(world.requests) == 1
    world.manager.withdraw(world.message.queue_id, "hold")
    world.manager.withdraw(world.message.queue_id, second)
    world.deliver("sent")
    await world.at_rest()
    stored = world.store.load(world.message.queue_id)
    assert stored is not None and stored.open == [1]


async def test_a_hold_while_the_notice_is_being_stored_makes_no_second_notice(world: World) -> None:
    await world.submitted()
    world.deliver("bounced")
    await until(lambda: bool(world.requests))
    world.deliver("bounced")
    await until(lambda: bool(world.notices.sent))
    world.manager.withdraw(world.message.queue_id, "hold")
    world.notices.stored.set()
    await world.at_rest()
    assert world.notices.sent == [world.message.queue_id]
    assert world.store.load(world.message.queue_id) is None


async def test_a_damaged_message_for_two_destinations_holds_nobody_up() -> None:
    world = World(process_limit=2)
    manager = world.manager
    manager.dispatching, manager.content_octets = False, CONTENT_IN_MEMORY  # so that the content is read anew
    manager.submit(world.message, lambda failure: None)
    await until(lambda: bool(manager.active))
    world.store.commit(Batch(removed=[world.message.queue_id]))
    manager.submit(a_message(2, recipients=2, arrival=time.time()), lambda failure: None)
    await until(lambda: len(manager.active) == 2)
    manager.dispatching = True
    manager.pump()
    manager.pump()
    assert {request.queue_id for request in world.requests} == {a_message(2).queue_id}
    assert len(world.requests) == 2 and len(manager.active) == 1
    world.commit.close()


@pytest.mark.parametrize(("pass_to", "nexthop"), [("other", ""), ("other:there", "there")])
async def test_recipients_are_passed_on_to_another_transport(world: World, pass_to: str, nexthop: str) -> None:
    """best_mx_transport."""
    await world.submitted()
    request = world.requests.pop(0)
    world.manager.delivered(DeliveryDone(request.request_id, 1, request.queue_id, [], pass_to=pass_to))
    passed = world.requests.pop()
    assert (passed.transport, passed.nexthop) == ("other", nexthop or request.nexthop)
    assert (passed.recipients, passed.content) == (request.recipients, request.content)
    world.requests.append(passed)
    world.deliver("sent")
    await until(lambda: bool(world.requests))
    world.deliver("sent")
    await world.at_rest()


async def test_a_message_that_is_deleted_when_it_is_stored_but_not_told_yet_is_not_delivered(world: World) -> None:
    told: list[Exception | None] = []
    queue_id = world.message.queue_id
    world.manager.submit(world.message, told.append)
    while world.store.load(queue_id) is None:  # as an operator's command finds it: this loop has not had its turn since
        pass
    world.manager.withdraw(queue_id, "delete")
    world.commit.note(Batch(removed=[queue_id]))
    await world.at_rest()
    assert told == [None]  # whoever sent it has been answered
    assert not world.requests and world.store.load(queue_id) is None


@pytest.mark.parametrize(("act", "queue"), [("delete", None), ("hold", "hold")])
async def test_what_is_withdrawn_while_tables_are_asked_is_not_started(
    world: World, act: str, queue: str | None
) -> None:
    queue_id = world.message.queue_id
    world.resolver.slow = asyncio.Event()
    world.manager.submit(world.message, lambda failure: None)
    await until(lambda: bool(world.manager.active))
    world.manager.withdraw(queue_id, act)
    world.commit.note(Batch(removed=[queue_id]) if act == "delete" else Batch(moved=[(queue_id, "hold")]))
    world.resolver.slow.set()
    await world.at_rest()
    stored = world.store.load(queue_id)
    assert not world.requests and (stored and stored.queue) == queue


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_damage_found_on_the_way_out_keeps_what_is_not_delivered(order: tuple[int, int]) -> None:
    """However old the message is: nothing of it is returned, told of or deleted."""
    world = World(process_limit=2)
    world.message = a_message(1, recipients=2, arrival=time.time() - 30 * 86400)
    await world.submitted()
    await until(lambda: len(world.requests) == 2)
    for number in order:
        request = world.requests[number]
        (index,) = [recipient.index for recipient in request.recipients]
        status = RecipientStatus(index, "deferred" if index else "sent", "4.3.0", "none", "local data error")
        world.manager.delivered(DeliveryDone(request.request_id, 1, request.queue_id, [status], damaged=bool(index)))
    await world.at_rest()
    stored = world.store.load(world.message.queue_id)
    assert stored is not None and (stored.queue, stored.open) == ("corrupt", [1])
    assert not world.notices.sent
    world.commit.close()


async def test_workers_that_die_of_it_twice_throttle_the_transport() -> None:
    world = World()
    await world.submitted()
    world.manager.lost([world.requests.pop().request_id])
    await until(lambda: bool(world.requests))
    world.manager.lost([world.requests.pop().request_id])
    await world.at_rest()
    stored = world.store.load(world.message.queue_id)
    # Of the other recipient, which goes elsewhere by the same transport, nothing was tried.
    assert stored is not None and not world.requests
    assert stored.reasons == dict.fromkeys((0, 1), ("4.3.0", "unknown mail transport error"))
    world.commit.close()


async def test_a_transport_that_a_worker_does_not_serve_is_throttled() -> None:
    world = World()
    await world.submitted()
    request = world.requests.pop()
    status = RecipientStatus(0, "deferred", "4.3.0", "none", "mail transport unavailable")
    done = DeliveryDone(request.request_id, 1, request.queue_id, [status], transport_failure=status.text)
    world.manager.delivered(done)
    await world.at_rest()
    stored = world.store.load(world.message.queue_id)
    assert stored is not None and not world.requests
    assert stored.reasons[1] == ("4.3.0", "mail transport unavailable")
    world.commit.close()
